# make demo   a working effe-tool in .venv, and an effe made, built, run and asked
# make test   everything CI runs (Debian parts are installed where root or sudo allows)
# make quick  the fast part of the tests
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test quick lint venv parts clean

venv: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("effe-tool needs Python 3.11 or newer, this is " + sys.version.split()[0] + "\n  fix: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

quick: venv
	$(BIN)/python -m pytest -q -n 2 -m "not slow and not container and not haproxy and not registry and not systemd and not browser and not lambda"

test: venv parts lint
	$(BIN)/python -m pytest -n 2

parts:
	@bash tests/parts.sh

clean:
	rm -rf $(VENV) build dist out .pytest_cache .mypy_cache .ruff_cache
