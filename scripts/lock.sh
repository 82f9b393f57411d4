#!/bin/sh
# `make lock`: LOCK from pyproject.toml; further options are uv's.
set -eu
target=lock
. "$(dirname "$0")/tools.sh"

find_uv
"$uv" pip compile -q --universal --python-version 3.12 --all-extras --generate-hashes \
    --no-header --no-annotate "$@" -o "$LOCK" pyproject.toml
