"""Exercises of 3.1, the sitting on plans: estimates put right.

Each check works on a database of its own, as those of the sitting on indexes do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.databases.transactions_indexes_b import obey, own_database, with_flights
from helpers.labs.databases import indexes as lab
from helpers.plans import explain


def plans_server() -> Any:
    """The notebook's PostgreSQL (one of its own elsewhere) with a database that holds the flights."""
    return with_flights(lab.watched_server())


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
    uses=plans_server,
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
