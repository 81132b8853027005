# `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin

# Without compiled modules, each process that the service or the tests start takes a second longer.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help run test lint bench fuzz soak clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

run: $(BIN)/.installed ## Install and run the service on http://127.0.0.1:8000
	$(BIN)/monitor serve

test: $(BIN)/.installed-test ## Install and run the tests
	$(BIN)/python -m pytest --numprocesses 4 --dist loadgroup --no-loadscope-reorder

lint: $(BIN)/.installed-test ## Check style, types and imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(BIN)/.installed-test ## Measure speed and memory
	$(BIN)/python -m tests.bench

fuzz: $(BIN)/.installed-test ## Send 50,000 requests that are almost valid
	$(BIN)/python -m tests.fuzz

soak: $(BIN)/.installed-test ## Kill processes under load for 20 minutes; then thousands of random histories
	$(BIN)/python -m tests.soak
	MONITOR_TEST_EXAMPLES=3000 $(BIN)/python -m pytest -s tests/stateful

clean: ## Remove the installation, but keep the data
	rm -rf .venv build *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv .venv

$(BIN)/.installed: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(BIN)/.installed-test: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ $(BIN)/.installed
