"""Exercises of 3.1, the sitting on plans: estimates put right, and a plan's text read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import same, shown
from helpers.exercises.databases.transactions_indexes_b import flights_server, obey, own_database
from helpers.plans import explain

# ---- why does it expect that? ----------------------------------------------------------------

ESTIMATED = {
    "the rows of one route": "select * from flights where origin = 'EWR' and carrier = 'MQ' and dest = 'ORD'",
    "the groups": "select carrier, origin, dest from flights group by carrier, origin, dest",
}
WHY_OFF = {
    "the rows of one route": "It multiplies three shares as if the columns knew nothing of each other. Which "
    "statistics know how often each *combination* occurs?",
    "the groups": "It multiplies how many carriers, airports and destinations there are. Which statistics count "
    "the combinations that *exist*?",
}


@exercise(
    "transactions_indexes.right_estimates",
    hints=(
        "Both errors have one cause: three columns that know each other, and statistics of each alone. They need "
        "two different things from the statistics of the three together.",
        "`create statistics` has kinds: `mcv` for conditions, `ndistinct` for groups, `dependencies`. None of them "
        "holds anything before the next ANALYZE.",
        "create statistics route (mcv, ndistinct) on carrier, origin, dest from flights; then analyze flights. "
        "(Without a list of kinds you get all three.)",
    ),
    why="For the condition the planner looks the combination up in the list of common ones; for the groups it takes "
    "the number of distinct combinations. Each kind serves its own question, and both are made by ANALYZE, which "
    "is the step most often forgotten. 439 combinations fit into the list; with a million only the most common "
    "would.",
    stretch="`select … from flights join planes using (tailnum) where manufacturer = 'BOEING' and carrier = 'UA'` is off "
    "too. Try to cure it, and find out what extended statistics cannot do.",
    seconds=120,
    uses=flights_server,
    rows=("environment",),
)
def check_right_estimates(right_estimates: Callable[[], list[str]], server: Any) -> None:
    """Both estimates within a factor of 1.5, data and settings untouched."""
    statements = right_estimates()
    with own_database(server) as connect:
        obey(connect, statements)
        with connect() as connection:
            made = connection.execute("select count(*) from pg_statistic_ext").fetchone()[0]
            filled = connection.execute("select count(*) from pg_statistic_ext_data").fetchone()[0]
            for what, query in ESTIMATED.items():
                root = explain(connection, query).root
                if root.off_by <= 1.5:
                    continue
                said = f"For {what} the planner expects {root.rows_estimated:,.0f}, there are {root.rows:,.0f}. "
                if made and not filled:
                    raise Wrong(
                        f"{said}Your statistics object is there, and empty: who fills it, and when?"
                    )
                raise Wrong(said + WHY_OFF[what])


# ---- where the pages went --------------------------------------------------------------------

# Texts that PostgreSQL 17.12 and 18.4 printed over the flights, with what each node did itself.
LOOPS = """\
Nested Loop  (cost=4.63..13536.24 rows=6780 width=17) (actual time=0.072..14.273 rows=3273.00 loops=1)
  Buffers: shared hit=3500 read=47
  ->  Seq Scan on planes p  (cost=0.00..67.53 rows=82 width=15) (actual time=0.028..0.165 rows=83.00 loops=1)
        Filter: (seats > 350)
        Rows Removed by Filter: 3239
        Buffers: shared hit=26
  ->  Bitmap Heap Scan on flights f  (cost=4.63..163.42 rows=83 width=14) (actual time=0.029..0.166 rows=39.43 loops=83)
        Recheck Cond: (p.tailnum = tailnum)
        Heap Blocks: exact=3272
        Buffers: shared hit=3474 read=47
        ->  Bitmap Index Scan on of_tail  (cost=0.00..4.61 rows=83 width=0) (actual time=0.025..0.025 rows=39.43 loops=83)
              Index Cond: (tailnum = p.tailnum)
              Index Searches: 83
              Buffers: shared hit=202 read=47
Planning:
  Buffers: shared hit=112 read=1
Planning Time: 0.812 ms
Execution Time: 14.391 ms"""

NEVER = """\
Append  (cost=554.17..930.28 rows=2 width=14) (actual time=5.222..5.228 rows=1 loops=1)
  Buffers: shared hit=219 read=38
  ->  Result  (cost=554.17..921.83 rows=1 width=14) (actual time=5.137..5.140 rows=0 loops=1)
        One-Time Filter: (InitPlan 2).col1
        Buffers: shared hit=218 read=35
        InitPlan 2
          ->  Bitmap Heap Scan on weather  (cost=205.58..554.17 rows=1 width=0) (actual time=5.134..5.135 rows=0 loops=1)
                Recheck Cond: (origin = 'JFK'::text)
                Filter: (temp > '1000'::double precision)
                Rows Removed by Filter: 8706
                Heap Blocks: exact=218
                Buffers: shared hit=218 read=35
                ->  Bitmap Index Scan on at_hour  (cost=0.00..205.58 rows=8706 width=0) (actual time=0.739..0.739 rows=8706 loops=1)
                      Index Cond: (origin = 'JFK'::text)
                      Buffers: shared read=35
        ->  Seq Scan on planes p  (cost=0.00..67.53 rows=1 width=6) (never executed)
              Filter: (seats > 400)
        SubPlan 1
          ->  Aggregate  (cost=300.12..300.13 rows=1 width=8) (never executed)
                ->  Bitmap Heap Scan on flights f  (cost=5.07..299.91 rows=83 width=8) (never executed)
                      Recheck Cond: (tailnum = p.tailnum)
                      ->  Bitmap Index Scan on of_tail  (cost=0.00..5.04 rows=83 width=0) (never executed)
                            Index Cond: (tailnum = p.tailnum)
  ->  Index Scan using flights_pkey on flights  (cost=0.42..8.44 rows=1 width=14) (actual time=0.082..0.082 rows=1 loops=1)
        Index Cond: (flight_id = 5)
        Buffers: shared hit=1 read=3
Planning:
  Buffers: shared hit=14
Planning Time: 0.540 ms
Execution Time: 5.278 ms"""

BATCHES = """\
Aggregate  (cost=22901.15..22901.16 rows=1 width=8) (actual time=464.768..464.772 rows=1 loops=1)
  Buffers: shared hit=7056, temp read=1405 written=1405
  ->  Hash Join  (cost=12750.46..22754.49 rows=58665 width=6) (actual time=176.653..415.876 rows=58665 loops=1)
        Hash Cond: ((f.flight_id + 1) = g.flight_id)
        Buffers: shared hit=7056, temp read=1405 written=1405
        ->  Seq Scan on flights f  (cost=0.00..7737.70 rows=58665 width=4) (actual time=0.018..82.230 rows=58665 loops=1)
              Filter: (carrier = 'UA'::text)
              Rows Removed by Filter: 278111
              Buffers: shared hit=3528
        ->  Hash  (cost=6895.76..6895.76 rows=336776 width=10) (actual time=164.615..164.616 rows=336776 loops=1)
              Buckets: 65536  Batches: 16  Memory Usage: 1416kB
              Buffers: shared hit=3528, temp written=1224
              ->  Seq Scan on flights g  (cost=0.00..6895.76 rows=336776 width=10) (actual time=0.003..65.463 rows=336776 loops=1)
                    Buffers: shared hit=3528
Planning Time: 0.172 ms
Execution Time: 464.824 ms"""

OWN: dict[str, list[tuple[str, int, int]]] = {
    LOOPS: [
        ("Nested Loop", 3273, 0),
        ("Seq Scan on planes p", 83, 26),
        ("Bitmap Heap Scan on flights f", 3273, 3272),
        ("Bitmap Index Scan on of_tail", 3273, 249),
    ],
    NEVER: [
        ("Append", 1, 0),
        ("Result", 0, 0),
        ("Bitmap Heap Scan on weather", 0, 218),
        ("Bitmap Index Scan on at_hour", 8706, 35),
        ("Seq Scan on planes p", 0, 0),
        ("Aggregate", 0, 0),
        ("Bitmap Heap Scan on flights f", 0, 0),
        ("Bitmap Index Scan on of_tail", 0, 0),
        ("Index Scan using flights_pkey on flights", 1, 4),
    ],
    BATCHES: [
        ("Aggregate", 1, 0),
        ("Hash Join", 58665, 0),
        ("Seq Scan on flights f", 58665, 3528),
        ("Hash", 336776, 0),
        ("Seq Scan on flights g", 336776, 3528),
    ],
}


@exercise(
    "transactions_indexes.own_pages",
    hints=(
        "Three rules: rows are averages per loop, Buffers are sums over all loops, and Buffers include the nodes below. "
        "Which line is a node at all?",
        "A node's line has `  (cost=` in it; the text before it, without the spaces and the arrow, is the name. The "
        "parent of a node is the nearest node above it that is indented less. A node that was never executed has "
        "neither rows nor a Buffers line.",
        "Keep a list of [indentation, name, rows, pages]. Of a Buffers line take hit and read of the part that begins "
        "with `shared`, and leave out what follows `temp`. Stop at the line `Planning:`. In the end subtract each "
        "node's pages from those of its parent, bottom up or from a copy.",
    ),
    why="The line with most pages is always the top one, because each node counts those below. What a node did itself "
    "is the difference, and what a loop did must be multiplied. Tools that colour plans do these two steps.",
    stretch="Run it on a plan with a CTE that is scanned: the pages of the CTE are counted below the node that owns it *and* "
    "at the CTE Scan that asks for its rows, and a difference becomes negative. What would you report?",
    seconds=20,
    rows=("again",),
)
def check_own_pages(own_pages: Callable[[str], Any]) -> None:
    """Three plans, of 17 and of 18, one of them twice."""
    for text in (*OWN, LOOPS):
        _own_pages(own_pages, text)


def _own_pages(own_pages: Callable[[str], Any], text: str) -> None:
    expected = OWN[text]
    got = own_pages(text)
    if not isinstance(got, (list, tuple)):
        raise Wrong(f"Return a list of (name, rows, pages), one for each node; got {shown(got)}.")
    found = [tuple(node) if isinstance(node, (list, tuple)) else node for node in got]
    which = f"The plan that begins with {text[:12].split('  ')[0]!r}"
    if len(found) != len(expected):
        raise Wrong(f"{which} has {len(expected)} nodes, you return {len(found)}: {shown(found)}.")
    for its, mine in zip(expected, found, strict=True):
        if not same(mine, its):
            raise Wrong(
                f"{which}: expected (name, rows, pages) = {its} at this place, got {shown(mine)}. Rows are those of all "
                "loops, rounded to whole ones; pages are the node's own, hit and read, without the nodes below, "
                "without temporary files and planning."
            )
