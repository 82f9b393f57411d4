# `make` lists the targets. Everything happens in $(VENV) and in $(COURSE_CACHE); nothing needs
# root, nothing installs system packages (.ci/run does, on a machine of its own).

PYTHON    ?= $(shell cat .python-version)
VENV      ?= .venv
INSTALLER ?= uv
LOCK      ?= requirements.lock
RUNS      ?= 20
TOPIC     ?=
export COURSE_CACHE ?= $(HOME)/.cache/backend-by-experiment

BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready-$(PYTHON)
COURSE := $(BIN)/course
ACTIONLINT_VERSION := v1.7.12

.DEFAULT_GOAL := help
.PHONY: help setup lab test flake links build lock lint actionlint format clean broken
MAKEFLAGS += --no-builtin-rules

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  PYTHON=3.12|3.13|3.14   another Python than .python-version ($(PYTHON))'
	@echo '  VENV=FOLDER             another environment than .venv'
	@echo '  INSTALLER=pip           install with pip instead of uv, from the same lock'

setup: $(STAMP) ## make the environment: Python, the locked packages, the `course` command

lab: setup ## open the course in JupyterLab
	$(COURSE) lab

test: setup ## run every check
	$(COURSE) test

flake: setup ## run notebooks RUNS=20 times, TOPIC=… or all, to find what is not deterministic
	$(COURSE) flake --runs $(RUNS) $(TOPIC)

links: setup ## ask every external link whether it is still there (needs the network)
	$(BIN)/python -m helpers.course.check.links

build: setup ## execute TOPIC=… (or all) and write the .ipynb with its outputs
	$(COURSE) build $(TOPIC)

# Universal: one lock for every platform and Python. What it has is kept: UPGRADE=1 moves it on,
# RESOLUTION=lowest-direct takes the lowest version that pyproject.toml allows. No header and no
# annotations: they would name paths and registries.
lock: export SCRIPT = $(value find_tools)$(value lock_packages)
lock: ## write requirements.lock from pyproject.toml (UPGRADE=1: with newer versions)
	@PYTHON=$(PYTHON) LOCK="$(LOCK)" sh -euc "$$SCRIPT" lock $(if $(UPGRADE),--upgrade) \
		$(if $(RESOLUTION),--resolution $(RESOLUTION))

lint: setup ## ruff; zizmor and actionlint on the workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/zizmor --offline --no-progress .github/workflows
	@PATH="$$COURSE_CACHE/bin:$$PATH"; if command -v actionlint >/dev/null; then actionlint; else \
		echo 'actionlint: NOT RUN, it is not here (`make actionlint` builds it where Go is)'; fi

actionlint: $(COURSE_CACHE)/bin/actionlint ## build actionlint (needs Go; its PyPI package needs GitHub)
$(COURSE_CACHE)/bin/actionlint:
	GOBIN="$(@D)" go install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)

format: setup ## ruff: sort imports, fix what can be fixed, format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what runs left behind (the environment and your workspace stay)
	rm -rf build .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info
	find helpers tests notebooks -name __pycache__ -prune -exec rm -rf {} +

# The stamp names the Python: another one makes the environment anew. One that no longer runs
# (its Python was upgraded away) is made anew too, whatever the stamp says.
$(STAMP): export SCRIPT = $(value find_tools)$(value make_environment)
$(STAMP): $(LOCK) pyproject.toml \
		$(if $(wildcard $(STAMP)),$(shell "$(BIN)/python" -c '' 2>/dev/null || echo broken))
	@PYTHON=$(PYTHON) VENV="$(VENV)" INSTALLER=$(INSTALLER) LOCK="$(LOCK)" sh -euc "$$SCRIPT" setup
	@touch $@
broken:

# ---- the shell behind set-up and lock ----------------------------------------------------------
define find_tools
say() { printf '%s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

case $PYTHON in
    3.12 | 3.13 | 3.14) ;;
    *) die "Python $PYTHON? The course runs on 3.12, 3.13 and 3.14: make $0 PYTHON=3.13" ;;
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

endef

define make_environment
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
endef

define lock_packages
find_uv
"$uv" pip compile -q --universal --python-version 3.12 --all-extras --generate-hashes \
    --no-header --no-annotate "$@" -o "$LOCK" pyproject.toml
endef
