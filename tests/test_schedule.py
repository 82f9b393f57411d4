"""The teacher's view: minutes of parts, `course schedule`, the instructor's pages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import checkout, course, write

from helpers.course.teach import prompts
from helpers.model import checklist, notebooks, parts
from helpers.model.notebooks import NOTEBOOKS

pytestmark = pytest.mark.reference_only

NAME = "generators"  # 1.4, 75 minutes on the map


def topic(*, minutes: tuple[int, ...] | None = None, experiments: int = 4) -> str:
    """A notebook of some experiments (the odd ones with a vote), two exercises, interview, recap."""
    titles = [f"Experiment {n}" for n in range(1, experiments + 1)]
    titles += ["Exercises", "Asked in interviews", "Recap"]
    cells = ["# %% [markdown]\n# # 1.4", "# %%\nfrom helpers import answer, check, claim"]
    for n, title in enumerate(titles):
        said = f" minutes={minutes[n]}" if minutes else ""
        cells.append(f"# %% [markdown]{said}\n# ## {title}")
        if title.startswith("Experiment"):
            if n % 2 == 0:
                question = f'# %% [markdown] predict="{NAME}.q{n + 1}"\n# **Predict.** ?\n#'
                cells.append(f"{question}\n# - **a** yes\n# - **b** no")
                cells.append(f'# %%\nanswer("{NAME}.q{n + 1}", None)')
            proves = f', proves={{"{NAME}.q{n + 1}": "a"}}' if n % 2 == 0 else ""
            cells.append(f'# %%\nclaim("{NAME}.e{n}", "is so", 1, equals=1{proves})')
        if title == "Exercises":
            for slug, took in (("turn", 10), ("fly", 15)):
                cells.append(f"# %% [markdown]\n# ### Let it {slug} ({took} minutes)")
                cells.append(f'# %% exercise="{NAME}.{slug}" tags=["exercise"]\ndef {slug}(): ...')
                cells.append(f'# %%\ncheck("{NAME}.{slug}", {slug})')
    return "\n\n".join(cells) + "\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = checkout(tmp_path / "course")
    write(folder / "notebooks" / "01_language", topic())
    return folder


def page(root: Path, text: str) -> None:
    path = root / "docs" / "teaching" / "language" / f"{NAME}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def planned(root: Path, *arguments: str) -> dict[str, object]:
    done = course(root, "schedule", "--json", *arguments)
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout)


def test_the_core_alone(root: Path) -> None:
    text = topic()
    for n in (1, 3, 4):
        heading = f"[markdown]\n# ## Experiment {n}"
        text = text.replace(heading, heading.replace("]", "] core=true", 1))
    write(root / "notebooks" / "01_language", text)
    items = planned(root, "--hours", "2", "--topics", "1.4", "--core")["items"]
    titles = [item["title"] for item in items if item["topic"]]
    assert titles == ["Experiment 1", "Experiment 3", "Experiment 4"]


# --- minutes -----------------------------------------------------------------------------------


def test_minutes_that_are_not_given_are_shared_out(root: Path) -> None:
    items = planned(root, "--hours", "2", "--topics", "1.4")["items"]
    took = {item["title"]: item["minutes"] for item in items if item["topic"]}
    assert sum(took.values()) == 75
    assert took["Let it turn"] == 10
    assert took["Let it fly"] == 15
    assert took["Experiment 1"] > took["Experiment 2"] > took["Recap"] > 0  # by cells


def test_minutes_that_are_given_stand(root: Path) -> None:
    given = (20, 5, 5, 5, 30, 7, 3)
    write(root / "notebooks" / "01_language", topic(minutes=given))
    items = planned(root, "--hours", "2", "--topics", "1.4")["items"]
    took = [item["minutes"] for item in items if item["topic"]]
    assert took == [20, 5, 5, 5, 15, 15, 7, 3]  # what the exercises do not ask for is the first's


WRONG_MINUTES = {
    "a sum that differs": (
        topic(minutes=(20, 5, 5, 5, 30, 7, 4)),
        "04_generators: the parts of 1.4 add up to 76 minutes, data/checklist.yaml says 75",
    ),
    "a part without": (
        topic(minutes=(20, 5, 5, 5, 30, 7, 3)).replace(" minutes=7", ""),
        "## Asked in interviews has no minutes=N, though other parts of this notebook do",
    ),
    "no number": (topic().replace("[markdown]\n# ## Recap", '[markdown] minutes="3"\n# ## Recap'),
                  "minutes='3' is not a number of whole minutes"),
    "not at a part's heading": (
        topic().replace("[markdown]\n# # 1.4", "[markdown] minutes=3\n# # 1.4"),
        "04_generators cell 1: minutes= belongs to the cell of a ## heading",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_MINUTES)
def test_minutes_keep_their_contract(name: str, root: Path) -> None:
    text, message = WRONG_MINUTES[name]
    write(root / "notebooks" / "01_language", text)
    assert message in course(root, "build", "--check").stdout


@pytest.mark.parametrize(
    "bullet", [b for b in checklist.load().bullets if b.status == "ready"], ids=lambda b: b.topic
)
def test_every_ready_topic_can_be_planned(bullet: checklist.Bullet) -> None:
    found = parts.timed(bullet, [notebooks.load(NOTEBOOKS / f"{n}.py") for n in bullet.notebooks])
    assert sum(part.minutes for part in found) == bullet.minutes
    assert min(part.minutes for part in found) >= 1
    assert sum(len(part.exercises) for part in found) >= 2
    assert {"experiment", "exercises", "recap"} <= {part.kind for part in found}


# --- the plan ----------------------------------------------------------------------------------


def test_the_plan_runs_by_the_clock_and_counts_itself(root: Path) -> None:
    plan = planned(root, "--hours", "2", "--topics", "1.4", "--start", "13:30")
    items = plan["items"]
    assert (items[0]["at"], items[0]["kind"]) == ("13:30", "opening")
    at = 13 * 60 + 30
    for item in items:
        assert item["at"] == f"{at // 60}:{at % 60:02}"
        at += item["minutes"]
    assert plan["total_minutes"] == sum(item["minutes"] for item in items) == 10 + 75 + 10
    assert plan["target_minutes"] == 120
    assert [item["exercises"][0]["id"] for item in items if item["exercises"]] == [
        "generators.turn",
        "generators.fly",
    ]


def test_one_notebook_of_a_topic_is_planned_alone(root: Path) -> None:
    for letter in "abcde":
        text = topic().replace(f"{NAME}.", f"transactions_indexes.{letter}_")
        name = f"01{letter}_transactions_indexes"
        write(root / "notebooks" / "03_databases", text, name=name)
    items = planned(root, "--hours", "4", "--topics", "3.1b")["items"]
    assert {item["notebook"] for item in items} == {"", "03_databases/01b_transactions_indexes"}
    every = planned(root, "--hours", "4", "--topics", "3.1")["items"]
    assert len({item["notebook"] for item in every} - {""}) == 5


def test_nobody_sits_longer_than_the_stretch(root: Path) -> None:
    write(root / "notebooks" / "01_language", topic(experiments=12), "05_exceptions")
    items = planned(root, "--hours", "5", "--topics", "1.4,1.5")["items"]
    kinds = [item["kind"] for item in items]
    assert kinds.count("lunch") == 1  # five hours
    since = 0
    for item in items:
        since = 0 if item["kind"] in ("break", "lunch") else since + item["minutes"]
        assert since <= 75
    assert kinds[-1] not in ("break", "lunch")


def test_what_to_cut_first(root: Path) -> None:
    plan = planned(root, "--hours", "1", "--topics", "1.4")
    cuts = plan["cut_first"]
    assert [cut["title"] for cut in cuts] == [
        "Asked in interviews",
        "Let it fly",  # an exercise stays
        "Experiment 4",  # nothing to vote on
        "Experiment 2",
        "Experiment 3",  # and the first experiment
    ]
    totals = [plan["total_minutes"], *(cut["total"] for cut in cuts)]
    assert totals == sorted(totals, reverse=True)


def test_the_instructors_page_knows_better_what_to_cut(root: Path) -> None:
    page(
        root,
        f"# 1.4 {checklist.load().bullet('1.4').title}\n\n"
        "## Experiment 1\n\n**Ask.** Who knows?\n\n**Cut.** everybody knows\n\n"
        "## Experiment 4\n\n**Note.** Mind the gap.\n\n**Keep.** the heart of it\n",
    )
    cuts = planned(root, "--hours", "1", "--topics", "1.4")["cut_first"]
    assert (cuts[1]["title"], cuts[1]["why"]) == ("Experiment 1", "everybody knows")
    assert "Experiment 4" not in [cut["title"] for cut in cuts]


def test_fit_leaves_out_until_it_fits(root: Path) -> None:
    plan = planned(root, "--hours", "1.25", "--topics", "1.4", "--fit")
    assert plan["total_minutes"] <= 75
    assert [item["title"] for item in plan["left_out"]][:2] == ["Asked in interviews", "Let it fly"]
    titles = [item["title"] for item in plan["items"]]
    assert "Let it fly" not in titles
    assert "Let it turn" in titles


def test_the_page_to_print(root: Path) -> None:
    done = course(root, "schedule", "--hours", "1", "--topics", "generators")
    assert done.stdout.startswith("# Workshop: 1.4 Generators, iterators, coroutines\n")
    assert "09:00 to 10:35: 95 minutes, 10 of them breaks, of 60; **35 too many**" in done.stdout
    assert "| 1.4 | Experiment 1 | vote, 1 claim |" in done.stdout
    assert "| 15 | 1.4 | Let it fly | exercise `generators.fly` |" in done.stdout
    assert "## What to cut first" in done.stdout
    assert "Run times: none measured here yet" in done.stdout
    (root / "build").mkdir()
    measured = {"notebooks": {"seconds": {"01_language/04_generators": 21.4, "other": 3}}}
    (root / "build" / "report.json").write_text(json.dumps(measured))
    again = course(root, "schedule", "--hours", "1", "--topics", "generators").stdout
    assert "(measured by the last `make test` here): 01_language/04_generators 21 s." in again


def test_notes_follow_on_request(root: Path) -> None:
    title = checklist.load().bullet("1.4").title
    page(root, f"# 1.4 {title}\n\nBring a clock.\n\n## Experiment 1\n\n**Ask.** Who knows?\n")
    done = course(root, "schedule", "--hours", "2", "--topics", "1.4", "--notes")
    assert "Bring a clock.\n\n## Experiment 1\n\n**Ask.** Who knows?" in done.stdout
    assert "Who knows?" not in course(root, "schedule", "--hours", "2", "--topics", "1.4").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--hours", "4", "--topics", "1.5"), "1.5 exceptions has no notebook: it is planned"),
        (("--hours", "4", "--topics", "generaters"), "Did you mean 1.4 (generators)?"),
        (("--hours", "0", "--topics", "1.4"), "--hours"),
        (("--hours", "4", "--topics", ","), "name at least one topic"),
        (("--hours", "4", "--topics", "1.4", "--start", "9am"), "--start"),
    ],
)
def test_asked_wrongly(arguments: tuple[str, ...], message: str, root: Path) -> None:
    done = course(root, "schedule", *arguments)
    assert done.returncode == 2
    assert message in done.stdout


# --- the instructor's pages ----------------------------------------------------------------------

GOOD = [
    ("Experiment 1", "**Note.** n"),
    ("Experiment 2", "**Ask.** a"),
    ("Experiment 3", "**Demo.** d"),
    ("Experiment 4", "**Ask.** a"),
    ("Exercises", "**Note.** n"),
]
DRIFT = {
    "good": (GOOD, None),
    "a part renamed": (
        [("Experiment one", "**Note.** n"), *GOOD[1:]],
        "docs/teaching/language/generators.md: ## Experiment one is no part of the notebook",
    ),
    "a part missing": (GOOD[:-1], "the part ## Exercises is missing"),
    "another order": ([GOOD[1], GOOD[0], *GOOD[2:]], "stand in another order"),
    "nothing said": (
        [("Experiment 1", "Well."), *GOOD[1:]],
        "## Experiment 1 has none of **Note.**",
    ),
}


@pytest.mark.parametrize("name", DRIFT)
def test_a_page_that_drifts_is_red(name: str, root: Path) -> None:
    said, message = DRIFT[name]
    title = f"# 1.4 {checklist.load().bullet('1.4').title}\n\n"
    page(root, title + "\n\n".join(f"## {part}\n\n{text}" for part, text in said) + "\n")
    problems = [
        line for line in course(root, "build", "--check").stdout.splitlines() if "docs/" in line
    ]
    assert (message is None and problems == []) or message in "\n".join(problems)


def test_a_page_of_no_topic_is_red(root: Path) -> None:
    page(root, "# x\n")
    path = root / "docs" / "teaching" / "language" / f"{NAME}.md"
    path.rename(path.with_name("generaters.md"))
    assert "generaters.md: is the page of no topic" in course(root, "build", "--check").stdout


def test_learners_do_not_see_the_pages() -> None:
    assert not prompts.PROMPTS.is_relative_to(NOTEBOOKS)
