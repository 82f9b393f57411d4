"""The static contracts of notebooks: ids, tags, controls, exercises, pairs, outputs, the map."""

from __future__ import annotations

import ast
import json
import os
import re
from collections import defaultdict
from pathlib import Path

import nbformat

from helpers.course import generated, new
from helpers.course.check import controls, floor, prose
from helpers.course.teach import prompts
from helpers.learner import diagnostic
from helpers.model import checklist, notebooks, parts, questions
from helpers.model.notebooks import Notebook, Problem

CORE = 3  # experiments with which a reader in a hurry has the topic's point
TEXT_BUDGET = 20_000  # characters of text that one cell may put out
PICTURE_BUDGET = 150_000  # bytes of one picture, base64 included


def check_all(folder: Path = notebooks.NOTEBOOKS, outputs: bool = True) -> list[Problem]:
    """Every broken contract of the notebooks in a folder; with outputs=False the pairs are not read."""
    books = [notebooks.load(path) for path in notebooks.sources(folder)]
    problems = [problem for book in books for problem in check(book)]
    problems += _unique_ids(books)
    problems += _stray_files(folder)
    if outputs:
        problems += [problem for book in books for problem in check_pair(book)]
    if folder == notebooks.NOTEBOOKS:
        problems += _map(books)
        problems += _numbers(books)
        if folder.is_relative_to(notebooks.ROOT):  # pages and questions are the checkout's
            problems += _for_teachers(books)
            problems += _diagnostics(books)
            files = prose.pages()
            problems += prose.ids(books, files) + prose.links(books, files)
            problems += floor.static(books)
            problems += prose.figure_problems(books) if outputs else []
    if folder == generated.START_PAGE.parent:
        text = "is out of step with the map or the notebooks: run `course build`"
        problems += [Problem(path.name, None, text) for path in generated.stale()]
    return problems


def check(book: Notebook) -> list[Problem]:
    """The contracts that one notebook's source must keep."""
    book.problems.clear()
    book.__dict__.pop("calls", None)
    book.__dict__.pop("break_its", None)
    _tags(book)
    _claims(book)
    _predictions(book)
    _controls(book)
    _exercises(book)
    return list(book.problems)


def _tags(book: Notebook) -> None:
    for index, cell in enumerate(book.cells):
        for tag in notebooks.tags(cell):
            if tag not in notebooks.TAGS:
                book.problem(
                    index, f"unknown tag {tag!r}; known: {', '.join(sorted(notebooks.TAGS))}"
                )


def _claims(book: Notebook) -> None:
    bounds = {"at_most", "at_least", "between", "equals"}
    for call in book.of("claim"):
        if len(call.keywords & bounds) != 1:
            book.problem(
                call.cell, f"claim {call.id} needs exactly one of {', '.join(sorted(bounds))}"
            )
        if "nbval-ignore-output" in notebooks.tags(book.cells[call.cell]):
            book.problem(
                call.cell, f"claim {call.id} stands in a cell whose output is not compared"
            )


def _predictions(book: Notebook) -> None:
    """Each question can be asked, answered and settled; its id says nothing of the answer."""
    asked = questions.asked(book)
    answers = {call.id: call for call in book.of("answer")}
    proofs = _proofs(book, {question.id for _, question in asked})
    last = 0
    for index, question in asked:
        number = re.fullmatch(r"[a-z_]+\.q(\d+)", question.id)
        if not number or int(number[1]) <= last:
            text = f"prediction {question.id} is not topic.qN, with N rising through the notebook"
            book.problem(index, text)
        last = int(number[1]) if number else last
        letters = list(question.options)
        if len(letters) < 2 or letters != list("abcdefgh")[: len(letters)]:
            text = f"prediction {question.id} needs a list of options: - **a** …, - **b** …"
            book.problem(index, text)
        if not book.cells[index].source.startswith("**Predict.** "):
            book.problem(index, f"prediction {question.id} begins with **Predict.**")
        if question.id not in answers or answers[question.id].cell != index + 1:
            text = f"prediction {question.id} has no answer(…) in the next cell"
            book.problem(index, text)
        settled = proofs.get(question.id, [])
        if len(settled) != 1:
            text = f"prediction {question.id} is settled by {len(settled)} claims: one needs "
            book.problem(index, text + f'proves={{"{question.id}": "a"}}')
        elif settled[0] not in letters:
            text = f"a claim proves {settled[0]!r} of {question.id}, which has {', '.join(letters)}"
            book.problem(index, text)
    known = {question.id for _, question in asked} | {quiz.id for quiz in book.of("quiz")}
    for call in book.of("answer"):
        if call.id not in known:
            book.problem(call.cell, f"answer({call.id!r}, …) has no question of that id")
    for call in book.of("quiz"):
        if call.id not in answers:
            book.problem(call.cell, f"question {call.id} has no answer(…) cell")


def _proofs(book: Notebook, asked: set[str]) -> dict[str, list[str]]:
    """The options that claims say to prove, by question."""
    found: dict[str, list[str]] = defaultdict(list)
    for call in book.of("claim"):
        if "proves" not in call.keywords:
            continue
        proves = call.arguments["proves"]
        if not isinstance(proves, dict):
            book.problem(call.cell, f'claim {call.id}: proves is literal, {{"topic.q1": "a"}}')
            continue
        for id, letter in proves.items():
            found[id].append(letter)
            if id not in asked:
                book.problem(call.cell, f"claim {call.id} settles {id}, which no cell here asks")
    return found


def _controls(book: Notebook) -> None:
    claims = [call.id for call in book.of("claim")]
    controlled = {id for broken in book.break_its for id in (broken.claim, *broken.also)}
    for call in book.of("claim"):
        if call.id not in controlled:
            book.problem(call.cell, f"claim {call.id} has no Break it")
    for broken in book.break_its:
        for id in (broken.claim, *broken.also):
            if id not in claims:
                book.problem(broken.cell, f"Break it names {id}, which no claim here has")
        source = book.cells[broken.cell].source
        if not broken.impossible and f'`break_it("{broken.claim}")`' not in source:
            line = f'▶ In a new cell: `break_it("{broken.claim}")`'
            book.problem(broken.cell, f"Break it of {broken.claim} needs the line {line}")
        if "<summary>" in source and not re.search(r"<summary><b>(Break|Mend) it</b>", source):
            book.problem(broken.cell, "a summary begins with <b>Break it</b>, or <b>Mend it</b>")
        controls.check_hunks(book, broken)


def _exercises(book: Notebook) -> None:
    checks = {call.id: call.cell for call in book.of("check")}
    marked = "solution" if _is_solution(book) else "exercise"
    for index in book.tagged(marked):
        id = book.cells[index].metadata.get("exercise")
        if id is None:
            book.problem(index, f'a cell tagged {marked} needs the metadata exercise="topic.slug"')
        elif checks.get(id) is None:
            book.problem(index, f"exercise {id} has no check({id!r}, …) cell")
        elif checks[id] != index + 1:
            book.problem(index, f"check({id!r}, …) must stand in the next cell")
    known = {book.cells[i].metadata.get("exercise") for i in book.tagged(marked)}
    for id, index in checks.items():
        if id not in known:
            book.problem(index, f"check({id!r}, …) has no cell tagged {marked} before it")


def _numbers(books: list[Notebook]) -> list[Problem]:
    """A link that is called by a topic's number leads to that topic."""
    numbers = {name: b.number for b in checklist.load().bullets for name in b.notebooks}
    found = []
    for book in books:
        for index, cell in enumerate(book.cells):
            if cell.cell_type != "markdown":
                continue
            for text, target in re.findall(r"\[([^\]]*)\]\(([^):#]*\.ipynb)", cell.source):
                name = os.path.normpath(Path(book.name).parent / target.removesuffix(".ipynb"))
                number = re.match(r"\d+\.\d+", text)
                if number and numbers.get(name) != number[0]:
                    found.append(Problem(book.name, index + 1, f"[{text}] leads to {name}"))
    return found


def _is_solution(book: Notebook) -> bool:
    return "solutions" in book.path.parts


def _unique_ids(books: list[Notebook]) -> list[Problem]:
    places: dict[tuple[str, str, bool], list[tuple[Notebook, int]]] = defaultdict(list)
    for book in books:
        for call in book.calls:
            # A solution notebook checks the same exercise as its topic: once there, once here.
            places[call.word, call.id, _is_solution(book)].append((book, call.cell))
        for index, question in questions.asked(book):
            places["prediction", question.id, False].append((book, index))
    found = []
    for (word, id, _), where in places.items():
        for book, cell in where[1:]:
            first, at = where[0]
            text = f"{word} id {id} is used twice; first in {first.name} cell {at + 1}"
            found.append(Problem(book.name, cell + 1, text))
        # An id in prose is a link to one cell.
        if word == "check" and ("claim", id, False) in places:
            book, cell = where[0]
            found.append(
                Problem(book.name, cell + 1, f"{id} is a claim and an exercise: rename one")
            )
    return found


def _stray_files(folder: Path) -> list[Problem]:
    stems = {path.with_suffix("") for path in notebooks.sources(folder)}
    found = []
    for path in sorted(folder.rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts and path.with_suffix("") not in stems:
            found.append(Problem(notebooks.name_of(path), None, "has an .ipynb but no .py"))
    return found


def check_pair(book: Notebook) -> list[Problem]:
    """What is wrong with a notebook's committed `.ipynb`: in step with the `.py`, run, clean, small."""
    book.problems.clear()
    pair = book.path.with_suffix(".ipynb")
    build = f"run `course build {book.name}`"
    if not pair.exists():
        book.problem(None, f"has no .ipynb: {build}")
        return list(book.problems)
    try:
        committed = nbformat.read(pair, as_version=4)
    except (ValueError, nbformat.ValidationError, nbformat.reader.NotJSONError) as error:
        why = str(error).splitlines()[0][:120]
        book.problem(None, f"the .ipynb is not a notebook ({why}): {build}")
        return list(book.problems)
    _in_step(book, committed, build)
    if not book.problems:
        _outputs(book, committed, build)
    return list(book.problems)


def _in_step(book: Notebook, committed: nbformat.NotebookNode, build: str) -> None:
    text = book.path.read_text(encoding="utf-8")
    if notebooks.to_percent(book.node) != text:
        book.problem(None, f"the .py is not in canonical form: {build}")
    if len(committed.cells) != len(book.cells):
        counts = f"{len(book.cells)} cells in the .py, {len(committed.cells)} in the .ipynb"
        book.problem(None, f"out of step ({counts}): {build}")
        return
    for index, (mine, theirs) in enumerate(zip(book.cells, committed.cells, strict=True)):
        same = (mine.cell_type, mine.source, dict(mine.metadata), mine.id)
        if same != (theirs.cell_type, theirs.source, dict(theirs.metadata), theirs.id):
            book.problem(index, f"differs between .py and .ipynb: {build}")


def _outputs(book: Notebook, committed: nbformat.NotebookNode, build: str) -> None:
    expected, unrun = 0, []
    for index, cell in enumerate(committed.cells):
        if cell.cell_type != "code":
            continue
        expected += 1
        if not cell.source.strip():
            book.problem(index, "is an empty code cell: take it out")
            expected -= 1
        elif cell.execution_count != expected:
            unrun.append(index)
        for output in cell.outputs:
            _output(book, index, output)
    _pictures(book, committed, build)
    if unrun:
        more = f" (and {len(unrun) - 1} more cells)" if len(unrun) > 1 else ""
        book.problem(unrun[0], f"was not run, or not in order from top to bottom{more}: {build}")


def _pictures(book: Notebook, committed: nbformat.NotebookNode, build: str) -> None:
    """Each cell that draws holds its pictures: under another backend it runs, and shows none."""
    drawing = set(DRAWS)
    for index, cell in enumerate(committed.cells):
        if cell.cell_type != "code":
            continue
        wanted = _drawn(cell.source, drawing)
        forms = [output.get("data", {}) for output in cell.outputs]
        shown = sum(any(kind.startswith("image/") for kind in data) for data in forms)
        if shown < wanted:
            text = f"draws {wanted} pictures, and {shown} are in its output: {build}"
            book.problem(index, text)
        elif any(
            set(d) == {"text/plain"} and d["text/plain"].startswith("<Figure ") for d in forms
        ):
            book.problem(index, f"a picture in its output is only named there: {build}")


DRAWS = frozenset({"picture", "show_bars", "show_lines"})


def _drawn(source: str, drawing: set[str]) -> int:
    """How many pictures a cell draws at least; its functions that draw are added to `drawing`."""
    found = 0
    for node in _statements(source):
        calls = {
            call.func.id if isinstance(call.func, ast.Name) else call.func.attr
            for call in ast.walk(node)
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name | ast.Attribute)
        }
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            drawing |= {node.name} if calls & drawing else set()
        elif isinstance(node, ast.Expr | ast.With | ast.For | ast.Assign):
            found += bool(calls & drawing)
    return found


def _statements(source: str) -> list[ast.stmt]:
    try:
        return notebooks.parsed(source).body
    except SyntaxError:  # told by the source's own contract
        return []


def _output(book: Notebook, index: int, output: nbformat.NotebookNode) -> None:
    if output.output_type == "error":
        book.problem(index, f"its committed output is an error: {output.ename}")
    elif output.get("name") == "stderr":
        book.problem(index, f"its committed output has stderr: {output.text[:80]!r}")
    forms = output.get("data", {})  # of one output, of which a reader sees one
    pictures = [v for k, v in forms.items() if k.startswith("image/")]
    if any(len(picture) > PICTURE_BUDGET for picture in pictures):
        book.problem(index, f"a picture is over its budget of {PICTURE_BUDGET:,} bytes")
    if "image/png" in forms and not output.get("metadata", {}).get("image/png", {}).get("alt"):
        book.problem(index, "a picture has no alternative text: draw it with helpers.figures")
    texts = [json.dumps(v) for k, v in forms.items() if not k.startswith("image/")]
    if max(map(len, [json.dumps(output.get("text", "")), *texts])) > TEXT_BUDGET:
        book.problem(index, f"its output is over the budget of {TEXT_BUDGET:,} characters")


def _diagnostics(books: list[Notebook]) -> list[Problem]:
    """Each section page asks the questions of its file, and each question cites claims that exist."""
    claims = {call.id for book in books for call in book.of("claim")}
    topics = {bullet.topic: bullet for bullet in checklist.load().bullets}
    asked = {
        (book.path.parent.name, call.id): (book, call) for book in books for call in book.of("quiz")
    }
    known, found = set(), []
    for path in sorted(diagnostic.FOLDER.glob("*.yaml")):
        name = f"data/diagnostic/{path.name}"
        try:
            questions = diagnostic.load(path)
        except ValueError as error:
            found.append(Problem(name, None, " ".join(str(error).split())))
            continue
        for id, question in questions.items():
            known.add((path.stem, id))
            problems = [
                f"{id} cites {c}, which no notebook claims"
                for c in question.claims
                if c not in claims
            ]
            if question.topic not in topics:
                problems.append(f"{id} is about {question.topic}, which is no topic")
            if (path.stem, id) not in asked:
                problems.append(f"{id} is asked nowhere in {path.stem}")
            found += [Problem(name, None, text) for text in problems]
    for place, (book, call) in asked.items():
        if place not in known:
            text = f"question {call.id} is not in data/diagnostic/{place[0]}.yaml"
            found.append(Problem(book.name, call.cell + 1, text))
    return found


def _map(books: list[Notebook]) -> list[Problem]:
    """Each ready bullet has its notebooks and they are complete; no notebook is off the map.

    A planned one may have them: they are being written, and keep all other contracts.
    """
    by_name = {book.name: book for book in books}
    listed: set[str] = set()
    found = []
    for bullet in checklist.load().bullets:
        for name in bullet.notebooks:
            listed.add(name)
            if bullet.status == "ready" and name not in by_name:
                text = f"{bullet.number} is ready in data/checklist.yaml but has no notebook {name}"
                found.append(Problem("checklist", None, text))
            elif bullet.status == "ready" and name in by_name:
                found += _complete(by_name[name], by_name)
    for name in by_name:
        stem = name.rsplit("/", 1)[-1]
        if not name.startswith("solutions/") and not stem.startswith("00_") and name not in listed:
            found.append(Problem(name, None, "is missing from data/checklist.yaml"))
    return found


def _for_teachers(books: list[Notebook]) -> list[Problem]:
    """Minutes add up to the map's; the instructor's pages have the notebooks' parts; nothing is open."""
    by_name = {book.name: book for book in books}
    found = []
    for bullet in checklist.load().bullets:
        mine = [by_name[name] for name in bullet.notebooks if name in by_name]
        page = prompts.name_of(prompts.path_of(bullet))
        if len(mine) < len(bullet.notebooks):
            if prompts.path_of(bullet).exists():
                found.append(Problem(page, None, f"{bullet.number} has no notebook yet"))
            continue
        for book, cell, text in parts.problems(bullet, mine):
            found.append(Problem(book.name, None if cell is None else cell + 1, text))
        found += [Problem(page, None, text) for text in prompts.problems(bullet, mine)]
        if bullet.status == "ready":
            found += _still_open(bullet)
    for path in prompts.strays():
        found.append(Problem(prompts.name_of(path), None, "is the page of no topic"))
    return found


def _still_open(bullet: checklist.Bullet) -> list[Problem]:
    """What `course new` left to be replaced in the files of a topic that is ready."""
    found = []
    for path in new.files(bullet):
        if path.exists() and "TODO" in path.read_text(encoding="utf-8"):
            name = path.relative_to(notebooks.ROOT).as_posix()
            found.append(Problem(name, None, f"{bullet.number} is ready, but this still says TODO"))
    return found


def _complete(book: Notebook, by_name: dict[str, Notebook]) -> list[Problem]:
    found = []
    if not any("You will be able to show that" in cell.source for cell in book.cells):
        found.append(
            Problem(book.name, None, "has no objectives (*You will be able to show that …*)")
        )
    for word, least in (("claim", 6), ("check", 2)):
        if len(book.of(word)) < least:
            found.append(Problem(book.name, None, f"has fewer than {least} {word} calls"))
    core = [part for part in parts.parts_of(book) if part.core and part.kind == "experiment"]
    if len(core) != CORE:
        text = f"marks {len(core)} experiments as its core (## heading, core=true), not {CORE}"
        found.append(Problem(book.name, None, text))
    worked = by_name.get(f"solutions/{book.name}")
    for call in book.of("check"):
        if worked is None or call.id not in {c.id for c in worked.of("check")}:
            found.append(
                Problem(book.name, call.cell + 1, f"exercise {call.id} has no worked solution")
            )
        elif signature(book, call.id) != signature(worked, call.id):
            text = f"the stub of {call.id} and its worked solution differ in their signatures"
            found.append(Problem(book.name, call.cell + 1, text))
    return found


def signature(book: Notebook, exercise_id: str) -> str:
    """Name and parameters of an exercise's answer, as the stub or the worked solution has them."""
    for cell in book.cells:
        if cell.metadata.get("exercise") == exercise_id:
            for node in reversed(notebooks.parsed(cell.source).body):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    return f"{type(node).__name__} {node.name}({ast.unparse(node.args)})"
                if isinstance(node, ast.ClassDef):
                    return f"class {node.name}"
                if isinstance(node, ast.Assign):
                    return f"{ast.unparse(node.targets[0])} ="
    return "nothing"
