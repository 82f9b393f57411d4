"""Execution plans: ask PostgreSQL for one, read it as a tree of nodes, draw it as a table.

`explain(connection, "select …")` *runs* the statement (EXPLAIN ANALYZE does) and returns a `Plan`;
`show_plan(plan)` draws it. Rows are drawn per loop, as the planner estimates them, beside the loops
that ran: the estimate of one loop, times the loops that nobody expected, is no estimate.
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

    `rows_estimated` is the planner's estimate for one loop; `rows` are those of all loops together.
    `buffers` counts pages of 8 KiB that this node and those below it took from shared buffers, found there
    (`hit`) or fetched (`read`).
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
    def rows_per_loop(self) -> float:
        """Rows that came per loop, on average (up to version 17 the server rounds this to a whole number)."""
        return self.rows / self.loops if self.loops else 0.0

    @property
    def off_by(self) -> float:
        """The factor between the rows expected per loop and those that came; 1 is a perfect guess.

        Its receipt for a claim is the rows that came.
        """
        expected, came = max(self.rows_estimated, 1), max(self.rows_per_loop, 1)
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
        rows_estimated=raw["Plan Rows"],
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

LONG = 90  # characters of a condition; what is longer is folded


@dataclass(frozen=True)
class _Line:
    """A node as it is drawn: how deep, its name, notes under it, and its figures."""

    depth: int
    name: str
    notes: tuple[str, ...]
    figures: tuple[str, ...]


def show_plan(plan: Plan, caption: str = "") -> None:
    """Draw a plan as a tree in a table: one line per node, the deepest last, with its own figures."""
    from helpers.figures import _show

    names = _columns(plan)
    stopped = _stopped(plan.root)
    lines = [_line(plan, depth, node, id(node) in stopped) for depth, node in plan.root.walk()]
    foot = _foot(plan)
    _show(_html(names, lines, caption, foot), "HTML", _plain(names, lines, caption, foot))


def _columns(plan: Plan) -> list[str]:
    if not plan.analyzed:
        return ["node", "rows estimated", "cost"]
    return ["node", "rows per loop: estimated", "actual", "loops", "buffers hit + read", "ms"]


def _stopped(node: Node, below: bool = False) -> set[int]:
    """Nodes that a Limit above them stopped early: fewer rows than expected is no misestimate there."""
    found = {id(node)} if below and node.rows_per_loop < node.rows_estimated else set()
    for child in node.children:
        found |= _stopped(child, below or node.kind == "Limit")
    return found


def _line(plan: Plan, depth: int, node: Node, stopped: bool) -> _Line:
    notes = [f"{name}: {text}" for name, text in node.conditions]
    if node.rows_removed:
        notes.append(f"read and thrown away: {node.rows_removed:,.0f} rows")
    if node.heap_fetches is not None:
        notes.append(f"Heap Fetches: {node.heap_fetches:,}")
    if (node.index_searches or 0) > 1:
        notes.append(f"Index Searches: {node.index_searches:,}")
    figures = [f"{node.rows_estimated:,.0f}"]
    if not plan.analyzed:
        figures += [f"{node.cost:,.1f}"]
    elif node.loops == 0:
        notes.append("never executed")
        figures += ["", "0", "", ""]
    else:
        if node.off_by >= OFF_BY and not stopped and node.kind not in NO_ROWS:
            notes.append(f"the estimate is off by {node.off_by:,.0f}×")
        figures += [
            f"{node.rows_per_loop:,.2f}".removesuffix(".00"),
            f"{node.loops:,}",
            f"{node.hit:,} + {node.read:,}",
            f"{node.milliseconds:,.2f}",
        ]
    return _Line(depth, node.name, tuple(notes), tuple(figures))


def _foot(plan: Plan) -> str:
    if not plan.analyzed:
        return "estimated only, not executed"
    wal = f", {plan.wal_bytes:,} bytes of WAL" if plan.wal_bytes else ""
    return f"{plan.buffers:,} buffers in all{wal}; planned in {plan.planning_ms:.2f} ms, run in {plan.execution_ms:.2f} ms"


def _html(names: list[str], lines: list[_Line], caption: str, foot: str) -> str:
    def cell(tag: str, body: str, side: str = "right") -> str:
        return f'<{tag} style="text-align:{side};vertical-align:top">{body}</{tag}>'

    rows = [
        cell("td", _node_html(line), "left")
        + "".join(cell("td", figure) for figure in line.figures)
        for line in lines
    ]
    head = cell("th", names[0], "left") + "".join(cell("th", name) for name in names[1:])
    top = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table>{top}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><small>{foot}</small>"


def _node_html(line: _Line) -> str:
    """A node in lists that are nested as deep as it lies.

    A line that is wrapped stays under its beginning, in either theme; and lists are left where GitHub
    and VS Code drop the styles.
    """
    body = f"<b>{html.escape(line.name)}</b>"
    body += "".join(f"<div><small>{_note_html(note)}</small></div>" for note in line.notes)
    if not line.depth:
        return body
    opened = "<ul style=\"margin:0;padding-left:1.2em;list-style-type:'└ '\"><li>"
    outer = '<ul style="margin:0;padding-left:1.2em;list-style-type:none"><li>'
    return outer * (line.depth - 1) + opened + body + "</li></ul>" * line.depth


def _note_html(note: str) -> str:
    if len(note) <= LONG:
        return html.escape(note)
    start = html.escape(note[:LONG].rsplit(" ", 1)[0])
    return f"<details><summary>{start} …</summary>{html.escape(note)}</details>"


def _plain(names: list[str], lines: list[_Line], caption: str, foot: str) -> str:
    rows: list[tuple[str, ...]] = [tuple(names)]
    for line in lines:
        margin = "   " * (line.depth - 1) + "└─ " if line.depth else ""
        rows.append((margin + line.name, *line.figures))
        under = "   " * line.depth + "   "
        rows += [(under + note, *[""] * len(line.figures)) for note in line.notes]
    # Notes may be longer than the column: nothing is beside them.
    names_only = [row[0] for row in rows if any(row[1:])]
    widths = [
        max(map(len, names_only)),
        *(max(map(len, c)) for c in list(zip(*rows, strict=True))[1:]),
    ]
    told = [
        "  ".join(
            text.ljust(width) if n == 0 else text.rjust(width)
            for n, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*([caption] if caption else []), *told, foot])
