"""The server of 3.2, its network of flights, and what finds paths and counts updates without SQL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from helpers.services import Postgres  # type: ignore[attr-defined]

# Notebook and exercises use the same server. No vacuum in the background, no page images in the WAL, one worker.
SETTINGS = {
    "autovacuum": "off",
    "jit": "off",
    "full_page_writes": "off",
    "max_parallel_workers_per_gather": 0,
    "checkpoint_timeout": "1h",
    "max_wal_size": "4GB",
}


def postgres() -> Postgres:
    """The PostgreSQL of this topic."""
    from helpers import services

    return services.postgres(settings=SETTINGS)


def legs() -> list[tuple[str, str]]:
    """Each pair of airports with a flight of 2013, and (synthetic) the same flight back; sorted."""
    from helpers import data

    pairs = data.flights(["origin", "dest"]).drop_duplicates().itertuples(index=False, name=None)
    out = {(str(origin), str(dest)) for origin, dest in pairs}
    return sorted(out | {(dest, origin) for origin, dest in out})


def simple_paths(legs: Sequence[tuple[str, str]], start: str) -> list[tuple[str, ...]]:
    """The ways that lead from an airport through others, none twice; to stay is one of them."""
    onward: dict[str, list[str]] = {}
    for origin, dest in legs:
        onward.setdefault(origin, []).append(dest)

    def walk(path: tuple[str, ...]) -> list[tuple[str, ...]]:
        longer = [(*path, dest) for dest in onward.get(path[-1], []) if dest not in path]
        return [path, *(way for each in longer for way in walk(each))]

    return walk((start,))


@contextlib.contextmanager
def updates_sent(engine: Engine) -> Iterator[list[str]]:
    """The UPDATE statements that SQLAlchemy sends over an engine within the block."""
    from sqlalchemy import event

    sent: list[str] = []

    def note(connection: Any, cursor: Any, sql: str, *rest: Any) -> None:
        if sql.startswith("UPDATE"):
            sent.append(sql)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def outcome(connection: Any, sql: str) -> Any:
    """The first value of a query, "done" for a statement without rows, or the SQLSTATE of its error."""
    import psycopg

    try:
        cursor = connection.execute(sql)
        return cursor.fetchone()[0] if cursor.description else "done"
    except psycopg.Error as error:
        return error.sqlstate


SHADES = {True: "#0072B2", False: "none"}


def draw_served(served: Mapping[str, Mapping[str, bool]]) -> None:
    """A grid: conditions downwards, indexes across, a filled cell where the index serves."""
    from helpers.figures import INK, picture

    indexes = list(next(iter(served.values())))
    with picture(height=0.8 + 0.3 * len(served)) as axes:
        for y, by_index in enumerate(served.values()):
            for x, serves in enumerate(by_index.values()):
                axes.barh(y, 0.9, 0.8, x - 0.45, color=SHADES[serves], edgecolor=INK, linewidth=0.4)
                axes.text(x, y, "index" if serves else "–", va="center", ha="center", fontsize=8,
                          color="white" if serves else INK)  # fmt: skip
        axes.set_yticks(range(len(served)), list(served), fontsize=8, family="monospace")
        labels = [name.replace("_path", "\n_path").replace("doc ", "doc\n") for name in indexes]
        axes.set_xticks(range(len(indexes)), labels, fontsize=8)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.set_xlim(-0.5, len(indexes) - 0.5)
        axes.set_ylim(len(served) - 0.5, -0.5)
        axes.grid(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
