"""The pieces that the notebooks on testing and architecture share."""

import pytest

from helpers.labs.airline_copy import ChangeNotApplied, copy_airline
from helpers.labs.testing.runs import run_pytest


def test_outcomes_of_a_run_by_test(tmp_path):
    (tmp_path / "test_seats.py").write_text(
        "import os, pytest\n"
        "def test_free(): assert not [name for name in os.environ if name.startswith('COURSE_')]\n"
        "def test_taken(): assert False\n"
        "@pytest.fixture\n"
        "def plane(): raise LookupError\n"
        "def test_missing(plane): pass\n"
        "@pytest.mark.skip\n"
        "def test_later(): pass\n"
    )
    run = run_pytest(tmp_path)
    assert run.outcomes == {
        "test_seats::test_free": "passed",
        "test_seats::test_taken": "failed",
        "test_seats::test_missing": "error",
        "test_seats::test_later": "skipped",
    }
    assert run.code == 1
    assert run.failed == ["test_seats::test_missing", "test_seats::test_taken"]
    assert run.count("passed") == 1


def test_plugins_are_those_that_are_named(tmp_path):
    (tmp_path / "test_one.py").write_text("def test_one(): pass\n")
    assert run_pytest(tmp_path, "-n", "1").code == 4  # pytest's usage error: no such option
    assert run_pytest(tmp_path, "-n", "1", plugins=["xdist.plugin"]).count("passed") == 1


def test_a_copy_of_the_service_runs_and_is_changed(tmp_path):
    copy_airline(tmp_path, {"bookings.py": ("def hold(", "def hold_seats(")})
    (tmp_path / "test_copy.py").write_text(
        "import airline.bookings\ndef test_copy(): assert hasattr(airline.bookings, 'hold_seats')\n"
    )
    assert run_pytest(tmp_path).count("passed") == 1


def test_a_change_that_fits_nowhere_is_refused(tmp_path):
    with pytest.raises(ChangeNotApplied, match="0 times"):
        copy_airline(tmp_path, {"bookings.py": ("no such text", "")})
    assert not any(tmp_path.iterdir())
