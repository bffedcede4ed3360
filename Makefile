# make demo   a working effe-tool in .venv, and an effe made, built, run and asked
# make test   all but what takes minutes (Debian parts are installed where root or sudo allows)
# make quick  the fast part of the tests
# make selectors  the server's tests as on a system without epoll
# make soak     stress and fuzzing of the server, two minutes each (LENGTH=120)
# make pythons  the tests on 3.14 and 3.15, in a folder made by debootstrap (root or sudo)
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PORT ?= 8080
VENV := .venv
BIN := $(VENV)/bin
DEMO := out/demo
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test soak pythons selectors coverage quick lint venv parts clean

demo: $(VENV)/.tool
	@PYTHON="$(BIN)/python" bash docs/demo.sh "$(DEMO)" "$(PORT)"

# The tool alone, as a user has it.
$(VENV)/.tool: pyproject.toml
	@version=$$("$(PYTHON)" -c 'import sys; print(*sys.version_info[:2], sep=".")' 2>/dev/null) || version=none; \
	case $$version in 3.1[1-9]|3.[2-9][0-9]) ;; *) \
		echo "error: effe-tool needs Python 3.11 or newer; here it is: $$version" >&2; \
		echo "  fix: apt-get install python3 python3-venv, or make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; \
		exit 1;; esac
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "error: $(PYTHON) cannot make an environment: it has no venv module" >&2; \
		echo "  fix: apt-get install python3-venv, then make $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "installing effe-tool into $(VENV): half a minute, the first time only" >&2
	@[ -x "$(BIN)/python" ] || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

venv: $(VENV)/.ready

$(VENV)/.ready: $(VENV)/.tool
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python docs/reference.py --check

quick: venv
	$(BIN)/python -m pytest -q -n 3 --dist worksteal -m "not slow and not soak and not container and not haproxy and not registry and not systemd and not browser"

test: parts
	$(MAKE) lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not soak"
	$(MAKE) selectors TESTS="$(addprefix tests/runtime/,server/test_server.py test_contract.py process/test_serve.py process/test_supervisor.py contract/test_async_calls.py server/test_tls.py)"
	$(MAKE) coverage

# The server as on a system without epoll.
selectors: TESTS ?= tests/runtime
selectors: venv
	EFFE_TEST_WITHOUT_EPOLL=1 $(BIN)/python -m pytest -q -n 2 -m "not soak" $(TESTS)

# What waits, or tries at random, for minutes. What tries has both cores.
soak: LENGTH ?= 120
soak: venv
	EFFE_TEST_SECONDS=$(LENGTH) $(BIN)/python -m pytest -q -m soak tests/soak
	$(BIN)/python -m pytest -q -n 2 -m soak tests/runtime

pythons:
	@bash tests/pythons.sh

# Branches of the runtime that run in the tests' own process: wire, flags, log, and the server behind testing.Client.
coverage: venv
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest -q -m "not slow" tests/runtime/http/test_parser.py tests/runtime/test_flags.py \
		tests/runtime/telemetry/test_log.py tests/runtime/telemetry/test_metrics.py tests/runtime/process/test_sockets.py tests/testing/test_client.py
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report --ignore-errors --include 'effetool/runtime/*'

parts:
	@bash tests/parts.sh

clean:
	rm -rf $(VENV) build dist out .pytest_cache .mypy_cache .ruff_cache
