"""The comparison of three frameworks: what it says when a part is missing. 2.3 shows that it compares like with like."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from helpers import load
from helpers.labs.web.frameworks import measuring
from helpers.measure import ProcessFailed


def test_lines_are_lines_of_code() -> None:
    source = (
        '"""A module."""\n\nimport os  # a comment\n\n\n# another\nx = [\n    1,\n\n    2,\n]\n'
    )
    assert measuring._lines(source) == 5


def test_without_postgres_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    class Absent(SimpleNamespace):
        def __bool__(self) -> bool:
            return False

    assert measuring.compare(Absent(missing="no PostgreSQL: start Docker")) == {}
    assert capsys.readouterr().out == "not measured: no PostgreSQL: start Docker\n"
    measuring.draw({})
    assert measuring.table({}) == []


@pytest.mark.parametrize("kind", [("fastapi_app:typo", "uvicorn"), ("flask_app:typo", "sync")])
def test_a_server_that_does_not_come_up_says_why(kind: tuple[str, str]) -> None:
    pg: Any = SimpleNamespace(url="postgresql+psycopg://u:p@127.0.0.1:1/x")
    with (
        pytest.raises(ProcessFailed, match="typo"),
        measuring.Provider(settle=1) as provider,
        measuring.serving({"wrong": kind}, pg, provider),
    ):
        pass


def test_the_calm_day_and_the_rush_are_told_apart() -> None:
    late = [0.003 if moment < measuring.CALM_SECONDS else 0.5 for moment in measuring.DUE]
    sent = tuple(moment + by for moment, by in zip(measuring.DUE, late, strict=True))
    ended = tuple(moment + 0.1 for moment in sent)
    result = load.Result(0, tuple(measuring.DUE), sent, ended, ("200",) * len(sent))
    one = measuring.Measured(at_once=8, load=result, memory=0)
    assert one.late == pytest.approx(0.003)
    assert one.latency(0.9, rush=False) == pytest.approx(0.103)
    assert one.latency(0.9, rush=True) == pytest.approx(0.6)
    assert one.per_second == pytest.approx(len(measuring.RUSH) / 0.6)
