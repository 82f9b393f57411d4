"""What is here: for each server and tier whether it could be started, and what to do where it could not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from helpers.services import containers
from helpers.services.core import TIERS, Server, ServiceProblem, forced_tier
from helpers.services.engines.mariadb import MariaDB
from helpers.services.engines.mysql import MySQL
from helpers.services.engines.pgbouncer import PgBouncer
from helpers.services.engines.postgres import Postgres
from helpers.services.engines.redis import Redis

KINDS: tuple[type[Server], ...] = (Postgres, MySQL, MariaDB, Redis, PgBouncer)


@dataclass(frozen=True)
class Finding:
    """One server on one tier. `chosen`: a notebook that asks for the server gets it from here."""

    server: str
    tier: str
    available: bool
    chosen: bool
    found: str
    todo: str

    def as_dict(self) -> dict[str, object]:
        """For --json."""
        return asdict(self)


def survey() -> Iterator[Finding]:
    """Look, without starting anything. `ServiceProblem` if COURSE_SERVICES is misspelt."""
    forced = forced_tier()
    engine = containers.engine_problem()
    for kind in KINDS:
        taken = False
        for tier in TIERS:
            problem = _problem(kind, tier, engine)
            chosen = problem is None and not taken and forced in (None, tier)
            taken = taken or chosen
            found = problem or (
                containers.image_name(kind.image) if tier == "container" else "here"
            )
            todo = "" if problem is None else kind.get.get(tier, "")
            if problem and tier == "container" and engine is None:
                todo = "`course services prefetch`"
            yield Finding(kind.label, tier, problem is None, chosen, found, todo)


def _problem(kind: type[Server], tier: str, engine: str | None) -> str | None:
    if tier == "container":
        if engine:
            return engine
        there = containers.has_image(kind.image)
        return None if there else f"the image {containers.image_name(kind.image)} is not here yet"
    server = kind()
    program = server.installed() if tier == "native" else server.embedded()
    return program if isinstance(program, str) else None


def tiers() -> dict[str, str | None]:
    """Tier -> why the course cannot run its servers there (None: it can), judged by PostgreSQL.

    An image that is not here is fetched, once, if it can be.
    """
    found: dict[str, str | None] = {}
    engine = containers.engine_problem()
    for tier in TIERS:
        found[tier] = _problem(Postgres, tier, engine)
    if found["container"] and engine is None:
        try:
            containers.pull(Postgres.image)
            found["container"] = None
        except ServiceProblem as problem:
            found["container"] = str(problem)
    return found


def prefetch() -> Iterator[tuple[str, str | None]]:
    """Fetch every image that is not here; yields its name and what went wrong (None: it is here now)."""
    if problem := containers.engine_problem():
        raise ServiceProblem(problem)
    for kind in KINDS:
        name = containers.image_name(kind.image)
        try:
            if not containers.has_image(kind.image):
                containers.pull(kind.image)
        except ServiceProblem as problem:
            yield name, str(problem)
        else:
            yield name, None
