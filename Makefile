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

test: setup ## run every check (MODE=other, full: see `course test --help`; TOPIC=…, JOBS=…)
	$(COURSE) test $(if $(MODE),--mode $(MODE)) $(if $(JOBS),--jobs $(JOBS)) $(TOPIC)

flake: setup ## run notebooks RUNS=20 times, TOPIC=… or all, to find what is not deterministic
	$(COURSE) flake --runs $(RUNS) $(TOPIC)

links: setup ## ask every external link whether it is still there (needs the network)
	$(BIN)/python -m helpers.course.check.links

build: setup ## execute TOPIC=… (or all) and write the .ipynb with its outputs
	$(COURSE) build $(TOPIC)

# Universal: one lock for every platform and Python. What it has is kept: UPGRADE=1 moves it on,
# RESOLUTION=lowest-direct takes the lowest version that pyproject.toml allows. No header and no
# annotations: they would name paths and registries.
lock: ## write requirements.lock from pyproject.toml (UPGRADE=1: with newer versions)
	@PYTHON=$(PYTHON) LOCK="$(LOCK)" sh scripts/lock.sh $(if $(UPGRADE),--upgrade) \
		$(if $(RESOLUTION),--resolution $(RESOLUTION))

lint: setup ## style, imports, dependencies, workflows, shell scripts
	@sh scripts/lint.sh "$(BIN)"

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
$(STAMP): $(LOCK) pyproject.toml \
		$(if $(wildcard $(STAMP)),$(shell "$(BIN)/python" -c '' 2>/dev/null || echo broken))
	@PYTHON=$(PYTHON) VENV="$(VENV)" INSTALLER=$(INSTALLER) LOCK="$(LOCK)" sh scripts/setup.sh
	@touch $@
broken:
