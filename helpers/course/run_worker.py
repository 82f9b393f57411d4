"""The process in which one notebook of `course run` is executed: events on stdout, one JSON per line
behind the job's mark.

Its stdin is its lifeline: when that closes, the kernel and all below it are ended, and what was
executed so far stays on disk.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import nbformat
from nbformat import NotebookNode

from helpers import processes
from helpers.course.execute import CELL_SECONDS, CellHooks, kernel_environment, readable
from helpers.course.run import Job, Result
from helpers.learner import progress
from helpers.services import guardian

TEMPLATES = Path(__file__).with_name("html")
RUN_CELL_SECONDS = (
    10 * CELL_SECONDS
)  # ten times the tests' limit: a learner's machine, --scale full


def main() -> None:
    """Run the job given as JSON, and say how it went."""
    job = Job(**json.loads(sys.argv[1]))
    processes.adopt_orphans()
    signal.signal(signal.SIGINT, _interrupted)
    processes.interrupted_when_stdin_closes()
    begin = time.monotonic()
    home = str(progress.home())
    with guardian.folder("course-") as folder:
        environment = {**kernel_environment(folder), "COURSE_HOME": home}
        os.environ.clear()  # papermill's kernel inherits what is left
        os.environ.update(environment)
        tempfile.tempdir = folder  # it was found before
        try:
            problem, cell = _execute(job)
        except KeyboardInterrupt:
            problem, cell = "interrupted", ""
        finally:
            processes.end_descendants()
        written = _exports(Path(job.output)) if problem != "interrupted" else []
    result = Result(job.name, time.monotonic() - begin, problem, cell, tuple(written))
    _say(job, result=asdict(result))


def _interrupted(signum: int, frame: Any) -> NoReturn:
    # A busy kernel would be asked politely and waited for.
    processes.end_descendants()
    raise KeyboardInterrupt


def _say(job: Job, **event: Any) -> None:
    print(job.mark + json.dumps(event), flush=True)


def _execute(job: Job) -> tuple[str | None, str]:
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    path = Path(job.source)
    node = _notebook(path)
    original = [cell.source for cell in node.cells]
    Path(job.output).parent.mkdir(parents=True, exist_ok=True)
    takes_scale = any("parameters" in c.metadata.get("tags", []) for c in node.cells)
    hooks = CellHooks(lambda index: _say(job, cell=index))
    try:
        papermill.execute_notebook(
            node,
            job.output,
            parameters={"scale": job.scale} if takes_scale else None,
            kernel_name="python3",
            language="python",
            cwd=str(path.parent),
            progress_bar=False,
            execution_timeout=RUN_CELL_SECONDS,
            **hooks.as_traits(),
        )
    except PapermillExecutionError as error:
        number = original.index(error.source) + 1 if error.source in original else "?"
        return f"cell {number}: {readable(error.ename, error.evalue)}", error.source
    except CellTimeoutError:
        return f"a cell did not end within {RUN_CELL_SECONDS} s", ""
    except DeadKernelError:
        return "the kernel died", ""
    finally:
        hooks.release()
    return None, ""


def _notebook(path: Path) -> NotebookNode:
    """The `.ipynb`, which is what a learner changes; from the `.py` where there is none yet."""
    from helpers.course import build
    from helpers.model import notebooks

    pair = path.with_suffix(".ipynb")
    if pair.exists():
        return nbformat.reads(pair.read_text(encoding="utf-8-sig"), as_version=4)
    return build.fresh(notebooks.load(path).node)


def _exports(output: Path) -> list[str]:
    """Write the HTML and the figures of an executed notebook beside it."""
    for old in output.parent.glob(f"{output.stem}-figure-*.png"):
        old.unlink()
    node = nbformat.read(output, as_version=4)
    page = output.with_suffix(".html")
    page.write_text(_page(node, output.stem), encoding="utf-8")
    written = [str(output), str(page)]
    for number, picture in enumerate(_pictures(node), 1):
        file = output.with_name(f"{output.stem}-figure-{number}.png")
        file.write_bytes(base64.b64decode(picture))
        written.append(str(file))
    return written


def _page(node: NotebookNode, name: str) -> str:
    """A notebook as one HTML file, by the template in `helpers/course/html`."""
    from html import escape

    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="course", extra_template_basedirs=[str(TEMPLATES)])
    headings = re.findall(
        r"^(##?) (.+)$",
        "\n".join(cell.source for cell in node.cells if cell.cell_type == "markdown"),
        flags=re.M,
    )
    titles = [(marks, re.sub(r"[`*]", "", text).strip()) for marks, text in headings]
    title = next((text for marks, text in titles if marks == "#"), name)
    loader = exporter.environment.loader
    assert loader
    resources = {
        "metadata": {"name": title},
        # The exporter makes anchors of headings in this way.
        "contents": [(escape(t), escape(t.replace(" ", "-"))) for m, t in titles if m == "##"],
        "dark_css": loader.get_source(exporter.environment, "static/theme-dark.css")[0],
    }
    return exporter.from_notebook_node(node, resources)[0]


def _pictures(node: NotebookNode) -> list[str]:
    outputs = [output for cell in node.cells for output in cell.get("outputs", [])]
    return [o.data["image/png"] for o in outputs if "image/png" in o.get("data", {})]


if __name__ == "__main__":
    main()
