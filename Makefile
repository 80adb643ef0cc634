# Every target makes what it needs: a bare clone with Python 3.11, git and apt is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SECONDS ?= 0
HEADLESS ?=

.PHONY: help demo test test-all faults check servers format pictures vectors bench clean
.DEFAULT_GOAL := help

help: ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.run: pyproject.toml
	@sh .ci/venv.sh $(PYTHON) $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(VENV)/.run ## a real local cluster and the console on it (HEADLESS=1 SECONDS=20: counts only)
	@$(BIN)/tqconsole demo $(if $(HEADLESS),--headless) $(if $(filter-out 0,$(SECONDS)),--seconds $(SECONDS))

servers: ## put redis-server and rabbitmq-server in place (apt when root, else it says what to install)
	@sh .ci/servers.sh

test: $(VENV)/.dev servers ## everything: style, floors, types, all tests with real servers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports
	@$(BIN)/mypy
	@$(BIN)/pytest -n 2 --dist loadgroup -q

DEPTH ?= night
faults: $(VENV)/.dev servers ## all fault tests at the volume of a night, into docs/reliability.md (DEPTH=release, ci)
	@$(BIN)/python -m faults --depth $(DEPTH) --record docs/reliability.md

test-all: test faults ## what takes longer too: everything, then the fault tests at night's volume

check: $(VENV)/.dev ## format, lint, floors, types, fast tests: run before every commit
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports
	@$(BIN)/mypy
	@$(BIN)/pytest -n 2 --dist loadgroup -q -m 'not server and not slow'

format: $(VENV)/.dev ## rewrite the sources in the house's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

pictures: $(VENV)/.dev ## draw the screens anew into snapshots/ (look at each before you commit)
	@$(BIN)/pytest -q -m pictures --snapshot-update

vectors: $(VENV)/.dev servers ## capture the golden wire vectors anew from the real Celery
	@$(BIN)/python -m tests.servers.capture_vectors

$(VENV)/.bench: $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

bench: $(VENV)/.bench servers ## measure us beside celery, dramatiq, huey and rq in under 3 minutes
	@$(BIN)/python -m benchmarks --quick

clean: ## remove what the other targets made
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
