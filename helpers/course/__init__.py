"""The `course` command: `cli` says what it understands; `check` is `course test`, `teach` the teacher's side."""
