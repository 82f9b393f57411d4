"""A copy of the bookings service that an experiment may change: a package `airline` in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "airline"


class ChangeNotApplied(ValueError):
    """The text to be replaced is not in the file exactly once."""


def copy_airline(folder: Path, changes: Mapping[str, tuple[str, str]] | None = None) -> Path:
    """Copy `helpers/airline` to `folder/airline`, change it, and return the package's folder.

    The copy imports itself (`airline.models`), so it runs with `folder` and the course's own root on
    `sys.path`. `changes` maps a module's file name to the text that goes and the text that comes:
    {"bookings.py": ("if taken:", "if False:")}. Raises `ChangeNotApplied`, and then nothing is
    written.
    """
    modules = {path.name: path.read_text(encoding="utf-8") for path in SOURCE.glob("*.py")}
    for name, (old, new) in (changes or {}).items():
        if (found := modules.get(name, "").count(old)) != 1:
            raise ChangeNotApplied(f"{name} has this text {found} times, not once: {old!r}")
        modules[name] = modules[name].replace(old, new)
    package = folder / "airline"
    package.mkdir(parents=True, exist_ok=True)
    for name, text in modules.items():
        (package / name).write_text(text.replace("helpers.airline", "airline"), encoding="utf-8")
    return package
