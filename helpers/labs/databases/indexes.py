"""The flights of 3.1 as a table of PostgreSQL: how they get there, and what a session needs besides."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# For plans that do not wander; the notebook says why. The checks of its exercises use the same server.
SETTINGS = {
    "autovacuum": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": 0,
    "default_statistics_target": 1200,
    "shared_buffers": "256MB",
    "checkpoint_timeout": "1h",
    "max_wal_size": "4GB",
}

CREATE_FLIGHTS = """
create table flights (
    flight_id int, departs timestamptz, carrier text, flight int, tailnum text,
    origin text, dest text, dep_time int, dep_delay int, arr_delay int, distance int
)"""

# For the sitting on plans; the one on indexes uses the same server. Where the library is missing, it does not start.
WATCHED = {**SETTINGS, "shared_preload_libraries": "pg_stat_statements"}


def watched_server() -> Any:
    """A PostgreSQL with these settings, with `pg_stat_statements` loaded where the provider has it."""
    from helpers import services

    return services.postgres(settings=_possible())


@cache
def _possible() -> dict[str, Any]:
    """WATCHED, if a server starts with it here; asked once."""
    from helpers import services

    return WATCHED if services.postgres(settings=WATCHED, required=False) else SETTINGS


def flights() -> pd.DataFrame:
    """The 336,776 real departures, `departs` being the scheduled minute in UTC."""
    import pandas as pd

    from helpers import data

    wanted = ["time_hour", "minute", "carrier", "flight", "tailnum", "origin", "dest",
              "dep_time", "dep_delay", "arr_delay", "distance"]  # fmt: skip
    table = data.flights(wanted)
    departs = table.pop("time_hour") + pd.to_timedelta(table.pop("minute"), unit="m")
    table.insert(0, "departs", departs)
    table.insert(0, "flight_id", range(len(table)))
    return table


def copy_in(connection: Any, table: str, frame: pd.DataFrame) -> None:
    """COPY a frame into the columns of the same names: one statement, one stream of CSV."""
    import pyarrow as pa
    import pyarrow.csv

    lines = io.BytesIO()
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    pyarrow.csv.write_csv(rows, lines, pyarrow.csv.WriteOptions(include_header=False))
    into = f"copy {table} ({', '.join(frame.columns)}) from stdin (format csv)"
    psycopg = getattr(connection, "connection", connection)  # SQLAlchemy's wraps the driver's own
    with psycopg.cursor() as cursor, cursor.copy(into) as stream:
        stream.write(lines.getvalue())
