"""The course's data through `helpers.data`: files, real tables, return legs, bookings."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import DEADLINE

from helpers import data

SHIPPED = Path(__file__).resolve().parents[1] / "data"
MANIFEST = json.loads((SHIPPED / "manifest.json").read_text(encoding="utf-8"))
ROWS = {"flights": 336_776, "airlines": 16, "airports": 1_458, "planes": 3_322, "weather": 26_115}
KEYS = {
    "flights": ["time_hour", "minute", "carrier", "flight"],
    "airlines": ["carrier"],
    "airports": ["faa"],
    "planes": ["tailnum"],
    "weather": ["time_hour", "origin"],
}


# --- files ---------------------------------------------------------------------------------


def test_the_files_are_those_of_the_manifest() -> None:
    assert set(MANIFEST["files"]) == {f"{name}.parquet" for name in ROWS}
    for name, entry in MANIFEST["files"].items():
        file = SHIPPED / name
        assert hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"]
        assert file.stat().st_size == entry["bytes"]
        assert pq.read_metadata(file).num_rows == entry["rows"] == ROWS[file.stem]
    assert data.verify() == []


def test_the_data_stay_small_enough_to_clone() -> None:
    assert sum(entry["bytes"] for entry in MANIFEST["files"].values()) < 8_000_000


def test_flights_can_be_read_in_several_pieces() -> None:
    with pq.ParquetFile(data.path("flights")) as file:
        groups = [
            file.metadata.row_group(at).num_rows for at in range(file.metadata.num_row_groups)
        ]
    assert groups == [32_768] * 10 + [336_776 - 10 * 32_768]


def test_the_readme_says_what_the_manifest_says() -> None:
    readme = (SHIPPED / "README.md").read_text(encoding="utf-8")
    for name, entry in MANIFEST["files"].items():
        assert re.search(rf"`{name}` \| {entry['rows']:,} \|.*`{entry['sha256']}`", readme), name
    assert MANIFEST["source"]["version"] in readme


@pytest.mark.parametrize("table", ROWS)
def test_a_table_has_its_rows_in_the_order_of_its_key(table: str) -> None:
    frame = getattr(data, table)()
    assert len(frame) == ROWS[table]
    assert not frame.duplicated(KEYS[table]).any()
    assert frame[KEYS[table]].equals(frame.sort_values(KEYS[table])[KEYS[table]])


def test_columns_can_be_chosen_and_a_wrong_one_is_named() -> None:
    assert list(data.flights(["dest", "carrier"]).columns) == ["dest", "carrier"]
    with pytest.raises(ValueError, match=r"no column 'destination'.*dest"):
        data.flights(["destination"])
    with pytest.raises(ValueError, match=r"no table 'pilots'.*weather"):
        data.path("pilots")


def test_missing_is_missing_and_whole_numbers_are_whole() -> None:
    frame = data.flights(["dep_time", "dep_delay", "hour", "time_hour"])
    assert str(frame["dep_time"].dtype) == "Int32"
    assert frame["dep_time"].isna().sum() == 8_255
    assert str(frame["hour"].dtype) == "int32"
    assert str(frame["time_hour"].dtype) == "datetime64[us, UTC]"
    assert pd.read_parquet(data.path("flights"))["dep_time"].dtype == frame["dep_time"].dtype


def test_time_hour_is_the_scheduled_hour_in_utc() -> None:
    frame = data.flights(["year", "month", "day", "hour", "time_hour"])
    local = pd.to_datetime(frame[["year", "month", "day", "hour"]]).dt.tz_localize(
        "America/New_York"
    )
    assert (local == frame["time_hour"]).all()


def test_nothing_flies_back() -> None:
    frame = data.flights(["origin", "dest", "dep_time"])
    assert set(frame["origin"]) == {"EWR", "JFK", "LGA"}
    between = frame[frame["dest"].isin(["EWR", "JFK", "LGA"])]
    assert len(between) == 1
    assert between["dep_time"].isna().all()


def fresh(code: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter with this checkout importable."""
    env = {key: value for key, value in os.environ.items() if key != "COURSE_DATA"}
    env |= {"PYTHONPATH": str(SHIPPED.parent), **variables}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=DEADLINE
    )


def test_the_import_is_free_and_the_current_folder_does_not_matter(tmp_path: Path) -> None:
    code = (
        "import sys, helpers.data as d\n"
        "assert not {'pandas', 'numpy', 'pyarrow'} & set(sys.modules)\n"
        "print(len(d.airlines()))"
    )
    done = fresh(code, tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("16\n", "", 0)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the data that COURSE_DATA points to, free to be broken."""
    for name in [*MANIFEST["files"], "manifest.json"]:
        shutil.copy(SHIPPED / name, tmp_path / name)
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    return tmp_path


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def said(problem: pytest.ExceptionInfo[data.DataProblem], file: Path) -> None:
    """Check that the one line names the file and both ways out."""
    line = str(problem.value)
    assert "\n" not in line
    assert str(file) in line
    assert f"git restore data/{file.name}" in line
    assert "python data/export.py" in line


def test_a_changed_file_is_refused_until_it_is_restored(copy: Path) -> None:
    file = copy / "airports.parquet"
    flip_a_byte(file)
    with pytest.raises(data.DataProblem, match="changed") as problem:
        data.airports()
    said(problem, file)
    with pytest.raises(data.DataProblem):
        data.path("airports")
    assert data.verify() == [str(problem.value)]
    assert len(data.airlines()) == 16  # the others are not held to account
    shutil.copy(SHIPPED / file.name, file)
    assert len(data.airports()) == 1_458


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "planes.parquet").unlink()
    with pytest.raises(data.DataProblem, match="missing") as problem:
        data.planes()
    said(problem, copy / "planes.parquet")
    assert data.verify() == [str(problem.value)]


@pytest.mark.parametrize("content", [None, "{", "[]", '{"files": {}}'])
def test_a_broken_manifest_is_named(copy: Path, content: str | None) -> None:
    (copy / "manifest.json").unlink()
    if content is not None:
        (copy / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(data.DataProblem, match=r"git restore data/manifest\.json") as problem:
        data.airlines()
    assert "\n" not in str(problem.value)
    assert data.verify()


def test_verify_counts_rows(copy: Path) -> None:
    manifest = json.loads(json.dumps(MANIFEST))
    manifest["files"]["weather.parquet"]["rows"] += 1
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    [line] = data.verify()
    assert "weather.parquet has 26,115 rows, the manifest says 26,116" in line


# --- return legs ---------------------------------------------------------------------------


def minutes(column: pd.Series) -> pd.Series:
    return pd.to_timedelta(column.astype("float64"), unit="m")


def with_times(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the scheduled and the real departure in UTC."""
    sdep = frame["time_hour"] + minutes(frame["minute"])
    return frame.assign(sdep=sdep, dep=sdep + minutes(frame["dep_delay"]))


@pytest.fixture(scope="module")
def real() -> pd.DataFrame:
    return with_times(data.flights())


@pytest.fixture(scope="module")
def legs() -> pd.DataFrame:
    return with_times(data.return_legs())


@pytest.fixture(scope="module")
def rotations(real: pd.DataFrame, legs: pd.DataFrame) -> pd.DataFrame:
    """Each leg, and in columns ending in _in the flight of its aircraft that came before it."""
    both = pd.concat([real.assign(synthetic=False), legs], ignore_index=True)
    both = both[both["dep"].notna()].sort_values(["tailnum", "dep", "synthetic"])
    before = both.groupby("tailnum").shift(1).add_suffix("_in")
    after = both.groupby("tailnum")[["dep"]].shift(-1).add_suffix("_next")
    joined = pd.concat([both, before, after], axis=1)
    return joined[joined["synthetic"]]


def test_legs_look_like_flights_and_say_that_they_are_not(legs: pd.DataFrame) -> None:
    flights, made = data.flights(), legs.drop(columns=["sdep", "dep"])
    assert list(made.columns) == [*flights.columns, "synthetic"]
    assert (made.dtypes.drop("synthetic") == flights.dtypes).all()
    assert made["synthetic"].all()
    assert not made.isna().any().any()
    assert made[KEYS["flights"]].equals(made.sort_values(KEYS["flights"])[KEYS["flights"]])
    assert not made.duplicated(["time_hour", "carrier", "flight"]).any()
    assert (made["hour"] * 100 + made["minute"] == made["sched_dep_time"]).all()
    assert made["flight"].min() > flights["flight"].max()
    assert made["dep_time"].between(1, 2400).all()
    assert made["arr_time"].between(1, 2400).all()


def test_a_leg_follows_an_arrival_of_the_same_aircraft(rotations: pd.DataFrame) -> None:
    assert (rotations["synthetic_in"] == False).all()  # noqa: E712  an object column after shift
    assert (rotations["origin"] == rotations["dest_in"]).all()
    assert (rotations["dest"] == rotations["origin_in"]).all()
    assert (rotations["flight"] - 10_000 == rotations["flight_in"]).all()
    for column in ["carrier", "distance", "air_time"]:
        assert (rotations[column] == rotations[f"{column}_in"]).all(), column


def test_no_aircraft_is_in_two_places(rotations: pd.DataFrame) -> None:
    # The shortest time on the ground around a flight in the source is 5 minutes.
    arrived = rotations["dep_in"] + minutes(rotations["air_time_in"] + 5)
    assert (rotations["dep"] >= arrived + pd.Timedelta(minutes=30)).all()
    landed = rotations["dep"] + minutes(rotations["air_time"] + 5)
    assert (rotations["dep_next"].isna() | (rotations["dep_next"] >= landed)).all()


def test_every_known_arrival_flies_back_unless_the_aircraft_was_elsewhere(
    real: pd.DataFrame, rotations: pd.DataFrame
) -> None:
    arrivals = real["arr_delay"].notna().sum()
    assert arrivals == 327_346
    assert 0.985 * arrivals < len(rotations) < arrivals
    assert len(rotations) == 323_390


@pytest.fixture(scope="module")
def zones() -> dict[str, str]:
    """The time zone of each airport; the four that the table lacks are UTC-4 all year."""
    missing = dict.fromkeys(["BQN", "PSE", "SJU", "STT"], "America/Puerto_Rico")
    return data.airports().set_index("faa")["tzone"].to_dict() | missing


def from_clock(hhmm: int, zone: ZoneInfo, not_before: datetime) -> datetime:
    """Return the first moment not before another at which the zone's clock shows that time."""
    day = not_before.astimezone(zone).replace(hour=0, minute=0)
    for later in range(3):
        local = (day + timedelta(days=later)).replace(hour=hhmm // 100 % 24, minute=hhmm % 100)
        for fold in (0, 1):  # in autumn an hour comes twice
            moment = local.replace(fold=fold).astimezone(UTC)
            if moment >= not_before:
                return moment
    raise AssertionError(hhmm)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(at=st.integers(0, 323_389))
def test_a_leg_keeps_the_rule_to_the_minute(
    rotations: pd.DataFrame, zones: dict[str, str], at: int
) -> None:
    leg = rotations.iloc[at]
    away, home = ZoneInfo(zones[leg["origin"]]), ZoneInfo("America/New_York")
    touchdown = leg["dep_in"] + timedelta(minutes=int(leg["air_time_in"]))
    arrived = from_clock(int(leg["arr_time_in"]), away, touchdown.to_pydatetime())
    planned = arrived - timedelta(minutes=int(leg["arr_delay_in"]))
    assert leg["sdep"] == planned + timedelta(minutes=45)
    assert leg["dep"] == max(leg["sdep"], arrived + timedelta(minutes=30))
    left = leg["dep"].tz_convert(away)
    assert (left.hour * 100 + left.minute) % 2400 == leg["dep_time"] % 2400
    landed = (leg["dep"] + (arrived - leg["dep_in"])).tz_convert(home)
    assert (landed.hour * 100 + landed.minute) % 2400 == leg["arr_time"] % 2400
    sched = (leg["sdep"] + (planned - leg["sdep_in"])).tz_convert(home)
    assert sched.hour * 100 + sched.minute == leg["sched_arr_time"]
    assert landed - sched == timedelta(minutes=int(leg["arr_delay"]))
    assert pd.isna(leg["dep_next"]) or landed <= leg["dep_next"]


def test_legs_are_the_same_each_time(legs: pd.DataFrame) -> None:
    again = data.return_legs()
    pd.testing.assert_frame_equal(again, legs[again.columns])


# --- bookings ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quick() -> data.Bookings:
    return data.bookings()


def check_keys(b: data.Bookings) -> None:
    """Check that every primary key counts from 1 and every foreign key leads somewhere."""
    for frame, key in [
        (b.customers, "customer_id"),
        (b.bookings, "booking_id"),
        (b.seats, "seat_id"),
        (b.payments, "payment_id"),
    ]:
        assert frame[key].tolist() == list(range(1, len(frame) + 1))
    assert b.customers["email"].is_unique
    assert b.bookings["reference"].is_unique
    assert b.bookings["customer_id"].isin(b.customers["customer_id"]).all()
    assert b.bookings["flight_id"].between(0, ROWS["flights"] - 1).all()
    assert set(b.seats["booking_id"]) == set(b.bookings["booking_id"])
    assert set(b.payments["booking_id"]) == set(b.bookings["booking_id"])


def check_seats(b: data.Bookings) -> None:
    """Check that an active seat is sold once, and resold only after it was given back."""
    seats = b.seats.merge(b.bookings, on="booking_id", suffixes=("", "_b"))
    assert (seats["flight_id"] == seats["flight_id_b"]).all()
    assert (seats["active"] == (seats["status"] != "cancelled")).all()
    assert not seats[seats["active"]].duplicated(["flight_id", "seat"]).any()
    assert not seats.duplicated(["booking_id", "seat"]).any()
    assert (seats.groupby("booking_id").size().to_numpy() == b.bookings["seats"]).all()
    seats = seats.sort_values(["flight_id", "seat", "booking_id"])
    following = seats.groupby(["flight_id", "seat"])["booked_at"].shift(-1)
    resold = following.notna()
    assert resold.any()
    assert (seats["cancelled_at"][resold] <= following[resold]).all()


def check_money(b: data.Bookings) -> None:
    """Check that all money is whole cents and that payments match bookings by status."""
    for frame, column in [
        (b.seats, "price_cents"),
        (b.bookings, "total_cents"),
        (b.payments, "amount_cents"),
    ]:
        assert frame[column].dtype == "int64"
        assert (frame[column] > 0).all()
    bookings = b.bookings.set_index("booking_id")
    assert (b.seats.groupby("booking_id")["price_cents"].sum() == bookings["total_cents"]).all()
    captured = b.payments[b.payments["status"] == "captured"]
    signed = captured["amount_cents"].where(captured["kind"] == "charge", -captured["amount_cents"])
    kept = signed.groupby(captured["booking_id"]).sum().reindex(bookings.index, fill_value=0)
    confirmed = bookings["status"] == "confirmed"
    assert (kept == bookings["total_cents"].where(confirmed, 0)).all()
    held = b.payments[b.payments["status"] == "authorised"].set_index("booking_id")
    pending = bookings[bookings["status"] == "pending"]
    assert (held["amount_cents"].sort_index() == pending["total_cents"]).all()


def check_times(b: data.Bookings) -> None:
    """Check that accounts precede bookings, bookings departures, and charges refunds."""
    flights = with_times(data.flights(["time_hour", "minute", "dep_delay"]))
    bookings = b.bookings.join(b.customers.set_index("customer_id")["created_at"], on="customer_id")
    departs = bookings["flight_id"].map(flights["sdep"])
    cancelled = bookings["cancelled_at"]
    assert bookings["booked_at"].is_monotonic_increasing
    assert (bookings["created_at"] < bookings["booked_at"]).all()
    assert (bookings["booked_at"] < departs).all()
    assert (cancelled.notna() == (bookings["status"] == "cancelled")).all()
    assert (cancelled.isna() | cancelled.between(bookings["booked_at"], departs)).all()
    lost = bookings["flight_id"].map(flights["dep_delay"].isna())
    assert (bookings["status"][lost] == "cancelled").all()
    assert b.payments["created_at"].is_monotonic_increasing


@settings(max_examples=5, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_bookings_hold_together_for_any_seed(seed: int) -> None:
    b = data.bookings(seed=seed)
    check_keys(b)
    check_seats(b)
    check_money(b)
    check_times(b)


def test_quick_is_quick_and_realistic(quick: data.Bookings) -> None:
    assert len(quick.bookings) == 20_000
    assert len(quick.customers) == 5_000
    assert 30_000 < len(quick.seats) < 33_000
    assert quick.bookings["flight_id"].nunique() == 500
    shares = quick.bookings["status"].value_counts(normalize=True)
    assert shares["confirmed"] > 0.8
    assert 0.08 < shares["cancelled"] < 0.13
    assert 0.02 < shares["pending"] < 0.04
    a_customer = quick.bookings["customer_id"].value_counts()
    assert a_customer.iloc[:50].sum() > 0.15 * len(quick.bookings)  # 1 % of the customers
    assert a_customer.median() <= 3
    assert a_customer.index[0] != 1  # the id does not give the rank away


def test_no_flight_sells_more_seats_than_its_aircraft_has(quick: data.Bookings) -> None:
    tails = data.flights(["tailnum"])["tailnum"]
    known = tails.map(data.planes().set_index("tailnum")["seats"])
    capacity = known.where(known >= 20, 150)
    sold = quick.seats[quick.seats["active"]].groupby("flight_id").size()
    assert (sold <= capacity.reindex(sold.index)).all()


def test_the_same_seed_gives_the_same_bookings(quick: data.Bookings) -> None:
    again, other = data.bookings("quick", seed=2013), data.bookings(seed=2014)
    for name in ["customers", "bookings", "seats", "payments"]:
        pd.testing.assert_frame_equal(getattr(quick, name), getattr(again, name))
        assert not getattr(quick, name).equals(getattr(other, name))


def test_the_frames_cannot_be_swapped_and_a_wrong_scale_is_named(quick: data.Bookings) -> None:
    with pytest.raises(AttributeError):
        quick.seats = quick.bookings  # type: ignore[misc]
    with pytest.raises(ValueError, match=r"no scale 'huge'.*quick, full"):
        data.bookings("huge")  # type: ignore[arg-type]
