"""Servers: they answer, are shared and separate as promised, fail with advice, and never outlive their owner."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import nbformat
import psutil
import pytest
import sqlalchemy
from jupyter_client.manager import KernelManager
from support import DEADLINE

from helpers import processes, services
from helpers.course.execute import kernel_environment
from helpers.services import availability, containers, core, engine, ports, registry
from helpers.services.engines.postgres import Postgres

pytestmark = pytest.mark.reference_only

AVAILABLE = [tier for tier, why in availability.tiers().items() if why is None]
SECONDS = 20  # after which nothing may be left of a server


@pytest.fixture(params=AVAILABLE)
def tier(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COURSE_SERVICES", request.param)
    # Those of exercises that were checked in this process would be shared, and outlive the test.
    for server in services.running():
        server.stop()
    return request.param


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_SERVICES", "embedded")


# ---- what a notebook is promised ---------------------------------------------------------------


@pytest.mark.parametrize("name", registry.SERVERS)
def test_every_server_is_where_it_is_said_to_be_and_on_loopback_alone(name: str, tier: str) -> None:
    here = {f.name for f in availability.findings() if f.available and f.tier == tier}
    with ExitStack() as behind:
        before = [behind.enter_context(services.postgres())] if name == "pgbouncer" else []
        server = registry.starter(name)(*before, required=False)
        assert bool(server) == (name in here)
        if not server:
            assert f"{tier}: " in server.missing
            return
        with server:
            assert (server.tier, server.ready_s > 0, core.major(server.version) > 0) == (
                tier,
                True,
                True,
            )
            assert server in services.running()
            assert listens_on(server) == {"127.0.0.1"}
        assert not server.alive()


def listens_on(server: services.Server) -> set[str]:
    """The addresses from which it can be reached."""
    if isinstance(server.place, containers.Container) and not server.host_network:
        published = server.place.inner.attrs["NetworkSettings"]["Ports"]
        return {binding["HostIp"] for bound in published.values() for binding in bound or ()}
    place = server.place
    contained = isinstance(place, containers.Container)
    process = psutil.Process(place.inner.attrs["State"]["Pid"] if contained else place.popen.pid)
    found = [c for c in process.net_connections("inet") if c.status in ("LISTEN", "NONE")]
    return {c.laddr.ip for c in found}


@pytest.mark.parametrize(
    ("name", "label"), [("postgres", "PostgreSQL"), ("mysql", "MySQL"), ("mariadb", "MariaDB")]
)
def test_a_sql_server_has_answered_when_the_call_returns(name: str, label: str, tier: str) -> None:
    here = [f.server for f in availability.findings() if f.available and f.tier == tier]
    server = getattr(services, name)(required=False)
    assert bool(server) == (label in here)
    if not server:
        return
    with server:
        assert (server.tier, server.ready_s > 0) == (tier, True)
        with server.engine().connect() as connection:
            assert connection.exec_driver_sql("select 40 + 2").scalar() == 42
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("create table gates (name varchar(3))")
    assert not server.alive()


def test_redis_has_answered_when_the_call_returns(tier: str) -> None:
    with services.redis(settings={"maxmemory": "20mb"}) as server, server.client() as client:
        assert client.incr("bookings") == 1
        assert client.config_get("maxmemory") == {"maxmemory": str(20 * 2**20)}


def test_memcached_has_answered_when_the_call_returns(tier: str) -> None:
    server = services.memcached(settings={"memory-limit": 16}, required=False)
    if tier == "embedded":
        assert "no wheel carries Memcached" in server.missing
        return
    with server, closing(server.client()) as client:
        client.set("seat", b"12A", noreply=False)
        assert client.get("seat") == b"12A"
        assert client.stats()[b"limit_maxbytes"] == 16 * 2**20


def test_pgbouncer_stands_before_a_postgresql(tier: str) -> None:
    with services.postgres() as behind:
        bouncer = services.pgbouncer(behind, settings={"default_pool_size": 3}, required=False)
        if tier == "embedded":
            assert "no wheel carries PgBouncer" in bouncer.missing
            return
        with bouncer, bouncer.connect(autocommit=True) as connection:
            assert connection.execute("select current_database()").fetchone() == ("airline",)
            assert bouncer.port != behind.port


def test_nginx_stands_before_a_web_server(tier: str) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.path.encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as behind:
        threading.Thread(target=behind.serve_forever, daemon=True).start()
        proxied = f"location /api/ {{ proxy_pass http://127.0.0.1:{behind.server_port}/; }}"
        proxy = services.nginx(proxied, required=False)
        try:
            if tier == "embedded":
                assert "no wheel carries nginx" in proxy.missing
                return
            with proxy, urlopen(f"{proxy.url}/api/flights", timeout=30) as answer:
                assert answer.read() == b"/flights"
                assert core.major(proxy.version) > 0
        finally:
            behind.shutdown()


def test_what_is_said_to_be_here_and_the_servers_agree() -> None:
    chosen = {f.server: f.tier for f in availability.findings() if f.chosen}
    with services.postgres() as server:
        assert server.tier == chosen["PostgreSQL"]


def test_cells_share_a_server_until_the_last_user_leaves(embedded: None) -> None:
    first = services.postgres()
    with services.postgres() as second, services.postgres(settings={"work_mem": "8MB"}) as other:
        assert second is first
        assert other is not first
        with other.connect() as connection:
            assert connection.execute("show work_mem").fetchone() == ("8MB",)
    assert first.alive()
    assert not other.alive()
    first.stop()
    assert not first.alive()


@pytest.mark.parametrize(("durable", "fsync"), [(False, "off"), (True, "on")])
def test_durability_is_for_the_asking(embedded: None, durable: bool, fsync: str) -> None:
    with services.postgres(durable=durable) as server, server.connect() as connection:
        assert connection.execute("show fsync").fetchone() == (fsync,)


def test_a_claim_and_the_report_learn_the_tier(
    embedded: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_RECORD", str(tmp_path))
    monkeypatch.setenv("COURSE_NOTEBOOK", "03_databases/01a_transactions_indexes")
    monkeypatch.setenv("COURSE_TIER", "none")
    with services.postgres() as server:
        assert "embedded" in os.environ["COURSE_TIER"].split("+")  # beside other tests' servers
    [file] = tmp_path.glob("service-*.jsonl")
    entry = json.loads(file.read_text())
    assert entry == {
        "notebook": "03_databases/01a_transactions_indexes",
        "name": "PostgreSQL",
        "version": server.version,
        "tier": "embedded",
        "ready_s": server.ready_s,
    }


# ---- what may go wrong -------------------------------------------------------------------------


def test_a_tier_that_has_no_such_server_says_so(embedded: None) -> None:
    with pytest.raises(services.ServiceProblem, match="embedded: no wheel carries MySQL"):
        services.mysql()
    absent = services.mysql(required=False)
    assert not absent
    assert "no wheel carries MySQL" in absent.missing


def test_a_misspelt_tier_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_SERVICES", "dokcer")
    with pytest.raises(
        services.ServiceProblem, match="COURSE_SERVICES=dokcer is not known: use con"
    ):
        services.mysql(required=False)  # asked wrongly, which is not the same as not to be had


def test_a_server_that_is_too_old_is_not_taken(embedded: None) -> None:
    with pytest.raises(services.ServiceProblem, match=r"18\.\d+ is older than 99"):
        services.postgres(at_least=99)


def test_a_server_that_ends_at_once_has_the_last_word(tier: str) -> None:
    with pytest.raises(services.ServiceProblem, match='invalid value for parameter "work_mem"'):
        services.postgres(settings={"work_mem": "much"})


class Mute(Postgres):
    """A PostgreSQL that never has an answer."""

    deadline = 0.5

    def ask(self) -> str:
        raise RuntimeError("not yet")


def test_a_server_that_never_answers_is_given_up(embedded: None) -> None:
    with pytest.raises(services.ServiceProblem) as caught:
        core.serve(Mute)
    assert "did not answer within 0.5 s (not yet)" in str(caught.value)
    assert "database system is ready" in str(caught.value)  # its own log


def test_a_full_disk_is_seen_before_the_start(
    embedded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "FREE_MIB", 10**9)
    with pytest.raises(services.ServiceProblem, match=r"MiB free, PostgreSQL may need .* TMPDIR"):
        services.postgres()


def test_a_taken_port_is_left_to_its_owner(embedded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        taken = owner.getsockname()[1]
        found = iter([taken, ports.free_port()])
        monkeypatch.setattr(ports, "free_port", lambda: next(found))
        with services.postgres() as server:
            assert server.port != taken


def keep_asking(connection: sqlalchemy.Connection) -> None:
    """A session of a dead server may answer once more before it notices."""
    for _ in range(1_000):
        connection.exec_driver_sql("select 1")


def test_a_server_that_was_killed_is_missed_and_replaced(embedded: None) -> None:
    server = services.postgres()
    engine = server.engine()
    with engine.connect() as connection:
        os.killpg(server.place.popen.pid, signal.SIGKILL)
        server.place.popen.wait()
        with pytest.raises(services.ServiceProblem, match="no longer runs; run the notebook again"):
            keep_asking(connection)
    with pytest.raises(services.ServiceProblem, match="no longer runs"):
        server.connect()
    with pytest.raises(services.ServiceProblem, match="no longer runs"), engine.connect():
        pass
    with services.postgres() as another:
        assert another.alive()
    server.stop()


def engine_problem(docker_host: str) -> str | None:
    """What a process with this DOCKER_HOST says of the engine."""
    code = "from helpers.services import engine; print(engine.problem())"
    env = {**os.environ, "DOCKER_HOST": docker_host}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_an_engine_that_is_named_and_does_not_answer_is_named(tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/docker.sock"
    said = engine_problem(address)
    assert f"{address} (DOCKER_HOST) does not answer" in said
    assert said.endswith("start it, or `unset DOCKER_HOST`")


@pytest.fixture
def short() -> Iterator[Path]:
    """A temporary folder whose sockets have paths that are not too long."""
    with tempfile.TemporaryDirectory(prefix="course-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def test_an_engine_that_says_nothing_is_given_up(short: Path) -> None:
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(short / "docker.sock"))
        mute.listen()
        assert "does not answer" in engine_problem(f"unix://{short}/docker.sock")


@pytest.mark.skipif(sys.platform != "linux", reason="forks, and gives up root in the child")
def test_no_permission_on_the_socket(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as locked:
        locked.bind(str(short / "docker.sock"))
        locked.listen()
        (short / "docker.sock").chmod(0)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{short}/docker.sock")
        said = as_nobody(engine.problem)
        assert f"may not use its socket unix://{short}/docker.sock" in said
        assert "`sudo usermod -aG docker $USER`" in said


def as_nobody(ask: Callable[[], str | None]) -> str:
    """The answer of a child process without root's rights."""
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # xdist's worker has threads
        child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setegid(65534)
                os.seteuid(65534)
            os.write(theirs, str(ask()).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with os.fdopen(ours, encoding="utf-8") as pipe:
        return pipe.read()


@pytest.mark.skipif("container" not in AVAILABLE, reason="needs a Docker engine")
def test_an_image_that_cannot_be_fetched_is_named() -> None:
    env = {**os.environ, "TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX": "127.0.0.1:9/"}
    env["COURSE_SERVICES"] = "container"
    code = "from helpers import services; print(services.postgres(required=False).missing)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert "the image 127.0.0.1:9/postgres:17 is not here and could not be fetched" in done.stdout
    assert "course services prefetch" in done.stdout


# ---- nothing is left ---------------------------------------------------------------------------

# Starts one on every tier and says where all that could be left of them is.
START = """
import json, os, sys
from helpers import processes, services
from helpers.services.containers import Container
servers = []
for number, tier in enumerate(os.environ["TIERS"].split(), 8):
    os.environ["COURSE_SERVICES"] = tier
    servers.append(services.postgres(settings={"work_mem": f"{number}MB"}))
    servers[-1].connect().execute("create table flights as select generate_series(1, 9)")
places = [server.place for server in servers]
inside = [place for place in places if isinstance(place, Container)]
outside = [place for place in places if not isinstance(place, Container)]
told = {
    "owner": os.getpid(),
    "ports": [server.port for server in servers],
    "containers": [place.inner.id for place in inside],
    "groups": [place.popen.pid for place in outside],
    "folders": [str(place.folder) for place in outside],
    "segments": [int((p.folder / "data/postmaster.pid").read_text().split()[-2]) for p in outside],
}
with open(os.environ["TOLD"] + ".part", "w") as file:
    json.dump(told, file)
os.rename(file.name, os.environ["TOLD"])
"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a process that runs START tells what it started."""
    path = tmp_path / "told"
    monkeypatch.setenv("TOLD", str(path))
    monkeypatch.setenv("TIERS", " ".join(AVAILABLE))
    return path


def wait_for(path: Path, seconds: float = DEADLINE) -> dict:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, "the servers did not start"
        time.sleep(0.05)
    return json.loads(path.read_text())


def left(told: dict) -> list[str]:
    """What is left of the servers, in words."""
    found = [f"folder {folder}" for folder in told["folders"] if Path(folder).exists()]
    for process in psutil.process_iter(["cmdline", "pid"]):
        line = " ".join(process.info["cmdline"] or [])
        if any(folder in line for folder in told["folders"]):
            found.append(f"process {line}")
    for port in told["ports"]:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                found.append(f"something listens on {port}")
    segments = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    here = {int(line.split()[1]) for line in segments}
    found += [f"shared memory {segment}" for segment in told["segments"] if segment in here]
    if told["containers"]:
        client = engine.client()
        for container in client.containers.list(all=True, ignore_removed=True):
            if container.id in told["containers"]:
                found.append(f"container {container.name}")
        client.close()
    return found


def assert_nothing_is_left(told: dict) -> None:
    deadline = time.monotonic() + SECONDS
    while (found := left(told)) and time.monotonic() < deadline:
        time.sleep(0.25)
    assert found == []


def started(told: Path, ending: str) -> subprocess.Popen[str]:
    """A process that starts the servers and then does what `ending` says."""
    # A test run in the background of a shell has SIGINT ignored, and so have its children.
    heed = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    return subprocess.Popen(
        [sys.executable, "-c", heed + START + ending], text=True, stderr=subprocess.PIPE, cwd="/"
    )


WAIT = "\nimport time\ntime.sleep(300)"


def test_nothing_is_left_after_a_normal_end(told: Path) -> None:
    process = started(told, "")
    assert process.communicate(timeout=DEADLINE) == (None, "")
    assert_nothing_is_left(wait_for(told))


def test_nothing_is_left_after_an_exception(told: Path) -> None:
    process = started(told, "\nraise LookupError('gate')")
    assert "LookupError: gate" in process.communicate(timeout=DEADLINE)[1]
    assert_nothing_is_left(wait_for(told))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_after_a_signal(told: Path, how: signal.Signals) -> None:
    with started(told, WAIT) as process:
        entry = wait_for(told)
        assert len(left(entry)) >= len(AVAILABLE)  # the search finds them while they are there
        process.send_signal(how)
        process.communicate(timeout=DEADLINE)
    assert_nothing_is_left(entry)


def test_nothing_is_left_when_the_start_is_interrupted(told: Path) -> None:
    """In the middle of a start there is a folder, a process or a container, and no server yet."""
    listed = f"{START.split('places =')[0]}".replace(
        "for number", "print('go', flush=True)\nfor number"
    )
    with subprocess.Popen(
        [sys.executable, "-c", listed], text=True, stdout=subprocess.PIPE, cwd="/"
    ) as process:
        assert process.stdout.readline() == "go\n"
        below: set[psutil.Process] = set()
        while len(below) < 2:  # the guardian, and what it shall end
            below |= {*psutil.Process(process.pid).children(recursive=True)}
        process.kill()
    deadline = time.monotonic() + SECONDS
    while (found := [p for p in below if processes.lives(p)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found == []


@pytest.fixture
def kernel(told: Path, tmp_path: Path) -> Iterator[KernelManager]:
    """A real kernel in which START ran."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=kernel_environment(str(tmp_path)), cwd=str(tmp_path))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=DEADLINE)
        client.execute(START)
        wait_for(told)
        yield manager
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("now", [False, True])
def test_nothing_is_left_after_a_kernel_restart(
    kernel: KernelManager, told: Path, now: bool
) -> None:
    kernel.restart_kernel(now=now)
    assert_nothing_is_left(wait_for(told))


def test_nothing_is_left_after_a_kernel_was_killed(kernel: KernelManager, told: Path) -> None:
    entry = wait_for(told)
    os.kill(entry["owner"], signal.SIGKILL)
    assert_nothing_is_left(entry)


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_is_left_after_pytest_was_killed(told: Path, tmp_path: Path, workers: int) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(START + WAIT)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    path = tmp_path / "servers.ipynb"
    nbformat.write(notebook, path)
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env"]
    command += ["-n", str(workers), "-p", "no:cacheprovider", str(path)]
    with subprocess.Popen(
        command, cwd=tmp_path, env=kernel_environment(str(tmp_path)),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        entry = wait_for(told)
        process.kill()
    assert_nothing_is_left(entry)
