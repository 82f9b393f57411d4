#!/bin/sh
# `make lint`: sh scripts/lint.sh FOLDER-OF-PROGRAMS. All of it, whatever was red before. What no
# Python package brings is run where it is; .ci/run and the workflow see to it.
set -u
bin=$1
PATH=$COURSE_CACHE/bin:$PATH
failed=
check() { # NAME COMMAND…
    name=$1
    shift
    "$@" || failed="$failed $name"
}
optional() { # NAME ADVICE COMMAND…
    if command -v "$1" >/dev/null; then
        name=$1
        shift 2
        check "$name" "$@"
    else
        echo "$1: NOT RUN, it is not here ($2)"
    fi
}

check ruff "$bin/ruff" check .
check format "$bin/ruff" format --check .
check import-linter "$bin/lint-imports" --no-cache
check deptry "$bin/deptry" .
check zizmor "$bin/zizmor" --offline --no-progress .github/workflows
optional actionlint '`make actionlint` builds it where Go is' actionlint
# shellcheck disable=SC2046 # the names have no spaces
optional shellcheck 'Debian: apt-get install shellcheck' shellcheck --severity=warning \
    --external-sources --source-path=SCRIPTDIR .ci/run $(git ls-files '*.sh')
[ -z "$failed" ] || { echo "lint: red:$failed"; exit 1; }
