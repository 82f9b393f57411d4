"""The contracts of prose: what leads into nothing, and figures that nobody measured."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import pytest
from support import GOOD, pretend, save, write

from helpers.course.check import floor, links, prose
from helpers.model.notebooks import Notebook


def with_prose(folder: Path, text: str) -> Notebook:
    """The good notebook with one more Markdown cell before its claim."""
    commented = "\n".join(f"# {line}".rstrip() for line in text.splitlines())
    return write(
        folder, GOOD.replace("# %%\nlegs = 2", f"# %% [markdown]\n{commented}\n\n# %%\nlegs = 2")
    )


# --- ids and links -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "dead"),
    [
        ("As `generators.two` shows", None),
        ("As `generators.tow` shows", "`generators.tow` is the id of nothing"),
        ("`generators.py` and `os.path`", None),
        ("```python\nclaim('generators.tow')\n```", None),
    ],
)
def test_each_id_is_one(tmp_path: Path, text: str, dead: str | None) -> None:
    found = [str(p) for p in prose.ids([with_prose(tmp_path, text)])]
    assert found == ([f"04_generators cell 6: {dead}"] if dead else [])


def test_ids_in_pages_are_read_too(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("See `generators.tow`.")
    assert [str(p) for p in prose.ids([], [page])] == [
        "page.md: `generators.tow` is the id of nothing"
    ]


@pytest.mark.parametrize(
    ("target", "dead"),
    [
        ("04_generators.ipynb", None),
        ("04_generators.ipynb#The-first-experiment", None),
        ("#The-first-experiment", None),
        ("../tmp.md", "there is no such file"),
        ("05_generators.ipynb", "there is no such file"),
        ("04_generators.ipynb#The-second-experiment", "has no such heading or cell"),
        ("#cell-id=0123456789ab", "has no such heading or cell"),
        ("https://docs.python.org/3/nothing", None),
    ],
)
def test_each_link_leads_somewhere(tmp_path: Path, target: str, dead: str | None) -> None:
    book = with_prose(tmp_path, f"[a link]({target})")
    pretend(book)
    found = [p.text for p in prose.links([book])]
    assert len(found) == (dead is not None)
    assert all(target in text and str(dead) in text for text in found)


def test_a_cell_is_found_by_its_id(tmp_path: Path) -> None:
    other = write(tmp_path, name="05_exceptions")
    pretend(other)
    book = with_prose(tmp_path, f"[there](05_exceptions.ipynb#cell-id={other.cells[-1].id})")
    assert prose.links([book]) == []
    write(tmp_path, GOOD.replace('check("generators.turn", turn)', "check('generators.turn', turn)"),
          "05_exceptions")  # fmt: skip
    assert len(prose.links([book])) == 1, "an id depends on the cell's text"


@pytest.mark.parametrize(
    ("markdown", "target"),
    [
        ("[a `span`](x.md)", "x.md"),
        ("[![a picture](y.png)](x.md)", "x.md"),
        ('<img src="y.png">', "y.png"),
        ("[a wiki](https://en.wikipedia.org/wiki/Heap_(data_structure))", "https://en.wikipedia.org/wiki/Heap_(data_structure)"),
        ('[titled](x.md "title")', "x.md"),
    ],
)  # fmt: skip
def test_what_a_link_is(markdown: str, target: str) -> None:
    assert target in prose.targets(markdown)


# --- figures -----------------------------------------------------------------------------------------


def wanting(folder: Path, text: str, output: str = "", code: str = "legs = 2") -> list[str]:
    book = with_prose(folder, text)
    book = write(folder, book.path.read_text().replace("legs = 2\n", f"{code}\n"))
    node = pretend(book)
    cell = next(c for c in node.cells if c.source == code)
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=output)]
    save(book, node)
    return [figure.text for figure in prose.unsupported(book, node)]


@pytest.mark.parametrize(
    ("figure", "output", "supported"),
    [
        ("450 bytes", "449.7 B a row", True),
        ("45 bytes", "449.7 B a row", False),
        ("23 KiB", "peak 23.4 KiB", True),
        ("23 KiB", "peak 23961 B", True),
        ("24 KiB", "peak 23.4 KiB", False),
        ("50 ms", "0.0498 s", True),
        ("5 ms", "0.0498 s", False),
        ("1,200 bytes", "1184", True),
        ("1,210 bytes", "1184", False),
        ("22 %", "share 0.219", True),
        ("1.97 ×", "parallel: 1.97", True),
        ("2.97 ×", "parallel: 1.97", False),
        ("64 MiB", "", False),
    ],
)
def test_a_figure_is_in_an_output_when_rounded_as_written(
    tmp_path: Path, figure: str, output: str, supported: bool
) -> None:
    assert (wanting(tmp_path, f"It takes {figure} each.", output) == []) is supported


def test_a_figure_may_be_a_label_in_a_picture(tmp_path: Path) -> None:
    book = with_prose(tmp_path, "It takes 104 bytes each.")
    node = pretend(book)
    cell = next(c for c in node.cells if c.cell_type == "code")
    for alt, supported in (("A booking. shown: as created, 104", True), ("A booking", False)):
        picture = nbformat.v4.new_output(
            "display_data", {"image/png": ""}, metadata={"image/png": {"alt": alt}}
        )
        cell.outputs = [picture]
        assert (prose.unsupported(book, node) == []) is supported


def test_a_figure_may_be_in_the_code(tmp_path: Path) -> None:
    assert wanting(tmp_path, "A limit of 64 MiB.", code="legs = 64 * 2**20") == []


@pytest.mark.parametrize(
    "text",
    [
        "It takes 99 KiB (measured by the authors: CPython 3.13.5, 2 cores of x86-64).",
        "The GIL is let go above [2,047 bytes](https://docs.python.org/3/library/hashlib.html).",
        "`sleep 99 s` is code, and so is\n\n```\nsleep 99 s\n```",
        "Exercise 3, 15 minutes, 3.14 and HTTP 404, 2 × 31",
    ],
)
def test_what_answers_for_itself(tmp_path: Path, text: str) -> None:
    assert wanting(tmp_path, text) == []


def test_the_options_of_a_prediction_are_guesses(tmp_path: Path) -> None:
    book = with_prose(tmp_path, "- **a** 99 KiB\n- **b** 98 KiB")
    guess = book.path.read_text().replace(
        "# %% [markdown]\n# - **a**", '# %% [markdown] predict="generators.q1"\n# - **a**'
    )
    book = write(tmp_path, guess)
    assert prose.unsupported(book, pretend(book)) == []


@pytest.mark.parametrize(
    "mark",
    ["(measured)", "(measured by the authors)", "(measured by the authors: on a laptop, once)"],
)
def test_a_mark_names_version_and_machine(tmp_path: Path, mark: str) -> None:
    assert wanting(tmp_path, f"It takes 99 KiB {mark}.") == ["99 KiB"]


def test_a_pending_figure_is_told_when_it_is_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = {"figures": ["04_generators: 99 KiB", "04_generators: 98 KiB"]}
    monkeypatch.setattr(floor, "pending", lambda: listed)
    book = with_prose(tmp_path, "It takes 99 KiB, or 97 KiB.")
    pretend(book)
    found = [str(p) for p in prose.figure_problems([book])]
    assert [line.split(": ")[1][:6] for line in found] == ["97 KiB", "'04_ge"]
    assert "'04_generators: 98 KiB' is in order: take it out" in found[1]


# --- external links ----------------------------------------------------------------------------------


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(301)
            self.send_header("Location", "/there")
        else:
            self.send_response({"/there": 200, "/gone": 404, "/busy": 503}[self.path])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_external_links_are_asked_and_listed_with_the_date(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    urls = [f"{site}/{page}" for page in ("there", "gone", "busy", "moved")]
    book = with_prose(tmp_path, " ".join(f"[a]({url})" for url in urls))
    places = prose.external([book], [])
    assert list(places) == urls
    answered = asyncio.run(links.answers(urls))
    assert [links.verdict(answered[url]) for url in urls] == ["ok", "gone", "unknown", "ok"]
    first, second, *_ = links.report(places, answered)
    assert f" gone 404 {site}/gone in 04_generators cell 6" in first
    assert first[:2] == "20"
    assert " unknown 503 " in second
