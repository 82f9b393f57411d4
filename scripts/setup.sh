#!/bin/sh
# `make setup`: the environment VENV with the packages of LOCK, by INSTALLER (uv, pip).
set -eu
target=setup
. "$(dirname "$0")/tools.sh"

# Settings of the user that are meant for other environments. Where packages come from (an index, a
# proxy, a cache) is theirs to say; a pip.conf or uv.toml says the same with less weight.
unset PYTHONPATH PYTHONHOME PYTHONSAFEPATH PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON PIP_CONSTRAINT \
    PIP_BUILD_CONSTRAINT PIP_REQUIREMENT PIP_EDITABLE PIP_NO_BINARY PIP_ONLY_BINARY PIP_REPORT \
    PIP_UPLOADED_PRIOR_TO UV_CONSTRAINT UV_BUILD_CONSTRAINT UV_OVERRIDE UV_EXCLUDE UV_EXCLUDE_NEWER \
    UV_RESOLUTION UV_NO_BINARY UV_NO_BINARY_PACKAGE UV_NO_BUILD UV_NO_BUILD_PACKAGE UV_PYTHON \
    UV_TORCH_BACKEND UV_WORKING_DIR UV_WORKING_DIRECTORY UV_PROJECT
export PIP_USER=0 PIP_REQUIRE_HASHES=0 PIP_NO_DEPS=0 PIP_DRY_RUN=0 PIP_IGNORE_INSTALLED=0 PIP_PRE=0 \
    PIP_REQUIRE_VIRTUALENV=0 UV_REQUIRE_HASHES=false UV_SYSTEM_PYTHON=false UV_NO_VERIFY_HASHES=false \
    UV_BREAK_SYSTEM_PACKAGES=false UV_VENV_SEED=false

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
