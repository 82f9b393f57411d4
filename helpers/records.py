"""The lines that the parts of a test run leave for its report: one file a kind and worker, no locks.

Apart from the report, because every test worker imports this.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def note(record: Path | str, kind: str, worker: str, **entry: Any) -> None:
    """Append one line of a kind to the record folder."""
    with (Path(record) / f"{kind}-{worker}.jsonl").open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(entry, ensure_ascii=False, default=repr) + "\n")


def entries(record: Path, kind: str) -> Iterator[dict[str, Any]]:
    """The lines of one kind that the parts of a run left in the record folder."""
    for path in sorted(record.glob(f"{kind}-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def withdraw(record: Path, of: Callable[[str, dict[str, Any]], bool]) -> None:
    """Take back the lines for which `of(kind, entry)` is true: what they tell is done again."""
    for path in record.glob("*.jsonl"):
        kind = path.stem.rsplit("-", 1)[0]
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not of(kind, json.loads(line))]
        path.write_text("".join(kept), encoding="utf-8")
