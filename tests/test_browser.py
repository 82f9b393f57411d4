"""The learner's way in a real browser: JupyterLab as `course lab` opens it, in headless Chromium.

Everything is awaited by what shows on the page; the limits are there for a busy machine. What was
seen stays in build/browser/ as pictures.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from support import MAIN, checkout, environment, whole

from helpers import processes
from helpers.model import notebooks
from helpers.model.checklist import load
from helpers.model.notebooks import NOTEBOOKS, ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
PICTURES = ROOT / "build" / "browser"
SECONDS = 120  # for one thing to show up

pytestmark = [
    pytest.mark.reference_only,
    pytest.mark.skipif(sys.platform != "linux", reason="tried on Linux only"),
    pytest.mark.skipif(not BROWSER, reason="no Chromium here (Debian: apt-get install chromium)"),
]


# --- the server --------------------------------------------------------------------------------


class Lab:
    """A running JupyterLab on a checkout of its own: its address, and where it keeps settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = checkout(folder / "course")
        leave = shutil.ignore_patterns(".ipynb_checkpoints")
        shutil.copytree(NOTEBOOKS, self.root / "notebooks", dirs_exist_ok=True, ignore=leave)
        shutil.copy(ROOT / "data" / "checklist.yaml", self.root / "data")
        self.env = environment(
            self.root,
            IPYTHONDIR=str(folder / "ipython"),
            JUPYTER_CONFIG_DIR=str(folder / "config"),
            JUPYTER_RUNTIME_DIR=str(folder / "runtime"),
            JUPYTERLAB_SETTINGS_DIR=str(folder / "settings"),
            JUPYTERLAB_WORKSPACES_DIR=str(folder / "workspaces"),
            JPY_PARENT_PID="",
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[Lab]:
        """Start as a learner does, and end it; nothing below it may live on."""
        log = self.folder / "lab.log"
        command = [sys.executable, "-c", MAIN, "lab", "--no-browser", "--port=0"]
        with log.open("w") as out:
            process = subprocess.Popen(
                command, cwd=self.root, env=self.env, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )  # fmt: skip
        try:
            self.address = self._address(process, log)
            yield self
        finally:
            below = processes.descendants(process.pid)
            process.terminate()
            try:
                process.wait(30)
                _, left = psutil.wait_procs(below, timeout=10)
            finally:
                processes.end([psutil.Process(process.pid)] if process.poll() is None else [])
                processes.end(below)
        assert left == [], "processes that outlived JupyterLab"

    def _address(self, process: subprocess.Popen[bytes], log: Path) -> str:
        """What JupyterLab writes into its runtime folder once its port is open."""
        deadline = time.monotonic() + 2 * SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            for file in (self.folder / "runtime").glob("jpserver-*.json"):
                with contextlib.suppress(ValueError):  # being written
                    said = json.loads(file.read_text(encoding="utf-8"))
                    return f"{said['url']}?token={said['token']}"
            time.sleep(0.1)
        pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")

    def theme(self, name: str) -> None:
        """Have pages that are opened from now on in this theme."""
        file = self.folder / "settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"theme": name}), encoding="utf-8")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab")).running() as running:
        yield running


# --- the page ----------------------------------------------------------------------------------


class Page:
    """JupyterLab in the browser, in a learner's words."""

    def __init__(self, lab: Lab, page: object) -> None:
        self.lab, self.page = lab, page
        self.errors: list[str] = []
        page.set_default_timeout(1000 * SECONDS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        """A room without internet: nothing may come from elsewhere."""
        if url.startswith(("http", "ws")) and not re.match(r"\w+://127\.0\.0\.1:", url):
            self.errors.append(f"asked for {url}")

    def open_start_page(self) -> None:
        self.page.goto(self.lab.address)
        self.page.get_by_role("heading", name="Backend by Experiment").wait_for()

    def follow(self, link: str, file: str) -> None:
        """Follow a link of the page to a notebook, and wait until all of it is there."""
        self.page.get_by_role("link", name=link, exact=True).first.click()
        self._all_of(file)

    def open(self, file: str, more: int = 0) -> None:
        """Open a notebook by its address, as a bookmark does, in a workspace of its own.

        `more` cells are there than were shipped.
        """
        base, token = self.lab.address.split("?")
        name = file.rsplit("/", 1)[-1]
        self.page.goto(
            f"{base}lab/workspaces/{name}-{time.monotonic_ns()}/tree/{file}.ipynb?{token}"
        )
        self._all_of(file, more)

    def _all_of(self, file: str, more: int = 0) -> None:
        title = file.rsplit("/", 1)[-1] + ".ipynb"
        tab = self.page.locator(
            ".lm-DockPanel-tabBar .lm-TabBar-tab.lm-mod-current", has_text=title
        )
        tab.wait_for()
        cells = len(notebooks.load(NOTEBOOKS / file).cells)
        # Cells beyond the window's edge join the page when the browser has time.
        # (There are more than were shipped once a learner has added some.)
        self.panel.locator(".jp-Cell").nth(cells + more - 1).wait_for(state="attached")
        self.ready()

    def go_to(self, title: str) -> None:
        """Click on a notebook's tab."""
        self.page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab", has_text=title).click()

    @property
    def panel(self) -> object:
        """The notebook in front."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def ready(self) -> None:
        """Wait until the kernel is there and has nothing to do."""
        self.panel.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()

    def menu(self, name: str, entry: str) -> None:
        """Choose from JupyterLab's menu bar."""
        self.page.get_by_role("menuitem", name=name, exact=True).click()
        self.page.locator(".lm-Menu-itemLabel").get_by_text(entry, exact=True).click()

    def cell(self, source: str) -> object:
        """The code cell that has this in its source."""
        inside = self.page.locator(".cm-content", has_text=source)
        return self.panel.locator(".jp-CodeCell").filter(has=inside)

    def is_in_view(self, cell: object) -> bool:
        """Whether any of a cell shows in the window."""
        return cell.evaluate(
            "e => (r => r.bottom > 0 && r.top < innerHeight)(e.getBoundingClientRect())"
        )

    def write(self, cell: object, source: str) -> None:
        """Replace what stands in a cell, and wait until it stands there.

        Without the mouse: while outputs still find their height, a click may meet the cell above.
        """
        content = cell.locator(".cm-content").element_handle()
        content.scroll_into_view_if_needed()
        content.focus()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(source)
        there = "([content, line]) => content.innerText.includes(line)"
        self.page.wait_for_function(there, arg=[content, source.splitlines()[0].strip()])

    def run(self, cell: object) -> str:
        """Run one cell, wait for its end, and return what it put out."""
        return self._awaited(cell, lambda: self._press(cell, "Control+Enter"))

    def _press(self, cell: object, key: str) -> None:
        """Select a cell as a learner does, see that it is selected, and press a key on it."""
        from playwright.sync_api import expect

        selected = re.compile(r"\bjp-mod-active\b")
        for _ in range(SECONDS // 5):
            cell.locator(".jp-InputPrompt").click()
            try:  # while outputs still find their height, a click may meet the cell above
                expect(cell).to_have_class(selected, timeout=5000)
                break
            except AssertionError:
                continue
        focused = "c => c.closest('.jp-Notebook').contains(document.activeElement)"
        self.page.wait_for_function(focused, arg=cell.element_handle())
        self.page.keyboard.press(key)

    def _awaited(self, cell: object, start: Callable[[], None], seconds: int = SECONDS) -> str:
        from playwright.sync_api import TimeoutError, expect

        number = cell.locator(".jp-InputPrompt")
        # The number that is there says nothing (a restarted kernel may give it again): it goes, too
        # shortly to be looked for, and another comes. JupyterLab may make the prompt itself anew.
        cell.evaluate(
            """cell => { window.asked = false; new MutationObserver((_, self) => {
                if (cell.querySelector('.jp-InputPrompt')?.textContent.includes('[*]')) {
                    window.asked = true; self.disconnect() }
            }).observe(cell, {subtree: true, childList: true, characterData: true}) }"""
        )
        start()
        try:
            self.page.wait_for_function("window.asked", timeout=20_000)
        except TimeoutError:  # the browser lost the key: a learner presses it again
            start()
            self.page.wait_for_function("window.asked")
        expect(number).to_have_text(re.compile(r"\[\d+\]"), timeout=1000 * seconds)
        return cell.locator(".jp-Cell-outputWrapper").inner_text()

    def run_all(self) -> None:
        """Run > Run All Cells, and wait until the last one is done."""
        last = self.panel.locator(".jp-CodeCell").last
        self._awaited(last, lambda: self.menu("Run", "Run All Cells"), seconds=240)
        self.ready()

    def below(self, cell: object, source: str) -> str:
        """Insert a cell below another, write into it, run it."""
        cell.locator(".jp-InputPrompt").click()
        self.page.keyboard.press("b")
        new = self.panel.locator(".jp-CodeCell.jp-mod-active")
        self.page.keyboard.press("Enter")
        self.page.keyboard.insert_text(source)
        return self.run(new)

    def restart(self) -> None:
        """Kernel > Restart Kernel…, and say yes."""
        self.menu("Kernel", "Restart Kernel…")
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.page.locator(".jp-Dialog").wait_for(state="detached")
        self.ready()

    def picture(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png")


@pytest.fixture
def page(lab: Lab) -> Iterator[Page]:
    """A learner who is new here: what an earlier test predicted, measured and solved is forgotten."""
    from playwright.sync_api import sync_playwright

    shutil.rmtree(lab.root / "home", ignore_errors=True)

    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=options)
        view = Page(lab, browser.new_page(viewport={"width": 1280, "height": 860}))
        try:
            yield view
        finally:
            view.picture("last")  # what was there when a test failed
            browser.close()


# --- the way through ---------------------------------------------------------------------------

EXERCISE = "generators.daily_totals"
STUB, CHECK = "def daily_totals(rows)", f'check("{EXERCISE}"'
FILE = "01_language/04_generators"
FLAT = "generators.flat"
TITLE = f"1.4 {load().bullet('1.4').title}"


def wrong_answer() -> tuple[str, str]:
    """A plausible wrong answer, and what must be said of it."""
    space: dict[str, dict[str, list[tuple[str, str]]]] = {}
    exec((ROOT / "tests/wrong_answers/language/generators.py").read_text(encoding="utf-8"), space)
    source, message = space["WRONG"][EXERCISE][0]
    return whole(EXERCISE, source).strip(), message


def test_from_the_start_page_to_a_solved_exercise_and_back(page: Page) -> None:
    page.open_start_page()
    page.ready()
    board = page.cell("board()")
    at_first = page.run(board)
    page.picture("1-start-page")

    page.follow(TITLE, FILE)
    page.run_all()
    assert page.panel.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert page.panel.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    stub, check = page.cell(STUB), page.cell(CHECK)
    assert f"{EXERCISE}: open" in check.inner_text()

    source, message = wrong_answer()
    page.write(stub, source)
    page.run(stub)
    said = page.run(check)
    assert "not yet" in said
    assert message in said
    page.picture("2-wrong")
    assert "hint 1 of 3" in page.below(check, f'hint("{EXERCISE}")')
    page.picture("3-hint")

    _, right = notebooks.worked_answer(EXERCISE)
    page.write(stub, right)
    page.run(stub)
    said = page.run(check)
    assert f"{EXERCISE}: solved" in said
    assert "Why it works." in said
    page.picture("4-solved")

    page.go_to("00_start_here")
    now = page.run(board)
    page.picture("5-board")
    solved = f"1 of {len(notebooks.load(NOTEBOOKS / FILE).of('check'))}"
    assert solved in now
    assert solved not in at_first

    page.restart()
    assert page.run(board) == now
    page.go_to("04_generators")
    page.restart()
    assert right.splitlines()[-1].strip() in stub.inner_text()
    page.run(page.cell("import asyncio"))
    page.run(stub)
    assert f"{EXERCISE}: solved" in page.run(check)
    page.picture("6-after-restart")
    assert page.errors == []


def test_cards_predictions_and_break_it(lab: Lab, page: Page) -> None:
    page.open(FILE)
    page.page.locator(".jp-mod-dirty").wait_for(state="detached")  # opened, not marked as changed
    question = page.panel.locator(".jp-MarkdownCell", has_text="64 times as many rows")
    assert question.get_by_role("listitem").count() == 3
    for number, choice in enumerate(("None", '"A", sure=True', '"c"'), 1):
        cell = page.cell(f'answer("generators.q{number}"')
        page.write(cell, f'answer("generators.q{number}", {choice})')
    page.run_all()
    cards = page.panel.locator(".course-card")
    claims = len(notebooks.load(NOTEBOOKS / FILE).of("claim"))
    cards.nth(claims - 1).wait_for()
    assert cards.count() == claims
    assert "no prediction made: measured c" in cards.filter(has_text=FLAT).inner_text()
    cards.filter(has_text="your prediction was wrong (you were sure)").wait_for()

    late = page.cell('answer("generators.q1"')
    page.write(late, 'answer("generators.q1", "c")')
    assert "after the measurement: it is not counted" in page.run(late)

    said = page.below(page.cell(f'claim("{FLAT}"'), f'break_it("{FLAT}")')
    assert said.index("held") < said.index("FALSE")
    assert f"{FLAT}: red, as expected" in said
    page.below(page.cell(f'break_it("{FLAT}")'), "no_such_name")
    page.panel.get_by_text("Run > Run All Above").wait_for()

    page.menu("File", "Save Notebook")
    page.page.locator(".jp-mod-dirty").wait_for(state="detached")
    for theme in ("Light", "Dark"):
        lab.theme(f"JupyterLab {theme}")
        page.open(FILE, more=2)
        broke = page.cell(f'break_it("{FLAT}")')
        broke.scroll_into_view_if_needed()
        assert broke.locator(".course-card").count() == 2
        for card in broke.locator(".course-card").all():
            sign, sentence, _ = card.locator("b").all()
            assert contrast(sentence) >= 4.5
            assert contrast(sign) >= 3
        lines = broke.locator("code.language-diff span").all()
        colours = {line.evaluate("e => getComputedStyle(e).color") for line in lines}
        assert len(colours) == 2, "lines that go and lines that come look alike"
        page.picture(f"break-it-{theme.lower()}")
    assert page.errors == []


def test_the_way_on(page: Page) -> None:
    from playwright.sync_api import expect

    page.open(FILE)
    footer = page.panel.locator(".jp-MarkdownCell").last
    expect(footer.get_by_role("link")).to_have_text(
        [
            f"1.3 {load().bullet('1.3').title}",
            "Section 1",
            "Board",
            f"1.5 {load().bullet('1.5').title}",
        ],
        timeout=1000 * SECONDS,
    )
    recap = page.panel.locator(".jp-MarkdownCell", has_text="You have shown that")
    recap.locator("summary").click()  # the ids are folded away
    recap.get_by_role("link", name="generators.frame").click()
    target = page.cell('claim("generators.frame"')
    page.page.wait_for_function(
        "e => e.getBoundingClientRect().top > 0", arg=target.element_handle()
    )
    assert page.is_in_view(target)
    page.follow(f"1.5 {load().bullet('1.5').title}", "01_language/05_exceptions")
    assert page.errors == []


def contrast(element: object) -> float:
    """Between an element's colour and what is behind it, as WCAG defines it."""
    return element.evaluate(
        """e => {
            const parts = text => text.match(/[\\d.]+/g).map(Number);
            const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
                .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
                .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
            let behind = e, back;
            do { back = parts(getComputedStyle(behind).backgroundColor); behind = behind.parentElement }
            while (back[3] === 0 && behind);
            const [x, y] = [light(parts(getComputedStyle(e).color)), light(back)];
            return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
        }"""
    )


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_notebooks_open_clean(theme: str, lab: Lab, page: Page) -> None:
    lab.theme(f"JupyterLab {theme}")
    for file in ("01_language/01_interpreter", "01_language/04_generators"):
        page.open(file)
        page.picture(f"{file.rsplit('_', 1)[-1]}-{theme.lower()}")
        light = page.page.locator("body").get_attribute("data-jp-theme-light")
        assert light == ("true" if theme == "Light" else "false")
        assert page.page.locator(".jp-Dialog").all_inner_texts() == []
        assert page.page.locator(".Toastify__toast").all_inner_texts() == []
        assert page.panel.locator(".jp-MarkdownCell:not(.jp-mod-rendered)").count() == 0
        assert what_did_not_render(page) == []
    assert page.errors == []


def what_did_not_render(page: Page) -> list[str]:
    """Outputs that the page could only show as an error or as the bare name of an object, pictures
    that did not load, diagrams and formulas that did not parse."""
    return page.panel.evaluate(
        """panel => {
            const broken = [];
            for (const e of panel.querySelectorAll(
                "[data-mime-type='application/vnd.jupyter.error'], .jp-RenderedMermaid.jp-mod-warning,"
                + " mjx-merror, [data-mjx-error]")) broken.push(e.textContent.slice(0, 200));
            for (const e of panel.querySelectorAll(".jp-OutputArea-output pre"))
                if (/^<[A-Za-z_. ]+ .*>$/.test(e.textContent.trim())) broken.push(e.textContent);
            for (const e of panel.querySelectorAll(".jp-OutputArea-output"))
                if (e.children.length == 0) broken.push("an empty output");
            for (const e of panel.querySelectorAll("img"))
                if (e.complete && !e.naturalWidth) broken.push("a picture: " + e.alt);
            return broken;
        }"""
    )
