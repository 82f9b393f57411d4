# shellcheck shell=sh
# Sourced by the scripts of this folder: finds a Python and uv. Needs PYTHON and COURSE_CACHE; `target`
# is what to call in advice.

say() { printf '%s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

case $PYTHON in
    3.12 | 3.13 | 3.14) ;;
    *) die "Python $PYTHON? The course runs on 3.12, 3.13 and 3.14: make ${target:?} PYTHON=3.13" ;;
esac

# The path of the first candidate that runs and satisfies a condition. Run, not looked up: pyenv
# has shims on the PATH for versions that are not active, and Debian's python3 may lack ensurepip.
first() { # CONDITION CANDIDATE...
    condition=$1
    shift
    for candidate; do
        "$candidate" -c "import sys
$condition
print(getattr(sys, '_base_executable', sys.executable))" 2>/dev/null && return
    done
    return 1
}
find_python() { # CONDITION: a Python of the wanted version
    condition="$1
if '%d.%d' % sys.version_info[:2] != '$PYTHON' or getattr(sys, 'abiflags', '').count('t'): sys.exit(1)"
    PYENV_VERSION=$PYTHON
    export PYENV_VERSION
    first "$condition" "python$PYTHON" "$COURSE_CACHE/pythons/$PYTHON/bin/python$PYTHON" python3 python
}
find_uv() {
    for uv in uv "$COURSE_CACHE/uv/bin/uv"; do
        if "$uv" --version >/dev/null 2>&1; then return; fi
    done
    python=$(first 'import venv, ensurepip' "python$PYTHON" python3.14 python3.13 python3.12 \
        python3 python /usr/bin/python3) ||
        die 'No uv, and no Python that can install it (one with venv and ensurepip is needed).'
    say 'uv is not here: installing it for the course alone'
    "$python" -m venv --clear "$COURSE_CACHE/uv"
    "$COURSE_CACHE/uv/bin/python" -m pip install -q --disable-pip-version-check uv
}
