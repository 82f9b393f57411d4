"""Exercises of 3.1c: days of a place, and a deadline of 24 hours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from helpers.exercises import Wrong, exercise

if TYPE_CHECKING:
    from helpers.services import Postgres  # type: ignore[attr-defined]


def _postgres() -> Postgres:
    from helpers import services

    return services.postgres()


# Instants around New York's two changes of the clocks, and the day of each in that place.
INSTANTS = [
    "2013-03-10 04:59Z", "2013-03-10 05:00Z", "2013-03-11 03:59Z", "2013-03-11 04:00Z",
    "2013-07-04 03:59Z", "2013-07-04 04:00Z", "2013-11-03 03:59Z", "2013-11-03 04:00Z",
    "2013-11-04 04:30Z", "2013-11-04 04:59Z", "2013-11-04 05:00Z", "2014-03-09 12:00Z", "2014-11-02 12:00Z",
]  # fmt: skip
DAYS = [
    (date(2013, 3, 9), 1, 24), (date(2013, 3, 10), 2, 23), (date(2013, 3, 11), 1, 24),
    (date(2013, 7, 3), 1, 24), (date(2013, 7, 4), 1, 24), (date(2013, 11, 2), 1, 24),
    (date(2013, 11, 3), 3, 25), (date(2013, 11, 4), 1, 24), (date(2014, 3, 9), 1, 23), (date(2014, 11, 2), 1, 25),
]  # fmt: skip
# Another year, in which the clocks change on other days.
LATER = [
    "2024-03-10 04:59Z",
    "2024-03-10 12:00Z",
    "2024-11-03 12:00Z",
    "2024-03-11 12:00Z",
    "2024-03-11 13:00Z",
]
LATER_DAYS = [
    (date(2024, 3, 9), 1, 24), (date(2024, 3, 10), 1, 23), (date(2024, 3, 11), 2, 24), (date(2024, 11, 3), 1, 25),
]  # fmt: skip


@exercise(
    "transactions_indexes.local_days",
    uses=_postgres,
    seconds=30,
    hints=(
        "The session's time zone decides what `departs::date` means, and you do not know it. Name the place: "
        "`departs at time zone 'America/New_York'` is the clock on the wall there.",
        "A day's length is the distance of two instants: its midnight and the next one's. Midnight of a place is "
        "`day::timestamp at time zone 'America/New_York'`: the same operator, the other direction.",
        "select day, count(*), extract(epoch from (day + 1)::timestamp at time zone 'America/New_York' - "
        "day::timestamp at time zone 'America/New_York')::int / 3600 from (select (departs at time zone "
        "'America/New_York')::date as day from gate_departures) as d group by day order by day",
    ),
    why="Applied to an instant, `at time zone` gives a wall clock; applied to a wall clock it gives an instant. The first "
    "direction finds the day, the second one its two midnights, and between two instants an hour is an hour. Nothing "
    "in it depends on the session.",
    stretch="The same in Python, from instants in UTC: `zoneinfo`, a midnight as `datetime.combine(day, time(), tzinfo=…)`, and "
    "a difference that is not taken between two datetimes with the same tzinfo. Which days exist that have no midnight? "
    "(São Paulo, 2013-10-20.)",
    rows=("falsy", "again", "environment"),
)
def check_local_days(local_days: Callable[[Any], Sequence[Any]], server: Postgres) -> None:
    """Days of New York with their departures and hours, whatever zone the session has."""
    for zone in ("America/New_York", "UTC", "Asia/Tokyo"):
        _same_days(_days_of(local_days, server, zone, INSTANTS), zone, DAYS)
    _same_days(_days_of(local_days, server, "UTC", LATER), "UTC", LATER_DAYS)
    if got := _days_of(local_days, server, "UTC", []):
        raise Wrong(f"No departures, no days: expected no rows, got {got[:2]}.")


def _days_of(
    local_days: Callable[[Any], Sequence[Any]], server: Postgres, zone: str, instants: list[str]
) -> list[tuple[Any, ...]]:
    with server.connect(autocommit=True) as connection:
        connection.execute(
            "drop table if exists gate_departures; create table gate_departures (departs timestamptz)"
        )
        for instant in instants:
            connection.execute("insert into gate_departures values (%s)", [instant])
    engine = server.engine(connect_args={"options": f"-c timezone={zone}"})
    try:
        with engine.connect() as connection:
            rows = local_days(connection)
            if rows is None:
                raise Wrong("Return the rows; got None.")
            got = [tuple(row) for row in rows]
            if (now := connection.exec_driver_sql("show timezone").scalar_one()) != zone:
                raise Wrong(
                    f"The session's time zone was {zone} and is {now} now: the connection is the caller's, who reads other "
                    "times with it. Name the zone in the query."
                )
            if connection.exec_driver_sql(
                "select count(*) from gate_departures"
            ).scalar_one() != len(instants):
                raise Wrong("gate_departures has other rows than before: only read it.")
    finally:
        engine.dispose()
    return got


def _same_days(got: list[tuple[Any, ...]], zone: str, days: list[tuple[date, int, int]]) -> None:
    where = f"In a session whose time zone is {zone}: "
    if any(len(row) != 3 for row in got):
        raise Wrong(f"{where}expected rows of day, departures, hours; got {got[:1]}.")
    for row in got:
        if type(row[0]) is not date:
            raise Wrong(f"{where}the day is to be a date, got {row[0]!r} in {row}.")
    counts = {day: n for day, n, _ in got}
    if len(counts) < len(got):
        raise Wrong(f"{where}{len(got)} rows for {len(counts)} days: one row for each day.")
    expected = {day: n for day, n, _ in days}
    if counts != expected:
        day = next(
            d for d in sorted({*counts, *expected}, key=str) if counts.get(d) != expected.get(d)
        )
        raise Wrong(
            f"{where}{day} has {counts.get(day, 'no')} departures; in New York's calendar it is "
            f"{expected.get(day, 'no day with a departure')}. (01:00 in UTC is still the evening before there.)"
        )
    if list(counts) != list(expected):
        raise Wrong(f"{where}the days are right, but not in order.")
    for (day, _, hours), (_, _, right) in zip(got, days, strict=True):
        if hours != right:
            raise Wrong(f"{where}{day} has {right} hours in New York, got {hours!r}.")


NEW_YORK, SAO_PAULO, LORD_HOWE = "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe"
# A departure on the clock of its place, the place, and the instant 24 hours before.
DEPARTURES = [
    (datetime(2013, 7, 4, 18, 0), NEW_YORK, datetime(2013, 7, 3, 22, 0, tzinfo=UTC)),
    (datetime(2013, 3, 10, 8, 0), NEW_YORK, datetime(2013, 3, 9, 12, 0, tzinfo=UTC)),  # 23 hours
    (datetime(2013, 11, 3, 8, 0), NEW_YORK, datetime(2013, 11, 2, 13, 0, tzinfo=UTC)),  # 25 hours
    (datetime(2013, 11, 3, 1, 30), NEW_YORK, datetime(2013, 11, 2, 5, 30, tzinfo=UTC)),
    (datetime(2013, 11, 3, 1, 30, fold=1), NEW_YORK, datetime(2013, 11, 2, 6, 30, tzinfo=UTC)),
    (datetime(2013, 11, 4, 1, 30), NEW_YORK, datetime(2013, 11, 3, 6, 30, tzinfo=UTC)),  # the second 01:30
    (datetime(2018, 12, 2, 8, 0), SAO_PAULO, datetime(2018, 12, 1, 10, 0, tzinfo=UTC)),
    (datetime(2019, 12, 2, 8, 0), SAO_PAULO, datetime(2019, 12, 1, 11, 0, tzinfo=UTC)),
    (datetime(2024, 4, 7, 12, 0), LORD_HOWE, datetime(2024, 4, 6, 1, 30, tzinfo=UTC)),  # half an hour
    (datetime(2024, 7, 1, 0, 30), "Asia/Kolkata", datetime(2024, 6, 29, 19, 0, tzinfo=UTC)),
]  # fmt: skip


@exercise(
    "transactions_indexes.check_in",
    hints=(
        "Subtract between instants. Which datetime of yours is an instant whose arithmetic nobody bends?",
        "First attach the zone (`departs.replace(tzinfo=ZoneInfo(zone))`), then convert to UTC, and subtract last.",
        "return departs.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) - timedelta(hours=24)",
    ),
    why="A datetime with a zone subtracts on its wall clock, so `- timedelta(hours=24)` is the same time on the day before, "
    "and that can be 23 or 25 hours earlier. In UTC no hour is missing and none comes twice.",
    stretch="Now the opposite: check-in opens at the same time on the day before. What do you return where that time does not "
    "exist on that day?",
    rows=("environment",),
)
def check_check_in(check_in_opens: Callable[[datetime, str], datetime]) -> None:
    """Real hours across changes of the clocks, in several places; an instant in UTC."""
    for departs, zone, opens in DEPARTURES:
        got = check_in_opens(departs, zone)
        what = f"{departs} (fold={departs.fold}) in {zone}"
        if not isinstance(got, datetime):
            raise Wrong(f"{what}: return a datetime, got {got!r}.")
        if got.utcoffset() != timedelta(0):
            raise Wrong(
                f"{what}: the result is to be in UTC; {got!r} has "
                + ("no offset." if got.utcoffset() is None else f"the offset {got:%z}.")
            )
        if got != opens:
            hours = 24 + (opens - got) / timedelta(hours=1)
            raise Wrong(f"{what}: {got:%Y-%m-%d %H:%M}Z is {hours:g} hours before the departure.")
