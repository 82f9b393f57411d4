#!/bin/sh
# `make setup`: the environment VENV with the packages of LOCK, by INSTALLER (uv, pip).
set -eu
target=setup
. "$(dirname "$0")/tools.sh"

# What is there is kept if it is of the right version: a learner may have added packages.
usable() {
    "$VENV/bin/python" -c "import sys
sys.exit('%d.%d' % sys.version_info[:2] != '$PYTHON')" 2>/dev/null
}
choose='Install that Python or choose another: PYTHON=3.12, 3.13 or 3.14.'
clear=
if [ -e "$VENV/pyvenv.cfg" ]; then clear=--clear; fi

say "$VENV: Python $PYTHON and the packages of $LOCK, by $INSTALLER (some minutes on a slow line)"
case $INSTALLER in
    uv)
        find_uv
        # Without one on the machine uv may download it.
        usable || "$uv" venv -q $clear --python "$(find_python '' || echo "$PYTHON")" "$VENV" ||
            die "$VENV could not be made with Python $PYTHON (the reason is above). $choose"
        install() { "$uv" pip install -q --python "$VENV/bin/python" "$@"; }
        ;;
    pip)
        if ! usable || ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
            python=$(find_python 'import venv, ensurepip') ||
                die "No Python $PYTHON with venv and ensurepip was found. $choose"
            "$python" -m venv $clear "$VENV"
        fi
        install() { "$VENV/bin/python" -m pip install -q --disable-pip-version-check "$@"; }
        ;;
    *) die "INSTALLER is uv or pip, not $INSTALLER" ;;
esac
# Two steps, as an editable install has no hash. Its build takes setuptools from the lock.
install --require-hashes -r "$LOCK"
install --no-deps --no-build-isolation -e .
