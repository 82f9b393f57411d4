#!/usr/bin/env bash
# What `make lint` reads the shell scripts with: bash .ci/shellcheck.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/apt.sh"

command -v shellcheck >/dev/null || install_missing shellcheck
