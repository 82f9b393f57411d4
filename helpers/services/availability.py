"""What is here: for each server and tier whether it could be started, and what to do where it could not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass

from helpers.services import containers, engine, registry
from helpers.services.core import TIERS, Server, forced_tier
from helpers.services.problem import ServiceProblem


@dataclass(frozen=True)
class Finding:
    """One server on one tier. `chosen`: a notebook that asks for the server gets it from here."""

    name: str
    server: str
    tier: str
    available: bool
    chosen: bool
    found: str
    todo: str

    def as_dict(self) -> dict[str, object]:
        """For --json."""
        return asdict(self)


def findings() -> Iterator[Finding]:
    """Look, without starting anything. `ServiceProblem` if COURSE_SERVICES is misspelt."""
    forced = forced_tier()
    no_engine = engine.problem()
    for name in registry.SERVERS:
        kind = registry.kind(name)
        taken = False
        for tier in TIERS:
            problem = _problem(kind, tier, no_engine)
            chosen = problem is None and not taken and forced in (None, tier)
            taken = taken or chosen
            found = problem or (
                containers.image_name(kind.image) if tier == "container" else "here"
            )
            todo = "" if problem is None else kind.get.get(tier, "")
            if problem and tier == "container" and no_engine is None:
                todo = "`course services prefetch`"
            yield Finding(name, kind.label, tier, problem is None, chosen, found, todo)


def _problem(kind: type[Server], tier: str, no_engine: str | None) -> str | None:
    if tier == "container":
        if no_engine:
            return no_engine
        there = containers.has_image(kind.image)
        return None if there else f"the image {containers.image_name(kind.image)} is not here yet"
    server = kind()
    program = server.installed() if tier == "native" else server.embedded()
    return program if isinstance(program, str) else None


def tiers(
    servers: Iterable[str] = ("postgres",), nowhere: Collection[tuple[str, str]] = ()
) -> dict[str, str | None]:
    """Tier -> why notebooks that need these servers cannot run there (None: they can).

    `nowhere` are pairs of server and tier that no machine has: they are not asked for, but a tier
    that has none of the servers is no tier for them. An image that is not here is fetched, once, if
    it can be.
    """
    wanted = list(servers)
    no_engine = engine.problem()
    found: dict[str, str | None] = {}
    for tier in TIERS:
        asked = [name for name in wanted if (name, tier) not in nowhere]
        missing = [m for name in asked if (m := _missing(registry.kind(name), tier, no_engine))]
        if wanted and not asked:
            missing = [f"there is no {registry.kind(name).label} for it" for name in wanted]
        found[tier] = "; ".join(dict.fromkeys(missing)) or None
    return found


def _missing(kind: type[Server], tier: str, no_engine: str | None) -> str | None:
    problem = _problem(kind, tier, no_engine)
    if problem and tier == "container" and no_engine is None:
        try:
            containers.pull(kind.image)
            return None
        except ServiceProblem as unfetched:
            return str(unfetched)
    return problem if problem is None or problem == no_engine else f"{kind.label}: {problem}"


def prefetch() -> Iterator[tuple[str, str | None]]:
    """Fetch every image that is not here; yields its name and what went wrong (None: it is here now)."""
    if problem := engine.problem():
        raise ServiceProblem(problem)
    for kind in map(registry.kind, registry.SERVERS):
        name = containers.image_name(kind.image)
        try:
            if not containers.has_image(kind.image):
                containers.pull(kind.image)
        except ServiceProblem as problem:
            yield name, str(problem)
        else:
            yield name, None
