"""Plans: read from every PostgreSQL of this machine alike, and drawn so that a reader finds the work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import Connection

from helpers import services
from helpers.plans import NothingFound, explain, read_plan, show_plan
from helpers.receipts import did_of
from helpers.services import availability

pytestmark = pytest.mark.reference_only

TIERS = [tier for tier, why in availability.tiers().items() if why is None]


@pytest.fixture(params=TIERS, scope="module")
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A table of 10,000 flights with an index on the tail."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_SERVICES", request.param)
        server = services.postgres(settings={"autovacuum": "off", "jit": "off"})
    with server, server.connect(autocommit=True) as connection:
        connection.execute("create table flights (id int, tail text, delay int)")
        connection.execute(
            "insert into flights select n, 'N' || n % 500, n % 60 from generate_series(1, 10000) n"
        )
        connection.execute("create index tails on flights (tail)")
        connection.execute("vacuum analyze flights")
        yield connection


def test_totals_are_over_all_loops(connection: Connection) -> None:
    plan = explain(
        connection,
        "select count(*) from generate_series(1, 5) k, "
        "lateral (select 1 from flights where tail = 'N' || k offset 0) found",
    )
    scan = plan.scan
    assert (scan.loops, scan.rows, scan.relation) == (5, 100, "flights")
    assert plan.rows == 1


def test_estimates_are_per_loop(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        for kind in ("hashjoin", "mergejoin", "memoize", "material"):
            connection.execute(f"set local enable_{kind} = off")
        plan = explain(
            connection,
            "select count(*) from generate_series(1, 50) n join flights on flights.tail = 'N' || n",
        )
    assert plan.scan.loops == 50
    assert plan.scan.rows_per_loop == 20
    assert plan.scan.rows_estimated == pytest.approx(20, abs=2)  # as the server printed it
    assert plan.scan.off_by < 1.2


def test_buffers_are_hit_plus_read_and_belong_to_a_node(connection: Connection) -> None:
    [size] = connection.execute("select pg_relation_size('flights') / 8192").fetchone()
    plan = explain(connection, "select sum(delay) from flights")
    assert plan.kinds == ["Aggregate", "Seq Scan"]
    assert plan.buffers == plan.scan.buffers == size
    assert plan.root.own_buffers == 0


def test_an_index_only_scan_says_its_heap_fetches(connection: Connection) -> None:
    plan = explain(connection, "select count(*) from flights where tail = 'N7'")
    assert (plan.scan.kind, plan.indexes, plan.heap_fetches) == ("Index Only Scan", ["tails"], 0)
    assert explain(connection, "select 1").heap_fetches is None


def test_an_estimate_is_not_executed(connection: Connection) -> None:
    plan = explain(connection, "delete from flights", analyze=False)
    assert not plan.analyzed
    assert connection.execute("select count(*) from flights").fetchone() == (10_000,)


@pytest.mark.parametrize(
    "statement",
    [
        "select * from flights where tail = 'N501'",
        "select sum(delay) from flights where tail = 'N501'",
        "select id from flights limit 0",
        "update flights set delay = 0 where id = 0",
    ],
)
def test_a_statement_that_finds_nothing_is_refused(connection: Connection, statement: str) -> None:
    with pytest.raises(NothingFound, match=r"no row was found: (select|update)"):
        explain(connection, statement)
    assert explain(connection, statement, may_be_empty=True).analyzed


def test_buffers_carry_the_rows_that_were_found(connection: Connection) -> None:
    plan = explain(connection, "select sum(delay) from flights where tail = 'N7'")
    assert did_of(plan.buffers) == (20,)
    assert did_of(plan.buffers / 10) == (20,)


def test_what_is_written_can_be_asked_for(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        plan = explain(connection, "update flights set delay = 0 where id = 1", wal=True)
    assert plan.wal_bytes > 0


def test_the_drawing_has_a_line_a_node_and_points_at_wrong_guesses(
    connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = explain(connection, "select * from flights where id % 2 = 0 and delay + 0 = id % 60")
    assert plan.scan.off_by >= 10
    show_plan(plan, caption="Even flights")
    said = capsys.readouterr().out
    assert "Even flights" in said
    assert "Seq Scan on flights" in said
    assert "the estimate is off by" in said
    assert "read and thrown away: 5,000 rows" in said


def test_a_stored_plan_can_be_read() -> None:
    node = {"Node Type": "Seq Scan", "Relation Name": "flights", "Plan Rows": 7, "Total Cost": 1.5}
    plan = read_plan([{"Plan": node}], analyzed=False)
    assert (plan.scan.name, plan.scan.rows_estimated) == ("Seq Scan on flights", 7)


def nested(depth: int, condition: str = "true") -> dict[str, object]:
    below = [nested(depth - 1, condition)] if depth else []
    kind = "Nested Loop" if depth else "Seq Scan"
    return {
        "Node Type": kind,
        "Join Type": "Inner",
        "Plan Rows": 7,
        "Total Cost": 1.5,
        "Filter": condition,
        "Plans": below,
    }


def test_a_long_condition_is_folded_and_a_deep_node_stands_under_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []
    monkeypatch.setattr("helpers.figures._show", lambda body, *_: shown.append(body))
    condition = " and ".join(f"delay <> {n}" for n in range(20))
    show_plan(read_plan([{"Plan": nested(2, condition)}], analyzed=False))
    [body] = shown
    assert body.count("<details><summary>Filter: delay &lt;&gt; 0") == 3
    assert body.count("delay &lt;&gt; 19</details>") == 3, "all of it, on demand"
    last = body.rsplit("<tr>", 1)[1]
    assert last.count("<ul ") == last.count("</ul>") == 2
