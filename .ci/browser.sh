#!/usr/bin/env bash
# The browser in which the learner's way is tried, as Debian has it: bash .ci/browser.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/apt.sh"

install_missing chromium
command -v chromium >/dev/null || die "the package is installed, and there is no chromium on the PATH"
