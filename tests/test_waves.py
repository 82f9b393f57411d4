"""Which parts a control runs, and how its diff is applied; without a kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import write

from helpers.course.check import contracts, controls
from helpers.model.notebooks import Notebook

BOOK = """\
# %%
from helpers import claim
legs = 2
seats = 180

# %% [markdown]
# ## The first experiment

# %%
claim("generators.two", "a return trip has two legs", legs, equals=2)

# %% [markdown] claim="generators.two" tags=["break-it"]
# ```diff
# DIFF
# ```

# %% [markdown]
# ## The second experiment

# %%
claim("generators.even", "the legs make pairs", legs % 2, equals=0)

# %% [markdown] claim="generators.even" control="none" reason="not of interest" tags=["break-it"]
"""


def book(folder: Path, *diff: str) -> Notebook:
    return write(folder, BOOK.replace("# DIFF", "\n".join(f"# {line}" for line in diff)))


def test_a_diff_on_the_set_up_runs_every_experiment(tmp_path: Path) -> None:
    """The change reaches all of them, so another claim that it breaks must be noticed."""
    broken = book(tmp_path, "-legs = 2", "+legs = 3")
    [wave] = controls.waves(broken)
    assert wave.parts == (1, 2)
    code = [cell.source for cell in controls.broken_copy(broken, wave).cells]
    assert [source.split('"')[1] for source in code if "claim(" in source] == [
        "generators.two",
        "generators.even",
    ]
    problem = controls.verdict(wave, controls.run_wave(broken, wave))
    assert problem
    assert problem.startswith("generators.even turned red too")


def test_a_diff_in_its_own_experiment_runs_only_that(tmp_path: Path) -> None:
    broken = book(
        tmp_path,
        '-claim("generators.two", "a return trip has two legs", legs, equals=2)',
        '+claim("generators.two", "a return trip has two legs", 3, equals=2)',
    )
    [wave] = controls.waves(broken)
    assert wave.parts == (1,)


OVERLAPPING = (
    "-legs = 2",
    "+legs = 3",
    " seats = 180",
    "@@",
    " legs = 2",
    "-seats = 180",
    "+seats = 0",
)


def test_a_hunk_that_an_earlier_one_changed_is_not_dropped_silently(tmp_path: Path) -> None:
    broken = book(tmp_path, *OVERLAPPING)
    text = "Break it of generators.two: its old side does not occur in the code ('legs = 2')"
    assert controls.inapplicable(broken) == [f"04_generators cell 4: {text}"]
    assert controls.waves(broken) == []
    wave = controls.Wave(broken.name, 1, (broken.break_its[0],), (1,))
    with pytest.raises(controls.DeadControl, match="does not occur"):
        controls.broken_copy(broken, wave)


def test_a_hunk_may_build_on_an_earlier_one_only_if_it_stays_unique(tmp_path: Path) -> None:
    """The first hunk makes a second `seats = 180`, so the next one has two places."""
    broken = book(
        tmp_path, "-legs = 2", "+legs = 3", "+seats = 180", "@@", "-seats = 180", "+seats = 0"
    )
    [problem] = controls.inapplicable(broken)
    assert "occurs 2 times in the code ('seats = 180')" in problem


def test_places_that_overlap_are_two(tmp_path: Path) -> None:
    text = BOOK.replace("seats = 180", "seats = 180\nseats = 180\nseats = 180")
    diff = "\n".join(f"# {line}" for line in ("-seats = 180", "-seats = 180", "+seats = 0"))
    [problem] = controls.inapplicable(write(tmp_path, text.replace("# DIFF", diff)))
    assert "occurs 2 times" in problem


def test_hunks_of_one_run_are_all_applied(tmp_path: Path) -> None:
    broken = book(tmp_path, "-legs = 2", "+legs = 3", "@@", "-seats = 180", "+seats = 0")
    [wave] = controls.waves(broken)
    first = controls.broken_copy(broken, wave).cells[0].source
    assert first == "from helpers import claim\nlegs = 3\nseats = 0"


def test_the_contract_names_the_cell_of_an_overlap(tmp_path: Path) -> None:
    found = [str(problem) for problem in contracts.check(book(tmp_path, *OVERLAPPING))]
    assert len([line for line in found if "does not occur" in line]) == 1


def test_diffs_of_one_run_do_not_meet(tmp_path: Path) -> None:
    """What the first adds in its experiment is the old side of the second in another."""
    text = BOOK.replace(
        'control="none" reason="not of interest" tags=["break-it"]\n',
        'tags=["break-it"]\n# ```diff\n# -spare = 1\n# +spare = 2\n# ```\n',
    ).replace('# %%\nclaim("generators.even"', '# %%\nspare = 1\nclaim("generators.even"')
    claim = 'claim("generators.two", "a return trip has two legs", legs, equals=2)'
    diff = "\n".join(f"# {line}" for line in ("+spare = 1", f" {claim}"))
    both = write(tmp_path, text.replace("# DIFF", diff))
    [wave] = controls.waves(both)
    assert len(wave.diffs) == 2
    code = "\n".join(cell.source for cell in controls.broken_copy(both, wave).cells)
    assert (code.count("spare = 1"), code.count("spare = 2")) == (1, 1)
