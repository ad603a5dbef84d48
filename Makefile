# The virtual environment is created on first use and updated when setup.py changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help install demo test test-full bench soak package fuzz lint docs clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

# Not an editable install, because it hides Twisted plugins.
$(VENV)/%.installed: setup.py pyproject.toml $(shell find goloagent twisted -type f ! -name '*.pyc')
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet '.[$*]'
	touch $@

install: $(VENV)/demo.installed ## install golo and golo-agent in .venv

demo: $(VENV)/demo.installed ## run a load test through a daemon, to a verdict; KEEP=1 keeps its page open
	$(BIN)/python examples/demo.py $(if $(KEEP),--keep)

PYTEST := $(BIN)/pytest --numprocesses 2 --dist worksteal

test: $(VENV)/test.installed ## run the tests, with a real Go load test and a real twistd: 20 minutes
	$(PYTEST) -m "not full"

test-full: $(VENV)/test.installed ## also test packaging, systemd and long loads; no promise's test may skip: 30 minutes
	$(PYTEST) --fail-skipped-promises

bench: $(VENV)/test.installed ## compare the agent with Go: 4 minutes, with BENCH_FULL=1 an hour
	$(BIN)/python -m bench

soak: $(VENV)/test.installed ## test the promises of docs/reliability.md and the API at full length: 30 minutes
	GOLO_SOAK=1 $(BIN)/pytest -rP tests/integration/promises tests/integration/test_openapi.py

package: $(VENV)/package.installed ## build the wheel, the sdist and, on Debian, the .deb into dist/
	etc/package.sh $(abspath $(BIN)/python)

FUZZ_SECONDS ?= 60
fuzz: $(VENV)/fuzz.installed ## find bytes that break a parser, FUZZ_SECONDS for each: 6 minutes
	PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(FUZZ_SECONDS)

lint: $(VENV)/lint.installed ## check with ruff, mypy --strict, the import rules and the words of docs/style.txt
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/style.py

docs: $(VENV)/test.installed ## render docs/lifecycle.md, the tables of docs/operations.md, docs/report.schema.json and etc/grafana
	$(BIN)/python docs/lifecycle.py
	$(BIN)/python docs/tables.py
	$(BIN)/python docs/schema.py
	$(BIN)/python etc/grafana/dashboards.py

clean: ## remove generated files
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
