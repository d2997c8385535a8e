# A machine with Python 3.11, make and git is enough; everything else is installed into .venv.

.DEFAULT_GOAL := help
.PHONY: help repro test check clean

# The interpreter itself, not a link in an activated environment that this file may remove.
PYTHON := $(shell for name in python3.11 python3 python; do \
	$$name -c 'import sys; sys.version_info[:2] == (3, 11) or sys.exit(1); \
	print(sys._base_executable)' 2>/dev/null && break; done)
BIN := .venv/bin
READY := .venv/.ready

# DVC runs its stages as `python -m ...`, whatever `python` is first on the path.
export PATH := $(CURDIR)/$(BIN):$(PATH)

help:
	@echo "make repro    run the pipeline: raw data to registered model, then the table of metrics"
	@echo "              PROFILE=name   with profiles/name.yaml over params.yaml, in .profiles/name/"
	@echo "              DRY_RUN=1      say what each stage would do, and do nothing"
	@echo "              STAGES='a b'   only these stages and what they need"
	@echo "make test     make check, and every test"
	@echo "make check    format, lint, types, import contracts and the deps of dvc.yaml"
	@echo "make clean    remove what the pipeline made here; data, models in the registry and .venv stay"

repro: $(READY)
	@exec $(BIN)/python -m workflows $(if $(PROFILE),--profile '$(PROFILE)') \
		$(if $(DRY_RUN),--dry-run) $(STAGES)

test: check
	@$(BIN)/python -m pytest -q

check: $(READY)
	@$(BIN)/ruff format --quiet --check . || { echo "make check: run .venv/bin/ruff format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/basedpyright --level error
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m workflows.deps --check

clean:
	@rm -rf build .work .profiles .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# An installation that was interrupted leaves .installing, and is begun afresh.
$(READY): constraints.txt pyproject.toml
	@test -n '$(PYTHON)' || { echo "maskspace needs Python 3.11, and none of python3.11, python3, \
	python is one: install it (for example 'apt install python3.11-venv') and run make again" >&2; exit 2; }
	@if test -e .venv/.installing; then rm -rf .venv; fi
	@mkdir -p .venv && touch .venv/.installing
	@test -x $(BIN)/pip || '$(PYTHON)' -m venv .venv
	@echo "make: installing the pinned packages into .venv (minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@rm .venv/.installing && touch $@
