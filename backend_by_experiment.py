"""The `course` command's first step: the course's own `helpers` before any that PYTHONPATH names."""

import os
import sys


def main() -> None:
    """Entry point. What this starts finds the same modules."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 (before any import)
    sys.path.insert(0, here)
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = here + (os.pathsep + others if others else "")

    from helpers.course.cli import main as course

    course()
