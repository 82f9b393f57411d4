"""Execution plans: ask PostgreSQL for one, read it as a tree of nodes, draw it as a table.

`explain(connection, "select …")` *runs* the statement (EXPLAIN ANALYZE does) and returns a `Plan`;
`show_plan(plan)` draws it. Counts are totals over all loops, so that an estimate and what came of
it can be compared line by line, whichever version of the server answered.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from helpers.receipts import measured

OFF_BY = 10  # an estimate that is wrong by this factor is pointed out
CHANGES = ("Insert", "Update", "Delete", "Merge")  # without RETURNING no row comes out of these
NO_ROWS = ("BitmapAnd", "BitmapOr", *CHANGES)  # their row counts say nothing


@dataclass(frozen=True)
class Node:
    """One node of a plan: what it did, what was expected of it, what it touched.

    `rows_estimated` and `rows` are totals over all loops; `buffers` counts pages of 8 KiB that this node and those
    below it took from shared buffers, found there (`hit`) or fetched (`read`).
    """

    kind: str
    relation: str = ""
    index: str = ""
    conditions: tuple[tuple[str, str], ...] = ()
    rows_estimated: float = 0
    rows: float = 0
    rows_removed: float = 0
    loops: int = 0
    hit: int = 0
    read: int = 0
    milliseconds: float = 0.0
    cost: float = 0.0
    heap_fetches: int | None = None
    index_searches: int | None = None
    children: tuple[Node, ...] = field(default=(), repr=False)

    @property
    def buffers(self) -> int:
        """Pages touched here and below: hit + read."""
        return self.hit + self.read

    @property
    def own_buffers(self) -> int:
        """Pages touched here, without the nodes below."""
        return self.buffers - sum(child.buffers for child in self.children)

    @property
    def off_by(self) -> float:
        """The factor between the rows that were expected and those that came; 1 is a perfect guess.

        Its receipt for a claim is the rows that came.
        """
        expected, came = max(self.rows_estimated, 1), max(self.rows, 1)
        return measured(max(expected / came, came / expected), (self.rows,))

    @property
    def name(self) -> str:
        """The node as EXPLAIN's text form names it: "Index Scan using tails on flights"."""
        using = f" using {self.index}" if self.index and self.relation else ""
        on = self.relation or self.index
        return f"{self.kind}{using}{f' on {on}' if on else ''}"

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Node]]:
        """This node and all below it, top down, each with its depth."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


@dataclass(frozen=True)
class Plan:
    """A statement's plan and, unless it was only estimated, what came of it."""

    root: Node
    statement: str = ""
    analyzed: bool = True
    planning_ms: float = 0.0
    execution_ms: float = 0.0
    wal_bytes: int = 0

    @property
    def nodes(self) -> list[Node]:
        """All nodes, top down."""
        return [node for _, node in self.root.walk()]

    @property
    def kinds(self) -> list[str]:
        """The nodes' kinds, top down: ["Limit", "Index Scan"]."""
        return [node.kind for node in self.nodes]

    @property
    def indexes(self) -> list[str]:
        """The names of the indexes that are used, top down."""
        return [node.index for node in self.nodes if node.index]

    @property
    def buffers(self) -> int:
        """Pages touched by the whole statement, its planning not included: hit + read.

        Its receipt for a claim is the rows that the scans found.
        """
        return measured(self.root.buffers, (self.rows_read if self.analyzed else None,))

    @property
    def rows_read(self) -> float:
        """Rows that came out of tables, all scans together; where no table is read, rows at the top."""
        scans = [node.rows for node in self.nodes if node.relation]
        return sum(scans) if scans else self.rows

    @property
    def rows(self) -> float:
        """Rows that came out at the top."""
        return self.root.rows

    @property
    def scan(self) -> Node:
        """The first node, top down, that reads a table."""
        return next(node for node in self.nodes if node.relation)

    @property
    def heap_fetches(self) -> int | None:
        """Rows that index-only scans had to look up in the table; None if there is no such scan."""
        found = [node.heap_fetches for node in self.nodes if node.heap_fetches is not None]
        return measured(sum(found), (self.rows_read,)) if found else None


def explain(
    connection: Any,
    statement: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    analyze: bool = True,
    wal: bool = False,
    may_be_empty: bool = False,
) -> Plan:
    """Run a statement under EXPLAIN (ANALYZE, BUFFERS) and return its plan.

    `connection` is SQLAlchemy's (parameters as `:name`) or psycopg's (`%(name)s`). With analyze=False nothing is
    executed, and the plan holds estimates alone. With wal=True `wal_bytes` says how much WAL it wrote.

    Raises `NothingFound` for a statement that ran and found no row, because a plan that does
    nothing is the cheapest of all; may_be_empty=True lets it pass.
    """
    options = ["format json"]
    options += ["analyze", "buffers"] if analyze else []
    options += ["wal"] if wal else []
    asked = f"explain ({', '.join(options)}) {statement}"
    if hasattr(connection, "exec_driver_sql"):
        from sqlalchemy import text

        answer = connection.execute(text(asked), dict(parameters or {})).scalar_one()
    else:
        answer = connection.execute(asked, parameters).fetchone()[0]
    plan = read_plan(answer, statement, analyzed=analyze)
    found = plan.rows_read and (plan.rows or plan.root.kind in CHANGES)
    if analyze and not may_be_empty and not found:
        raise NothingFound(f"no row was found: {' '.join(statement.split())[:200]}")
    return plan


class NothingFound(LookupError):
    """A statement whose plan was asked for found nothing."""


def read_plan(answer: str | list[Any], statement: str = "", *, analyzed: bool = True) -> Plan:
    """The plan in what EXPLAIN (FORMAT JSON) answered, as text or already decoded."""
    (found,) = json.loads(answer) if isinstance(answer, str) else answer
    return Plan(
        root=_node(found["Plan"]),
        statement=statement,
        analyzed=analyzed,
        planning_ms=found.get("Planning Time", 0.0),
        execution_ms=found.get("Execution Time", 0.0),
        wal_bytes=found["Plan"].get("WAL Bytes", 0),
    )


_CONDITIONS = (
    "Index Cond", "Recheck Cond", "Filter", "Hash Cond", "Merge Cond", "Join Filter", "Sort Key",
    "Group Key", "Cache Key",
)  # fmt: skip


def _node(raw: Mapping[str, Any]) -> Node:
    loops = raw.get("Actual Loops", 0)
    # Up to 17 "Actual Rows" is a whole number a loop, rounded; 18 gives two decimals.
    return Node(
        kind=_kind(raw),
        relation=raw.get("Relation Name", ""),
        index=raw.get("Index Name", ""),
        conditions=tuple((name, _text(raw[name])) for name in _CONDITIONS if name in raw),
        rows_estimated=raw["Plan Rows"] * max(loops, 1),
        rows=raw.get("Actual Rows", 0) * loops,
        rows_removed=loops
        * sum(raw.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck")),
        loops=loops,
        hit=raw.get("Shared Hit Blocks", 0),
        read=raw.get("Shared Read Blocks", 0),
        milliseconds=raw.get("Actual Total Time", 0.0) * loops,
        cost=raw["Total Cost"],
        heap_fetches=raw.get("Heap Fetches"),
        index_searches=raw.get("Index Searches"),
        children=tuple(_node(child) for child in raw.get("Plans", ())),
    )


def _kind(raw: Mapping[str, Any]) -> str:
    """The name of EXPLAIN's text form, which says more than JSON's "Node Type" alone."""
    kind = raw["Node Type"]
    if kind == "Aggregate":
        named = {"Hashed": "HashAggregate", "Sorted": "GroupAggregate", "Mixed": "MixedAggregate"}
        return named.get(raw.get("Strategy", ""), kind)
    if kind == "ModifyTable":
        return raw.get("Operation", kind)
    if kind in ("Nested Loop", "Hash Join", "Merge Join") and raw.get("Join Type") != "Inner":
        return f"{kind.removesuffix(' Join')} {raw['Join Type']} Join"
    return kind


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


# ---- drawing -------------------------------------------------------------------------------


def show_plan(plan: Plan, caption: str = "") -> None:
    """Draw a plan as a tree in a table: a node a line, deepest work last, with its own figures."""
    from helpers.figures import _show

    names = _columns(plan)
    stopped = _stopped(plan.root)
    lines = [_line(plan, prefix, node, id(node) in stopped) for prefix, node in _tree(plan.root)]
    _show(
        _html(names, lines, caption, _foot(plan)),
        "HTML",
        _plain(names, lines, caption, _foot(plan)),
    )


def _columns(plan: Plan) -> list[str]:
    if not plan.analyzed:
        return ["node", "rows estimated", "cost"]
    return ["node", "rows estimated", "rows actual", "loops", "buffers hit+read", "ms"]


def _stopped(node: Node, below: bool = False) -> set[int]:
    """Nodes that a Limit above them stopped early: fewer rows than expected is no misestimate there."""
    found = {id(node)} if below and node.rows < node.rows_estimated else set()
    for child in node.children:
        found |= _stopped(child, below or node.kind == "Limit")
    return found


def _line(
    plan: Plan, prefix: tuple[str, str], node: Node, stopped: bool
) -> tuple[tuple[str, str], str, list[str], list[str]]:
    """The tree's two prefixes, the node's name, notes under it, and its figures."""
    notes = [f"{name}: {_short(text)}" for name, text in node.conditions]
    if node.rows_removed:
        notes.append(f"read and thrown away: {node.rows_removed:,.0f} rows")
    if node.heap_fetches is not None:
        notes.append(f"Heap Fetches: {node.heap_fetches:,}")
    if (node.index_searches or 0) > 1:
        notes.append(f"Index Searches: {node.index_searches:,}")
    if not plan.analyzed:
        return prefix, node.name, notes, [f"{node.rows_estimated:,.0f}", f"{node.cost:,.1f}"]
    if node.loops == 0:
        return (
            prefix,
            node.name,
            [*notes, "never executed"],
            [f"{node.rows_estimated:,.0f}", "", "0", "", ""],
        )
    if node.off_by >= OFF_BY and not stopped and node.kind not in NO_ROWS:
        notes.append(f"the estimate is off by {node.off_by:,.0f}×")
    figures = [
        f"{node.rows_estimated:,.0f}",
        f"{node.rows:,.0f}",
        f"{node.loops:,}",
        f"{node.hit:,} + {node.read:,}",
        f"{node.milliseconds:,.2f}",
    ]
    return prefix, node.name, notes, figures


def _short(text: str, most: int = 110) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _foot(plan: Plan) -> str:
    if not plan.analyzed:
        return "estimated only, not executed"
    wal = f", {plan.wal_bytes:,} bytes of WAL" if plan.wal_bytes else ""
    return f"{plan.buffers:,} buffers in all{wal}; planned in {plan.planning_ms:.2f} ms, run in {plan.execution_ms:.2f} ms"


def _tree(node: Node, first: str = "", rest: str = "") -> Iterator[tuple[tuple[str, str], Node]]:
    """Each node with the lines that connect it: those before its name, those before its notes."""
    below = rest + ("│  " if node.children else "   ")
    yield (first, below), node
    for child in node.children:
        last = child is node.children[-1]
        yield from _tree(
            child, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  ")
        )


def _html(names: list[str], lines: list[Any], caption: str, foot: str) -> str:
    # The tree is drawn with no-break spaces in <code>: GitHub and VS Code drop styles, not those.
    def cell(tag: str, body: str, left: bool) -> str:
        side = "left" if left else "right"
        return f'<{tag} style="text-align:{side};vertical-align:top">{body}</{tag}>'

    def drawn(prefix: str) -> str:
        return f"<code>{prefix.replace(' ', '&nbsp;')}</code>" if prefix else ""

    rows = []
    for (first, rest), name, notes, figures in lines:
        body = drawn(first) + f"<b>{html.escape(name)}</b>"
        body += "".join(f"<br>{drawn(rest)}<small>{html.escape(note)}</small>" for note in notes)
        rows.append(
            cell("td", body, True) + "".join(cell("td", figure, False) for figure in figures)
        )
    head = "".join(cell("th", name, i == 0) for i, name in enumerate(names))
    top = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table>{top}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><small>{foot}</small>"


def _plain(names: list[str], lines: list[Any], caption: str, foot: str) -> str:
    rows: list[list[str]] = [names]
    for (first, rest), name, notes, figures in lines:
        rows.append([first + name, *figures])
        rows += [[f"{rest}{note}", *[""] * len(figures)] for note in notes]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    told = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(t.rjust(w) for t, w in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*([caption] if caption else []), *told, foot])
