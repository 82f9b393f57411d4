"""What the course *is*, read from its files; nothing here runs a notebook or knows a learner.

    Checklist                    data/checklist.yaml                     checklist.py
      Section                    a folder below notebooks/
        Bullet                   a line of the checklist: its topic, minutes, servers
          Notebook               a .py, and the .ipynb beside it         notebooks.py
            Part                 a ## of it: minutes, claims, exercises  parts.py
              Call               claim("id", …), predict, answer, check
              BreakIt            the diff that makes a claim false
            Item                 what a part asks of a learner           outline.py

`files` reads a notebook as JSON; `diffs` are those of Break its and of wrong answers.
"""

import sys

# Reading a notebook imports jsonschema, which imports this checker of IRIs where it is installed,
# which builds a grammar: 0.7 s of every command and every test worker, for a format that no notebook
# has. None makes the import fail, as where it is not installed, and jsonschema does without.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
