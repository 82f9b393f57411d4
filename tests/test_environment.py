"""The three lists of dependencies — pyproject.toml, requirements.lock, environment.yml — agree."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.reference_only

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def bounds(requirements):
    """Name -> bounds. conda writes `_` for some `-`: one spelling for each name."""
    parsed = map(Requirement, requirements)
    return {canonicalize_name(r.name): r.specifier for r in parsed}


def locked():
    """Every (name, version, lines of its block) of the lock."""
    for block in re.split(r"\n(?=\S)", LOCK.strip()):
        pin = Requirement(block.split(" \\\n")[0].strip())
        (specifier,) = pin.specifier
        assert specifier.operator == "==", block
        yield canonicalize_name(pin.name), specifier.version, block.splitlines()


DECLARED = bounds(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"])


@pytest.fixture(scope="module")
def conda():
    """What conda installs, and what pip adds to it, under PyPI's names."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *packages, by_pip = environment["dependencies"]
    names = {"redis-py": "redis", "docker-py": "docker"}
    wanted = [re.sub("|".join(names), lambda m: names[m[0]], p) for p in packages if p != "pip"]
    return bounds(wanted + [line for line in by_pip["pip"] if not line.startswith("-e")])


def test_every_dependency_has_a_lower_bound():
    without = [n for n, spec in DECLARED.items() if [s.operator for s in spec] != [">="]]
    assert without == []


def test_conda_names_the_same_packages_with_the_same_bounds(conda):
    assert {name: bound for name, bound in conda.items() if name != "python"} == DECLARED


def test_conda_allows_the_same_pythons(conda):
    assert conda["python"] == SpecifierSet(PROJECT["requires-python"])


def test_the_reference_python_is_one_of_them():
    reference = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    assert reference in SpecifierSet(PROJECT["requires-python"])


def test_the_lock_has_every_dependency_within_its_bound():
    pins = {}
    for name, version, _ in locked():
        pins.setdefault(name, []).append(version)
    missing = DECLARED.keys() - pins.keys()
    outside = {
        name: pins[name]
        for name, bound in DECLARED.items()
        if name in pins and not all(v in bound for v in pins[name])
    }
    assert (missing, outside) == (set(), {})


def test_every_locked_package_has_hashes():
    bare = [name for name, _, lines in locked() if not any("--hash=sha256:" in x for x in lines)]
    assert bare == []


def test_the_lock_names_no_address():
    assert "://" not in LOCK
    assert not re.search(r"^\s*(-|--)(i|f|index-url|find-links)\b", LOCK, re.M)
