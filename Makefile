# Every target does its own set-up; the second time it is cached and quick.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@echo "==> Python environment in $(VENV) (about a minute the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is %d.%d" % sys.version_info[:2])'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

.PHONY: demo
demo: $(READY) ## A Kubernetes of its own, pods that share cards, a table of who holds what (KEEP=1 leaves it running)
	@$(BIN)/hami-operator demo $(if $(KEEP),--keep)

.PHONY: test
test: $(READY) ## All tests, on a real API server where that matters
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! { command -v promtool && command -v chromium; } >/dev/null; then \
	  echo "==> promtool and chromium, from the system's packages"; apt-get update -qq && apt-get install -y -qq prometheus chromium >/dev/null; fi
	@$(BIN)/hami-operator sandbox prepare
	@$(BIN)/python -m pytest -n auto --dist loadgroup $(ARGS)

ROUNDS ?= 10
SEED ?= 1

.PHONY: soak
soak: $(READY) ## The fault suite ROUNDS=10 times, each round in an order and rhythm of its own (from SEED=1 on)
	@$(BIN)/hami-operator sandbox prepare
	@for round in $$(seq $(ROUNDS)); do \
	  seed=$$(($(SEED) + round - 1)); \
	  echo "==> round $$round of $(ROUNDS): FAULT_SEED=$$seed"; \
	  FAULT_SEED=$$seed $(BIN)/python -m pytest $(ARGS) tests/cluster/faults || { echo "failed: FAULT_SEED=$$seed"; exit 1; }; \
	done

.PHONY: lint
lint: $(READY) ## ruff, mypy --strict
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet . && $(BIN)/mypy

.PHONY: bench
bench: $(READY) ## Benchmarks: ratios measured in one run
	@$(BIN)/hami-operator sandbox prepare
	@$(BIN)/python -m tests.benchmarks

.PHONY: lock
lock: $(READY) ## Write requirements.lock anew from pyproject.toml
	@$(BIN)/pip-compile --quiet --extra dev --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --generate-hashes --allow-unsafe -o requirements.lock pyproject.toml

.PHONY: clean
clean: ## Remove the environment and everything that was built here
	@if [ -x $(BIN)/hami-operator ]; then $(BIN)/hami-operator sandbox down --name demo || true; fi
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
