"""Exercises of 3.2: the fewest legs by a recursive CTE, indexes for documents, the last three of each carrier.

Each check works in a database of its own on the notebook's server.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import pairwise
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import same, shown
from helpers.labs.databases import beyond_tables as lab
from helpers.plans import explain

OWN = "exercise_beyond_tables"
MIB = 2**20


@contextmanager
def own_database(server: Any) -> Iterator[Callable[[], Any]]:
    """A function that opens connections to a new, empty database, which is dropped at the end."""
    with server.connect(dbname="postgres", autocommit=True) as admin:
        _forget(admin)
        admin.execute(f"create database {OWN}")
        try:
            yield lambda: server.connect(dbname=OWN, autocommit=True)
        finally:
            _forget(admin)


def _forget(admin: Any) -> None:
    """Drop the database, and take back what an answer set for good."""
    admin.execute(f"drop database if exists {OWN} with (force)")
    admin.execute("alter role all reset all")
    admin.execute("alter role current_user reset all")
    admin.execute("alter system reset all")
    admin.execute(
        "alter tablespace pg_default reset (seq_page_cost, random_page_cost, effective_io_concurrency, "
        "maintenance_io_concurrency)"
    )
    admin.execute("select pg_reload_conf()")


def _text(sql: Any) -> str:
    if not isinstance(sql, str):
        raise Wrong(f"Return one SQL query as a string, got {shown(sql)}.")
    return sql


# ---- the fewest legs -------------------------------------------------------------------------

Leg = tuple[str, str]
SECONDS = 3


def _both_ways(pairs: Sequence[Leg]) -> list[Leg]:
    return [*pairs, *((dest, origin) for origin, dest in pairs)]


def _networks() -> list[tuple[str, list[Leg], str]]:
    """What a network shows, its legs, and the start."""
    line = [f"A{n:02}" for n in range(60)]
    many = [f"M{n:02}" for n in range(20)]
    ring = ["JFK", "BOS", "ORD"]
    return [
        ("one leg each way", [("JFK", "BOS"), ("BOS", "JFK")], "JFK"),
        ("legs in one direction", [("JFK", "BOS"), ("BOS", "ORD"), ("LAX", "JFK")], "JFK"),
        ("a short way and a long one", [("JFK", "BOS"), ("BOS", "ORD"), ("ORD", "LAX"), ("JFK", "LAX")], "JFK"),
        ("a circle", [*zip(ring, ring[1:] + ring[:1], strict=True)], "BOS"),
        ("a start without legs", [("BOS", "ORD")], "JFK"),
        ("no legs at all", [], "JFK"),
        ("a start that other legs lead to only", [("BOS", "JFK")], "JFK"),
        ("an airport named O'Hare", [("JFK", "O'Hare"), ("JFK", "BOS")], "JFK"),
        ("a start named O'Hare", [("O'Hare", "BOS"), ("BOS", "O'Hare")], "O'Hare"),
        ("a leg twice, and one to where it began", [("JFK", "JFK"), ("JFK", "BOS"), ("JFK", "BOS")], "JFK"),
        ("a leg with no destination yet", [("JFK", None), ("JFK", "BOS")], "JFK"),  # type: ignore[list-item]
        ("a line of 60 airports", _both_ways([*pairwise(line)]), "A00"),
        ("20 airports, each with a leg to each", [(a, b) for a in many for b in many if a != b], "M07"),
    ]  # fmt: skip


def _fewest(legs: Sequence[Leg], start: str) -> dict[str, int]:
    """The same by a search in breadth, in Python."""
    found, ahead = {start: 0}, deque([start])
    while ahead:
        here = ahead.popleft()
        for origin, dest in legs:
            if origin == here and dest is not None and dest not in found:
                found[dest] = found[here] + 1
                ahead.append(dest)
    return found


@exercise(
    "beyond_tables.fewest_legs",
    hints=(
        "Two steps: collect (airport, legs so far) by a recursive CTE, then take the smallest number for each "
        "airport. The first step does not end by itself in a circle.",
        "`union` drops a row that was there before, so at each number of legs an airport is there once. What is the "
        "largest number of legs that a *shortest* way can have? It depends on the number of airports.",
        "with recursive reached (airport, legs) as (select %(start)s::text, 0 union select dest, legs + 1 from "
        "reached join legs on origin = airport where legs <= (select count(distinct dest) from legs)) select airport, "
        "min(legs) from reached … group by airport. A column and a table of one name need a qualified name; and what "
        "of a dest that is NULL?",
    ),
    why="A shortest way never visits an airport twice, so it has fewer legs than there are airports: the bound follows "
    "from the data. With `union` a round has one row per airport at most, so the work is about rounds × legs. If each row "
    "carried its path, `union` would drop nothing, and 20 airports have more paths than any disk can hold.",
    stretch="Return one shortest *route* for each airport too: keep these rows, then walk back from the airport, one leg "
    "at a time, always to a neighbour with one leg fewer.",
    uses=lab.postgres,
    seconds=120,
    rows=("apostrophe",),
)
def check_fewest_legs(fewest_legs: Callable[[], str], server: Any) -> None:
    """Thirteen networks, one session each; the query may only read."""
    import psycopg

    sql = _text(fewest_legs())
    with own_database(server) as connect:
        for what, legs, start in _networks():
            with connect() as connection:
                connection.execute("drop table if exists legs")
                connection.execute("create table legs (origin text, dest text)")
                connection.cursor().executemany("insert into legs values (%s, %s)", legs)
                connection.execute(f"set statement_timeout = '{SECONDS}s'")
                connection.execute("set default_transaction_read_only = on")
                try:
                    cursor = connection.execute(sql, {"start": start})
                    got = cursor.fetchall() if cursor.description else []
                except psycopg.errors.QueryCanceled:
                    raise Wrong(
                        f"With {what} the query was still running after {SECONDS} seconds. Which rows can come "
                        "again for ever, or how many paths do you keep?"
                    ) from None
                except psycopg.Error as problem:
                    raise Wrong(
                        f"With {what} PostgreSQL refused the query: {str(problem).splitlines()[0]}"
                    ) from None
            _compare_legs(what, start, got, _fewest(legs, start))


def _compare_legs(what: str, start: str, got: list[Any], expected: dict[str, int]) -> None:
    if any(len(row) != 2 for row in got):
        raise Wrong(f"With {what}: return two columns, airport and legs, got {shown(got[0])}.")
    names = [row[0] for row in got]
    if None in names:
        raise Wrong(f"With {what} there is a row whose airport is NULL. That is no airport.")
    if len(names) != len(set(names)):
        twice = min(name for name in names if names.count(name) > 1)
        raise Wrong(
            f"With {what} {twice} is there {names.count(twice)} times. One row for each airport."
        )
    if start not in names:
        raise Wrong(f"With {what} from {start}: the start itself is missing. It is 0 legs away.")
    if missing := set(expected) - set(names):
        raise Wrong(
            f"With {what} from {start}: {min(missing)} is missing, {expected[min(missing)]} legs away."
        )
    if extra := set(names) - set(expected):
        raise Wrong(f"With {what} from {start}: no legs lead to {min(extra)}, and you return it.")
    for name, count in sorted(got):
        # numeric comes as Decimal
        if not same(
            int(count) if isinstance(count, Decimal) and count == expected[name] else count,
            expected[name],
        ):
            raise Wrong(
                f"With {what} from {start}: {name} is {expected[name]} legs away, got {shown(count)}."
            )


# ---- indexes for documents -------------------------------------------------------------------

DOCUMENTS = """
create table documents as
select i as id, jsonb_build_object(
    'legs', jsonb_build_array(jsonb_build_object('flight', 'UA' || i % 2000, 'seat', i % 60 || 'A')),
    'refused', jsonb_build_array(jsonb_build_object('flight', 'UA' || i % 20)),
    'price', i * 7 % 5000, 'name', 'N' || i % 700)
    || case when i % 500 = 0 then '{"wheelchair": true}' else '{}' end::jsonb as doc
from generate_series(1, 20000) i"""
ASKED = (
    """select id from documents where doc @> '{"legs": [{"flight": "UA7"}]}'""",
    """select id from documents where doc @> '{"legs": [{"flight": "UA1999"}]}'""",
    "select id from documents where (doc ->> 'price')::int >= 4990",
    "select id from documents where (doc ->> 'price')::int between 120 and 122",
    "select id from documents where doc ? 'wheelchair'",
    "select id from documents where (doc ->> 'price')::int between 3 and 5",
)
ROOM = 3 * MIB


@exercise(
    "beyond_tables.document_indexes",
    hints=(
        "Three kinds of condition want three indexes. The matrix of the second experiment says which index knows which "
        "operator, and *which flight under which key* says which of the two GIN classes reads nothing in vain.",
        "The condition on the price compares an expression: index exactly this expression. The wheelchair is a key that "
        "few documents have: an index with a WHERE of its own is very small.",
        "using gin (doc jsonb_path_ops); (((doc ->> 'price')::int)); (id) where doc ? 'wheelchair'. And what does the "
        "planner know about the price, right after CREATE INDEX?",
    ),
    why="An index is matched by its operator and its expression. `jsonb_path_ops` knows the key above a value, so the "
    "flights that were refused are not read. The B-tree on the expression gets statistics with the next ANALYZE; before "
    "it the planner expects a third of the rows for `>=`. The key alone is in no index of paths, "
    "but a partial index needs only the 40 documents that have it.",
    stretch="Which of the three would still work if the application wrote `doc['price']::int`? Try it, and read the plan.",
    uses=lab.postgres,
    seconds=120,
    rows=("environment",),
)  # fmt: skip
def check_document_indexes(document_indexes: Callable[[], list[str]], server: Any) -> None:
    """Each query through an index, reading little in vain; 3 MiB in all; data and settings as they were."""
    import psycopg

    statements = document_indexes()
    if isinstance(statements, str) or not isinstance(statements, Sequence):
        raise Wrong(f"Return a list of SQL statements, got {shown(statements)}.")
    with own_database(server) as connect:
        with connect() as connection:
            connection.execute(DOCUMENTS)
            connection.execute("analyze documents")
            before = _state(connection)
        with connect() as connection:
            for statement in statements:
                try:
                    connection.execute(_text(statement))
                except psycopg.Error as problem:
                    raise Wrong(
                        f"PostgreSQL refused {shown(statement)}: {str(problem).splitlines()[0]}"
                    ) from None
        with connect() as connection:
            if _state(connection) != before:
                raise Wrong(
                    "The table, its rows, columns or settings are not as they were. Only indexes and statistics are wanted."
                )
            for query in ASKED:
                _through_an_index(connection, query)
            size = connection.execute(
                "select coalesce(sum(pg_relation_size(indexrelid)), 0)::bigint from pg_index "
                "where indrelid = 'documents'::regclass"
            ).fetchone()[0]
            if size > ROOM:
                raise Wrong(
                    f"Your indexes take {size / MIB:.1f} MiB, and {ROOM / MIB:.0f} MiB is the limit. Which of them holds "
                    "documents that nobody looks for?"
                )


def _state(connection: Any) -> list[Any]:
    """The table, its rows and columns, and settings that were made for good."""
    return connection.execute("""
        select 'table', 'documents'::regclass::oid::text
        union all select 'rows', count(*) || ' ' || sum(hashtextextended(d::text, 0)::numeric) from documents d
        union all select 'column', attname || ' ' || atttypid::regtype from pg_attribute
            where attrelid = 'documents'::regclass and attnum > 0
        union all select 'setting', unnest(setconfig) from pg_db_role_setting
        union all select 'setting', name from pg_file_settings where sourcefile like '%auto.conf'
        union all select 'setting', unnest(spcoptions) from pg_tablespace
        union all select 'setting', unnest(reloptions) from pg_class where oid = 'documents'::regclass
        order by 1, 2""").fetchall()


def _through_an_index(connection: Any, query: str) -> None:
    asked = query.partition("where ")[2]
    plan = explain(connection, query)
    if not plan.indexes:
        raise Wrong(
            f"For {asked} the plan is a {plan.scan.kind} that expects {plan.scan.rows_estimated:,.0f} rows and finds "
            f"{plan.rows:,.0f}. Is there an index for this operator and this expression, and does the planner know "
            "how many rows it selects?"
        )
    if plan.scan.rows_removed > plan.rows:
        raise Wrong(
            f"For {asked} an index is used, but {plan.scan.rows_removed:,.0f} rows were read and thrown away for "
            f"{plan.rows:,.0f} that were wanted. Does the index know under which key a value is?"
        )
    if plan.scan.off_by > 50:
        raise Wrong(
            f"For {asked} an index is used, but the planner expects {plan.scan.rows_estimated:,.0f} rows, and there are "
            f"{plan.rows:,.0f}. It will choose badly in a join. Who tells it about an expression?"
        )


# ---- the last three --------------------------------------------------------------------------

DEPARTURES = (
    "create table carriers (code text primary key, name text)",
    "create table departures (id int, carrier text, departs timestamp)",
    """insert into departures select i, 'C' || i % 16, timestamp '2013-01-01' + i::bigint * i % 7919 * interval '1 hour'
       from generate_series(1, 60000) i""",
    "insert into departures values (70001, 'D1', '2013-05-01'), (70002, 'D1', '2013-04-01'), (70003, 'D2', '2013-03-01')",
    "create index on departures (carrier, departs desc, id desc)",
    """insert into carriers select code, 'Carrier ' || code from
       (select 'C' || i as code from generate_series(0, 15) i union values ('D1'), ('D2'), ('E1'), ('E2')) c""",
    "vacuum analyze departures",
    "vacuum analyze carriers",
)
PAGES = 300
MOVED = "After some departures moved by a year"
# The last one has the same rows in another index. There a query without an order of its own finds another third one.
ROUNDS = (
    ("", "select 1"),
    (MOVED, "update departures set departs = departs + interval '1 year' where id % 1000 = 7"),
    (
        "With another index, and two departures at the same time",
        """drop index departures_carrier_departs_id_idx;
        insert into departures values (70011, 'D1', '2013-03-01'), (70012, 'D1', '2013-03-01');
        create index on departures (carrier, departs desc, id); analyze departures""",
    ),
)


@exercise(
    "beyond_tables.last_three",
    hints=(
        "A window function numbers all 60,000 rows before you throw them away. You want to look into the index once "
        "for each carrier, and take three entries.",
        "`from carriers c, lateral (select … where carrier = c.code order by … limit 3) d` runs the subquery once for "
        "each carrier. A carrier without departures disappears from a plain join.",
        "select c.code, d.departs, d.id from carriers c left join lateral (select departs, id from departures where "
        "carrier = c.code order by departs desc, id desc limit 3) d on true. And the order of the result?",
    ),
    why="A subquery in FROM cannot see the tables beside it; `lateral` lets it. So it can have a LIMIT of its own for each "
    "carrier, and each run reads three entries of the index. `left join … on true` keeps a carrier whose subquery "
    "returns no row.",
    stretch="Do it without the table carriers: find the carriers by a recursive CTE that jumps from one to the next in the "
    "index (a *loose index scan*).",
    uses=lab.postgres,
    seconds=120,
    rows=("again",),
)
def check_last_three(last_three: Callable[[], str], server: Any) -> None:
    """The right rows in the right order, on three sets of data; few pages."""
    import psycopg

    sql = _text(last_three())
    with own_database(server) as connect, connect() as connection:
        for statement in DEPARTURES:
            connection.execute(statement)
        for what, change in ROUNDS:
            connection.execute("set default_transaction_read_only = off")
            connection.execute(change)
            connection.execute("set default_transaction_read_only = on")
            try:
                cursor = connection.execute(sql)
                got = cursor.fetchall() if cursor.description else []
            except psycopg.Error as problem:
                raise Wrong(
                    f"PostgreSQL refused the query: {str(problem).splitlines()[0]}"
                ) from None
            _compare_departures(what, got, _last_three(connection))
            if what == MOVED and (pages := explain(connection, sql).buffers) > PAGES:
                raise Wrong(
                    f"The rows are right. The query reads {pages:,} pages, and {PAGES} is the limit: three entries of "
                    "the index for each carrier."
                )


def _last_three(connection: Any) -> list[Any]:
    """The rows that are wanted, worked out in Python."""
    departures: dict[str, list[Any]] = {}
    for number, carrier, departs in connection.execute(
        "select id, carrier, departs from departures"
    ):
        departures.setdefault(carrier, []).append((departs, number))
    codes = sorted(code for (code,) in connection.execute("select code from carriers"))
    return [
        (code, departs, number)
        for code in codes
        for departs, number in sorted(departures.get(code, []), reverse=True)[:3] or [(None, None)]
    ]


def _compare_departures(what: str, got: list[Any], expected: list[Any]) -> None:
    when = f"{what}: " if what else ""
    if any(len(row) != 3 for row in got):
        raise Wrong(f"{when}Return three columns, code, departs and id, got {shown(got[0])}.")
    for n, (mine, wanted) in enumerate(zip(got, expected, strict=False), 1):
        if tuple(mine) != wanted:
            raise Wrong(f"{when}Row {n}: expected {_row(wanted)}, got {_row(mine)}.")
    if len(got) != len(expected):
        raise Wrong(f"{when}Expected {len(expected)} rows, got {len(got)}.")


def _row(row: Any) -> str:
    return f"({', '.join('NULL' if field is None else str(field) for field in row)})"
