"""One line in the registry and one file make a server: all that names servers follows from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console
from support import checkout, course

from helpers import claim, services
from helpers.course.check import report, stages
from helpers.course.check.modes import Mode
from helpers.model import checklist
from helpers.services import availability, core, registry

pytestmark = pytest.mark.reference_only

KINDS = {name: registry.kind(name) for name in registry.SERVERS}


@pytest.mark.parametrize("name", KINDS)
def test_a_server_has_all_that_is_asked_of_one(name: str) -> None:
    kind = KINDS[name]
    assert name in services.__all__
    assert callable(getattr(services, name))
    assert registry.name_of(kind) == name
    assert "client" in kind.inner_ports
    assert kind.image.count(":") == 1  # pinned
    lacking = {tier for tier in core.TIERS if (name, tier) in report.servers_nowhere()}
    # Where some machine has it we say how to get it, and where none has it that is in the list.
    assert set(kind.get) | lacking >= set(core.TIERS)
    if isinstance(said := kind().embedded(), str) and "no wheel" in said:
        assert (name, "embedded") in report.servers_nowhere()


def test_engines_and_registry_name_the_same_servers() -> None:
    engines = Path(registry.__file__).parent / "engines"
    shared = {"__init__", "sql"}
    assert {path.stem for path in engines.glob("*.py")} - shared == set(registry.SERVERS)


def test_services_and_doctor_list_every_server(tmp_path: Path) -> None:
    """A second checkout with one more line and file, and nothing else changed."""
    root = checkout(tmp_path / "course")
    engines = root / "helpers" / "services" / "engines"
    text = (engines / "memcached.py").read_text()
    text = text.replace("Memcached", "Seatcache").replace("def memcached", "def seatcache")
    (engines / "seatcache.py").write_text(text)
    listed = root / "helpers" / "services" / "registry.py"
    line = '    "memcached": "Memcached",\n'
    listed.write_text(listed.read_text().replace(line, line + '    "seatcache": "Seatcache",\n'))
    map_ = root / "data" / "checklist.yaml"
    map_.write_text(map_.read_text().replace("memcached", "seatcache"))
    said = course(root, "services", "--json", DOCKER_HOST="tcp://192.0.2.1:1")
    assert said.returncode == 0, said.stdout
    assert {"seatcache", "memcached"} <= {entry["name"] for entry in json.loads(said.stdout)}
    assert "Seatcache" in course(root, "doctor", DOCKER_HOST="tcp://192.0.2.1:1").stdout
    assert course(root, "list").returncode == 0


def test_the_map_knows_every_server_and_no_other() -> None:
    needed = {need for bullet in checklist.load().bullets for need in bullet.needs}
    assert needed <= set(registry.SERVERS) | checklist.OTHER_NEEDS
    assert not set(registry.SERVERS) & checklist.OTHER_NEEDS


def test_an_absent_server_is_why_a_claim_is_unmeasured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COURSE_RECORD", str(tmp_path))
    monkeypatch.setenv("COURSE_SERVICES", "embedded")
    absent = services.memcached(required=False)
    claim("caching.shared", "two clients see one value", None, equals=1, unmeasured=absent)
    with services.redis() as here:
        claim("caching.there", "it answers", 1, equals=1, unmeasured=here)
    assert "no wheel carries Memcached" in capsys.readouterr().out
    [file] = tmp_path.glob("claims-*.jsonl")
    first, second = map(json.loads, file.read_text().splitlines())
    assert (first["held"], first["absent"], first["tier"]) == (None, "memcached", "embedded")
    assert (second["held"], second["unmeasured"], "absent" in second) == (True, None, False)


def test_the_list_of_the_impossible_names_a_server_once_for_all_its_claims() -> None:
    known = report.Impossible(server="memcached", tier="embedded", reason="no wheel")
    entry = {"claim": "caching.any", "tier": "embedded", "reason": "absent"}
    assert known.allows(report.Unmeasured(**entry, server="memcached"), "3.13.0")
    assert not known.allows(report.Unmeasured(**entry, server="redis"), "3.13.0")
    assert not known.allows(report.Unmeasured(**entry), "3.13.0")
    assert not known.allows(
        report.Unmeasured(**{**entry, "tier": "native"}, server="memcached"), "3.13.0"
    )
    with pytest.raises(ValueError, match="either a claim or a server"):
        report.Impossible(tier="embedded", reason="neither")


def test_tiers_are_judged_by_the_servers_that_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {("redis", "embedded"), ("redis", "native"), ("memcached", "native")}

    def problem(kind: type[core.Server], tier: str, no_engine: str | None) -> str | None:
        return None if (registry.name_of(kind), tier) in here else "not installed"

    monkeypatch.setattr(availability, "_problem", problem)
    monkeypatch.setattr(availability.engine, "problem", lambda: "no engine")
    nowhere = {("memcached", "embedded")}

    def usable(*servers: str) -> list[str]:
        return [t for t, why in availability.tiers(servers, nowhere).items() if why is None]

    assert usable("redis") == ["native", "embedded"]
    assert usable("redis", "memcached") == ["native", "embedded"]  # as far as embedded goes at all
    assert usable("memcached") == ["native"]
    assert usable("postgres", "redis") == []
    assert availability.tiers(["postgres"])["native"] == "PostgreSQL: not installed"


def test_a_notebooks_servers_are_those_of_the_map() -> None:
    first = stages.ROOT / "notebooks" / "03_databases" / "01a_transactions_indexes.py"
    assert stages.servers_of([first]) == ["postgres", "mysql", "mariadb"]
    assert stages.servers_of([stages.ROOT / "notebooks" / "01_language" / "04_generators.py"]) == []


def test_a_tier_that_nobody_has_is_not_asked_for_where_all_is_required(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """nginx alone: no machine has it embedded, and only this one has it not installed."""
    monkeypatch.delenv("COURSE_SERVICES", raising=False)
    monkeypatch.setenv("COURSE_REQUIRE", "all")
    monkeypatch.setattr(stages, "servers_of", lambda paths: ["nginx"])
    here = {
        "container": None,
        "native": "nginx: not installed",
        "embedded": "there is no nginx for it",
    }
    monkeypatch.setattr(availability, "tiers", lambda servers, nowhere: here)
    run = stages.Run(tmp_path, {}, Mode.reference, 1, Console(quiet=True))
    assert stages.server_tiers(run, []) == ["container"]
    assert run.failed == ["no native servers here: nginx: not installed"]
