"""Every COURSE_ variable: what it means, what counts without it, and the one place that reads them.

`python -m helpers.settings` prints the table of CONTRIBUTING.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Setting:
    """One variable of the environment; `by` is who sets it."""

    name: str
    by: str
    meaning: str
    default: str


USER, TOOLS, CI = "you", "the tools", "you, CI"
SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("COURSE_HOME", USER, "folder of your record", "the user's data folder"),
        Setting("COURSE_WORKSPACE", USER, "folder of your copy of the notebooks", "`workspace/`"),
        Setting("COURSE_DATA", USER, "folder of the tables", "`data/`"),
        Setting(
            "COURSE_CACHE",
            USER,
            "folder for what is slow to make: interpreters, tools, images",
            "the user's cache folder",
        ),
        Setting("COURSE_SERVICES", USER, "the provider of servers: container, native or embedded",
                "the best that works"),
        Setting("COURSE_REQUIRE", CI, "`all`: what cannot run here is red", "it is listed"),
        Setting("COURSE_CHANGED", TOOLS, "`1`: green verdicts of an earlier run stand", "all is run"),
        Setting("COURSE_GUARDED", TOOLS, "marks servers, which only their guardian ends", "no mark"),
        Setting("COURSE_CLAIMS", TOOLS, "`collect`: a false claim is noted and does not raise", "it raises"),
        Setting("COURSE_RECORD", TOOLS, "folder for the lines of a run's report", "none are written"),
        Setting("COURSE_CHECKS", TOOLS, "the same for the stage of checks", "none are written"),
        Setting("COURSE_LOCK", TOOLS, "file of the lock around cells of one run", "no lock"),
        Setting("COURSE_STAGE", TOOLS, "the stage of a test run", "`notebooks`"),
        Setting("COURSE_NOTEBOOK", TOOLS, "the notebook whose cells run", "unknown"),
        Setting("COURSE_TIER", TOOLS, "the providers of this kernel's servers", "`none`"),
    )
}  # fmt: skip


def value(name: str) -> str | None:
    """A setting's text, None where it is not set or empty. Raises `KeyError` for an unknown one."""
    return os.environ.get(SETTINGS[name].name) or None


def folder(name: str) -> Path | None:
    """A setting that names a folder; a relative one is below the checkout, wherever we were started.

    A kernel's working folder is its notebook's: taken from there, each notebook would see another.
    """
    given = value(name)
    return ROOT / Path(given).expanduser() if given else None


def table() -> str:
    """All settings as a Markdown table."""
    rows = [f"| `{s.name}` | {s.by} | {s.meaning} | {s.default} |" for s in SETTINGS.values()]
    return (
        "\n".join(["| variable | set by | means | without it |", "|---|---|---|---|", *rows]) + "\n"
    )


if __name__ == "__main__":
    print(table(), end="")
