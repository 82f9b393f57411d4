"""The `course` command and what it runs: build, run, test, report, ledger."""

import sys

# Reading a notebook imports jsonschema, which imports this checker of IRIs where it is installed,
# which builds a grammar: 0.7 s of every command and every test worker, for a format that no notebook
# has. None makes the import fail, as where it is not installed, and jsonschema does without.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
