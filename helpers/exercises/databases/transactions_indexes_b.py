"""Exercises of 3.1, the sitting on indexes: a small covering index, indexes that can go.

Each check works on a database of its own, a copy of one that holds nothing but the flights. The sitting on plans uses
the same server and the same copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import probe, shown
from helpers.labs.databases import indexes as lab
from helpers.plans import Plan, explain

TEMPLATE, OWN = "exercise_flights", "exercise_own"
MIB = 2**20


def flights_server() -> Any:
    """The notebook's PostgreSQL (one of its own elsewhere) with a database that holds the flights.

    They are loaded here and not in the box, whose memory a frame of all flights would exceed.
    """
    server = lab.watched_server()
    _hold_flights(server)
    return server


def _hold_flights(server: Any) -> None:
    """A database of the server holds the flights; it is made if it is not there."""
    with server.connect(dbname="postgres", autocommit=True) as connection:
        there = connection.execute("select 1 from pg_database where datname = %s", [TEMPLATE])
        if there.fetchone():
            return
        connection.execute(f"drop database if exists {TEMPLATE}_unready with (force)")
        # Texts in the order of their bytes: statistics and indexes are made in a fraction of the time.
        connection.execute(
            f"create database {TEMPLATE}_unready template template0 lc_collate 'C' lc_ctype 'C'"
        )
    with server.connect(dbname=f"{TEMPLATE}_unready", autocommit=True) as connection:
        connection.execute(lab.CREATE_FLIGHTS)
        lab.copy_in(connection, "flights", lab.flights())
        connection.execute("alter table flights add primary key (flight_id)")
        connection.execute("analyze flights")
        # What every copy must still hold when an answer is done.
        connection.execute(f"comment on database {TEMPLATE}_unready is '{_content(connection)}'")
    with server.connect(dbname="postgres", autocommit=True) as connection:
        connection.execute(f"alter database {TEMPLATE}_unready rename to {TEMPLATE}")


@contextmanager
def own_database(server: Any, template: str = TEMPLATE) -> Iterator[Callable[[], Any]]:
    """A function that opens connections to a fresh copy of a database, which is dropped at the end."""
    with server.connect(dbname="postgres", autocommit=True) as admin:
        _forget_settings(admin)  # and the database, of a check that was ended
        admin.execute(f"drop database if exists {OWN} with (force)")
        admin.execute(f"create database {OWN} template {template}")
        try:
            yield lambda: server.connect(dbname=OWN, autocommit=True)
        finally:
            _forget_settings(admin)
            admin.execute(f"drop database if exists {OWN} with (force)")


def _forget_settings(admin: Any) -> None:
    """Whatever an answer set for good, for everybody too, and what a reload has already brought."""
    admin.execute("alter role all reset all")
    admin.execute("alter role current_user reset all")
    admin.execute("alter system reset all")
    admin.execute("select pg_reload_conf()")


def obey(connect: Callable[[], Any], statements: Any) -> None:
    """Run an answer's statements, each outside a transaction; `Wrong` for what is none, or fails."""
    import psycopg

    if isinstance(statements, str) or not isinstance(statements, Sequence):
        raise Wrong(f"Return a list of SQL statements, got {shown(statements)}.")
    for statement in statements:
        if not isinstance(statement, str):
            raise Wrong(f"Each statement is a string, got {shown(statement)}.")
    with connect() as connection:
        shape = _shape(connection)
        for statement in statements:
            try:
                connection.execute(statement)
            except psycopg.Error as problem:
                raise Wrong(f"PostgreSQL refused {shown(statement)}: {problem}") from None
        if changed := shape ^ _shape(connection):
            how = "gone" if changed & shape else "new"
            raise Wrong(
                f"{min(changed)} of flights is {how}: columns, rules and settings of the table must stay as they are."
            )
        if _content(connection) != _promised(connection):
            raise Wrong(
                "The data must stay as they are: rows of flights are missing, new, or have other values."
            )
        kept = connection.execute(
            "select unnest(setconfig) from pg_db_role_setting union all "
            # A server may keep notes of its own there: 17.12 does, as pg_attver.
            "select option from pg_attribute, unnest(attoptions) option "
            "where not starts_with(option, 'pg_') union all "
            "select name from pg_file_settings where sourcefile like '%auto.conf'"
        ).fetchone()
        if kept:
            raise Wrong(
                f"{kept[0]} was set for good. That is another planner, not a better informed one: the check "
                "wants the settings as they are."
            )


def _content(connection: Any) -> str:
    """A hash over all rows of flights, whole, in whatever order."""
    return connection.execute(
        "select count(*) || ' ' || coalesce(sum(hash_record_extended(f, 0)::numeric), 0) from flights f"
    ).fetchone()[0]


def _promised(connection: Any) -> str:
    """The hash of the rows as they were when the template was made."""
    return connection.execute(
        "select shobj_description(oid, 'pg_database') from pg_database where datname = %s",
        [TEMPLATE],
    ).fetchone()[0]


def _shape(connection: Any) -> set[str]:
    """The table's columns, rules, triggers and options."""
    rows = connection.execute("""
        select 'column ' || attname || ' ' || format_type(atttypid, atttypmod) || case when attnotnull then ' not null' else '' end
            from pg_attribute where attrelid = 'flights'::regclass and attnum > 0 and not attisdropped
        union all select 'default ' || pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 'flights'::regclass
        union all select 'constraint ' || conname || ' ' || pg_get_constraintdef(oid) from pg_constraint
            where conrelid = 'flights'::regclass
        union all select 'trigger ' || tgname from pg_trigger where tgrelid = 'flights'::regclass
        union all select 'rule ' || rulename from pg_rewrite where ev_class = 'flights'::regclass
        union all select 'option ' || unnest(reloptions) from pg_class where oid = 'flights'::regclass
        union all select 'kind ' || relkind::text || relpersistence::text from pg_class where oid = 'flights'::regclass
    """)
    return {what for (what,) in rows}


# ---- an index alone, and a small one ---------------------------------------------------------

BOARD = "select flight, dep_delay from flights where origin = '{}' and dep_delay >= {}"


@exercise(
    "transactions_indexes.board_of_delays",
    hints=(
        "Three things are wanted at once: an index that has every column of the query, few entries, and pages "
        "of the table that are known to be visible to everybody. One statement does not do all three.",
        "An index with a WHERE of its own holds 9,888 of the 336,776 flights and serves every threshold that "
        "implies its condition. Which column does the query return that its conditions do not mention?",
        "create index on flights (origin, dep_delay) include (flight) where dep_delay >= 120; then vacuum "
        "flights (a plain one: VACUUM FULL writes the table anew and marks no page).",
    ),
    why="The condition of the query implies the condition of the index for every threshold from 120 on, so "
    "3 % of the entries serve them all. Equality comes first, the range second, and `flight` comes along because "
    "the query returns it. VACUUM set the visibility map; without it the planner, which knows how much of the "
    "map is set, does not even choose the index alone.",
    stretch="Tomorrow's import changes 1,000 flights at random. How many heap fetches will the board cost then? "
    "Which setting of the table brings autovacuum before that hurts?",
    seconds=120,
    uses=flights_server,
    rows=("environment",),
)
def check_board_of_delays(board_of_delays: Callable[[], list[str]], server: Any) -> None:
    """Every airport, several thresholds: index-only, no heap fetches; all indexes within 1 MiB."""
    statements = board_of_delays()
    with own_database(server) as connect:
        obey(connect, statements)
        with connect() as connection:
            size = _size_of_indexes(connection)
            for airport in ("LGA", "EWR", "JFK"):
                for threshold in (120, 121, 180, 300):
                    query = BOARD.format(airport, threshold)
                    _from_index_alone(connection, query, explain(connection, query))
            if size > MIB:
                raise Wrong(
                    f"Index-only it is, but your indexes take {size / MIB:.1f} MiB, and 1 MiB was to be had. "
                    "Nobody asks for a delay below 120 minutes: why should the index know those flights?"
                )


def _size_of_indexes(connection: Any) -> int:
    return connection.execute(
        "select coalesce(sum(pg_relation_size(indexrelid)), 0)::bigint from pg_index "
        "where indrelid = 'flights'::regclass and not indisprimary"
    ).fetchone()[0]


def _from_index_alone(connection: Any, query: str, plan: Plan) -> None:
    scan = plan.scan
    if scan.kind == "Index Only Scan" and scan.heap_fetches == 0:
        return
    asked = query.partition("where ")[2]
    if scan.kind == "Index Only Scan":
        raise Wrong(
            f"For {asked} it is an Index Only Scan with Heap Fetches: {scan.heap_fetches:,}. The index has all "
            "columns; what is missing is the mark that all rows of a page are visible to everybody."
        )
    marked, pages = connection.execute(
        "select relallvisible, relpages from pg_class where oid = 'flights'::regclass"
    ).fetchone()
    used = [node.index for node in plan.nodes if node.index]
    columns = _columns_of(connection, used[0]) if used else set()
    if {"origin", "dep_delay", "flight"} <= columns and marked < pages:
        raise Wrong(
            f"For {asked} the plan is a {scan.kind}: {used[0]} has all the columns, but {marked:,} of the "
            f"table's {pages:,} pages are marked as visible to everybody, so the planner expects to visit the "
            "table anyway. Who sets those marks?"
        )
    if used:
        has = f"{used[0]} has {', '.join(sorted(columns))}"
        raise Wrong(
            f"For {asked} the plan is a {scan.kind} on {used[0]}, which fetches rows from the table. The query "
            f"needs origin, dep_delay and flight; {has}."
        )
    raise Wrong(
        f"For {asked} the plan is a {scan.kind}: no index of yours serves it. The board asks for every airport, "
        "and for every threshold of 120 minutes or more."
    )


def _columns_of(connection: Any, index: str) -> set[str]:
    rows = connection.execute(
        "select attname from pg_attribute where attrelid = %s::regclass", [index]
    )
    return {name for (name,) in rows}


# ---- what can go -----------------------------------------------------------------------------

# Of two indexes that serve alike the planner takes the one that was made last.
FIRST = (
    "create unique index one_departure on flights (carrier, flight, departs)",
    "create index by_tail_and_time on flights (tailnum, departs)",
    "create index by_tail on flights (tailnum)",
    "create index by_time on flights (departs, flight)",
    "create index very_late on flights (departs) where arr_delay > 300",
    "create index by_dest on flights (dest)",
    "create index by_dest_again on flights (dest)",
    "create index by_distance on flights (distance)",
    "create index by_lower_tail on flights (lower(tailnum))",
)
FIRST_MONTH = (
    ("select departs, dest from flights where tailnum = 'N14228'", 5),
    ("select departs, dest from flights where tailnum = 'N827JB' order by departs limit 1", 5),
    ("select flight from flights where departs >= '2013-02-08' and departs < '2013-02-09'", 5),
    ("select flight from flights where arr_delay > 300 and departs < '2013-04-01'", 1),
    ("select flight, departs from flights where dest = 'HNL'", 5),
    ("select flight from flights where lower(tailnum) = 'n14228'", 1),
)
SECOND = (
    "create unique index one_departure on flights (carrier, flight, departs)",
    "create index by_number on flights (carrier, flight)",
    "create index by_tail_and_delay on flights (tailnum, arr_delay, dep_delay, distance)",
    "create index by_tail on flights (tailnum)",
    "create index by_airport_and_dest on flights (origin, dest)",
    "create index by_dest on flights (dest, departs)",
    "create index by_dest_hash on flights using hash (dest)",
    "create index late on flights (dep_delay) where dep_delay > 300",
    "create index lost on flights (arr_delay) where arr_delay > 600",
    "create index by_dest_and_delay on flights (dest, arr_delay)",
    "create index late_by_dest on flights (dest, departs, flight) where dep_delay > 300",
)
SECOND_MONTH = (
    ("select departs, dest from flights where carrier = 'UA' and flight = 1545", 5),
    ("select departs, dest from flights where tailnum = 'N14228'", 5),
    ("select departs from flights where dest = 'HNL' order by departs limit 10", 5),
    ("select count(*) from flights where origin = 'JFK' and dest = 'HNL'", 1),
    ("select flight, departs from flights where dep_delay > 400", 1),
    ("select flight from flights where dest = 'LAX' order by arr_delay limit 10", 5),
    ("select flight from flights where dest = 'LAX' and dep_delay > 300", 1),
)


@exercise(
    "transactions_indexes.useless_indexes",
    hints=(
        "Two lists: what nobody used (`idx_scan = 0` in pg_stat_user_indexes), and what another index does as "
        "well. An index that guards a rule (pg_index.indisunique) is in neither.",
        "An index is redundant if its columns are the *first* columns of another one that stays, in the same "
        "order, of the same kind (pg_class.relam), both without predicate and expressions (indpred, indexprs are "
        "null). `indkey` has the columns; strip the unused first, then look for prefixes among those that stay.",
        "Read name, indisunique, idx_scan, relam, indkey::text, and whether indpred or indexprs is null, of all "
        "indexes of flights. staying = those that are unique or were used. An index of staying can go too if it is "
        "not unique, plain, and another plain btree of staying has an indkey that starts with its own.",
    ),
    why="The statistics know what was used, not what is needed: `by_tail` was used all month, and the wider index "
    "does its work as well; a unique index is never 'scanned' by the inserts that it guards. And the order of the "
    "two steps matters: an unused wide index must not be the excuse for dropping the narrow one that is used.",
    stretch="On a real server: since when do these statistics count (`pg_stat_database.stats_reset`), do the replicas "
    "have queries of their own, and which index serves a foreign key's delete once a year? `pg_stat_user_indexes."
    "last_idx_scan` (from 16) helps with one of the three.",
    seconds=180,
    uses=flights_server,
    rows=("environment",),
)
def check_useless_indexes(useless_indexes: Callable[[Any], Any], server: Any) -> None:
    """Nothing gets slower, no rule is lost, and nothing more could go; in two databases."""
    with server.connect(dbname="postgres", autocommit=True) as connection:
        # An open exercise says so before nine indexes are made. There is no table flights here.
        probe(lambda: useless_indexes(connection))
    for name, indexes, month in (("first", FIRST, FIRST_MONTH), ("second", SECOND, SECOND_MONTH)):
        _strip(useless_indexes, server, _indexed(server, f"exercise_{name}", indexes), month)


def _indexed(server: Any, name: str, indexes: Sequence[str]) -> str:
    """A database of that name with the flights and these indexes, made once a server."""
    with server.connect(dbname="postgres", autocommit=True) as admin:
        if admin.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
            return name
        admin.execute(f"drop database if exists {name}_unready with (force)")
        admin.execute(f"create database {name}_unready template {TEMPLATE}")
        with server.connect(dbname=f"{name}_unready", autocommit=True) as connection:
            for index in indexes:
                connection.execute(index)
            connection.execute("vacuum flights")  # its statistics came with the copy
        admin.execute(f"alter database {name}_unready rename to {name}")
    return name


def _strip(
    useless_indexes: Callable[[Any], Any],
    server: Any,
    template: str,
    month: Sequence[tuple[str, int]],
) -> None:
    with own_database(server, template) as connect:
        with connect() as connection:
            before = {query: explain(connection, query).buffers for query, _ in month}
            for query, times in month:
                for _ in range(times - 1):
                    connection.execute(query)
            connection.execute("select pg_stat_force_next_flush()")
            there = _indexes(connection)
        with connect() as connection:
            answer = useless_indexes(connection)
        with connect() as connection:
            if gone := sorted(there.keys() - _indexes(connection).keys()):
                raise Wrong(
                    f"Your function dropped {', '.join(gone)} itself. It is to return the names only: the check drops them, "
                    "and a colleague may want to look at the list first."
                )
        named = _names(answer, there)
        with connect() as connection:
            for name in named:
                if there[name]:
                    raise Wrong(
                        f"{name} guards a rule: two rows with the same key could be inserted once it is gone. "
                        "Inserts that it checks are not counted as scans."
                    )
            for name in named:
                connection.execute(f'drop index "{name}"')
            for query, pages in before.items():
                if slower := _slower(connection, query, pages):
                    raise Wrong(
                        f"You dropped {', '.join(sorted(named)) or 'nothing'}. Now «{query}» {slower}."
                    )
            _nothing_more(connection, before)


def _indexes(connection: Any) -> dict[str, bool]:
    """Name -> whether it is unique, of all indexes of flights."""
    rows = connection.execute(
        "select indexrelid::regclass::text, indisunique from pg_index where indrelid = 'flights'::regclass"
    )
    return dict(rows.fetchall())


def _names(answer: Any, there: dict[str, bool]) -> set[str]:
    if isinstance(answer, str):
        raise Wrong(f"Return several names, a list for example; got the string {shown(answer)}.")
    try:
        named = set(answer)
    except TypeError:
        raise Wrong(f"Return the names as a list, got {shown(answer)}.") from None
    if unknown := [name for name in named if name not in there]:
        raise Wrong(
            f"There is no index {shown(unknown[0])} on flights; there are {', '.join(sorted(there))}."
        )
    return named


def _slower(connection: Any, query: str, pages: int) -> str | None:
    """How much worse a query is than it was; None up to a tenth and two pages, a level of a wider index."""
    now = explain(connection, query).buffers
    return f"reads {now:,} pages, it was {pages:,}" if now > 1.1 * pages + 2 else None


def _nothing_more(connection: Any, before: dict[str, int]) -> None:
    for name, unique in _indexes(connection).items():
        if unique:
            continue
        with connection.transaction(force_rollback=True):
            connection.execute(f'drop index "{name}"')
            spared = not any(_slower(connection, query, pages) for query, pages in before.items())
        if spared:
            raise Wrong(
                f"{name} is still there, and the whole workload runs as well without it: either nothing used it, "
                "or another index of those that stay begins with the same columns."
            )
