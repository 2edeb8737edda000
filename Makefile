# `make demo` and `make test` do all set-up; both are quick the second time.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
TEST_VENV := .venv-test
WORKERS ?= 2
PYTEST_ARGS ?=

# everything stays on this machine, Prefect's own statistics too
export PREFECT_HOME ?= $(CURDIR)/.prefect
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1

SOURCES := $(shell find loadflow -type f -not -path '*/__pycache__/*' -not -name '_native*') pyproject.toml README.md LICENSE \
           setup.py MANIFEST.in $(shell find native -type f -not -path 'native/target/*')

.PHONY: help demo test lint types native wheel ui bench docs clean
.DELETE_ON_ERROR:

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## load the example shop as a Prefect flow (about half a minute)
	$(VENV)/bin/python examples/demo.py

test: $(TEST_VENV)/.wheel ## run all tests against the installed wheel, outside of the checkout
	PYTHON=$(CURDIR)/$(TEST_VENV)/bin/python WORKERS=$(WORKERS) tests/run.sh $(PYTEST_ARGS)

lint: $(VENV)/.dev ## ruff
	$(VENV)/bin/ruff check .

types: $(VENV)/.dev ## mypy --strict
	$(VENV)/bin/mypy

native: ## format, lints and tests of the Rust core
	cd native && cargo fmt --check && cargo clippy --locked --all-targets --features python -- -D warnings && cargo test --locked --quiet

wheel: dist/.built ## build the wheel into dist/

ui: $(VENV)/.installed ## Prefect's UI over the demo's database, at http://127.0.0.1:4200
	@echo "http://127.0.0.1:4200/runs"
	PREFECT_SERVER_API_HOST=127.0.0.1 PREFECT_SERVER_API_PORT=4200 $(VENV)/bin/prefect server start

bench: $(VENV)/.installed ## run the benchmarks (minutes; they want nginx and a quiet machine)
	$(VENV)/bin/python -m benchmarks.http_users
	$(VENV)/bin/python -m benchmarks.pace
	$(VENV)/bin/python -m benchmarks.native
	$(VENV)/bin/python -m benchmarks.compare
	$(VENV)/bin/python -m benchmarks.first_hit
	$(VENV)/bin/python -m benchmarks.memory
	$(VENV)/bin/python -m benchmarks.memory --engine native --users 1000
	$(VENV)/bin/python -m benchmarks.report_1m
	$(VENV)/bin/python -m benchmarks.store
	$(VENV)/bin/python -m benchmarks.exporters

docs: $(VENV)/.installed ## write the generated page of docs/ again
	$(VENV)/bin/python -m loadflow commands --markdown > docs/commands.md

clean: ## remove all that was made, run folders and the demo's Prefect database too
	rm -rf $(VENV) $(TEST_VENV) build dist native/target loadflow/_native*.so *.egg-info .prefect demo loadflow-runs .mypy_cache .ruff_cache .pytest_cache .hypothesis

# -- stamps: a target is made again only when what it is made from is newer

$(VENV)/.installed: pyproject.toml constraints.txt setup.py $(shell find native/src -type f) native/Cargo.toml native/Cargo.lock
	@test -n "$(PYTHON)" || { echo "no python3 found; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[dev,test]'
	@touch $@

$(TEST_VENV)/.made:
	@test -n "$(PYTHON)" || { echo "no python3 found; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(TEST_VENV)
	@touch $@

dist/.built: $(SOURCES) | $(TEST_VENV)/.made
	rm -rf build dist
	$(TEST_VENV)/bin/pip wheel --quiet --no-deps --wheel-dir dist .
	@touch $@

$(TEST_VENV)/.deps: pyproject.toml constraints.txt | dist/.built
	$(TEST_VENV)/bin/pip install --quiet --constraint constraints.txt "$$(ls dist/loadflow-*.whl)[test]"
	@touch $@

$(TEST_VENV)/.wheel: dist/.built $(TEST_VENV)/.deps
	$(TEST_VENV)/bin/pip install --quiet --no-deps --force-reinstall dist/loadflow-*.whl
	@touch $@
