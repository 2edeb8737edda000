# `make demo` and `make test` do all set-up; both are quick the second time.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
TEST_VENV := .venv-test
# tests wait more than half of their time: four at a time for each of two cores
WORKERS ?= 8
PYTEST_ARGS ?=
MINUTES ?= 60
FUZZED := $(foreach name,grpc grpc_shared http3 http3_wire mqtt mqtt_codec reading socket websocket,--test $(name))
# what differs between versions of Prefect: servers, workers, deployments, states
OPERATIONS := tests/ends/test_deploy.py tests/ends/test_deployed.py tests/ends/test_worker.py tests/ends/test_outer_flows.py tests/test_deployments.py tests/flows/test_lease.py tests/flows/test_events.py

# everything stays on this machine, Prefect's own statistics too
export PREFECT_HOME ?= $(CURDIR)/.prefect
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1

SOURCES := $(shell find loadflow -type f -not -path '*/__pycache__/*' -not -name '_native*') pyproject.toml README.md LICENSE \
           setup.py MANIFEST.in $(shell find native -type f -not -path 'native/target/*')

.PHONY: help demo test test-all test-prefect test-kubernetes try-restarts test-quick test-unit test-e2e test-thorough test-times coverage audit lint types native wheel wheels image ui bench bench-trust fuzz-control fuzz-protocols docs clean
.DELETE_ON_ERROR:

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## load the example shop as a Prefect flow (half a minute; the first time installs, one to three minutes)
	$(VENV)/bin/python examples/demo.py

# ALL=1: the long ones too, as CI runs it
test: $(TEST_VENV)/.wheel ## a test of everything, without the `long` ones, against the installed wheel, outside of the checkout: before each push
	PYTHON=$(CURDIR)/$(TEST_VENV)/bin/python WORKERS=$(WORKERS) ALL=$(ALL) tests/run.sh $(PYTEST_ARGS)

test-all: ## all tests there are in the same way, the `long` ones too: what CI runs
	$(MAKE) test ALL=1

test-prefect: dist/.built ## the tests of operations again, `long` ones too, with PREFECT=3.9.1 or another version
	@test -n "$(PREFECT)" || { echo "which version? make test-prefect PREFECT=3.9.1"; exit 1; }
	test -x .venv-prefect-$(PREFECT)/bin/python || $(PYTHON) -m venv .venv-prefect-$(PREFECT)
	.venv-prefect-$(PREFECT)/bin/pip install --quiet --constraint constraints.txt "$$(ls dist/loadflow-*.whl)[test]"
	.venv-prefect-$(PREFECT)/bin/pip install --quiet "prefect==$(PREFECT)"
	.venv-prefect-$(PREFECT)/bin/pip install --quiet --no-deps --force-reinstall dist/loadflow-*.whl
	PYTHON=$(CURDIR)/.venv-prefect-$(PREFECT)/bin/python WORKERS=$(WORKERS) ALL=1 tests/run.sh $(OPERATIONS) $(PYTEST_ARGS)

test-kubernetes: $(VENV)/.pools ## the chart and agents in work pools at a real API server with real containers; the first time builds Kubernetes' servers and the image (as root, minutes)
	$(VENV)/bin/python -m tests.kubernetes $(PYTEST_ARGS)

try-restarts: $(VENV)/.dev ## restart the server and kill the worker during a load, ten times each (a quarter of an hour)
	$(VENV)/bin/python -m tests.ends.try_restarts

test-quick: $(VENV)/.dev ## the short tests that start no process, for every save: a minute
	LOADFLOW_TEST_QUICK=1 $(VENV)/bin/python -m pytest -q -n 2 -m "not processes" $(PYTEST_ARGS)

test-unit: $(VENV)/.dev ## all tests, `long` ones too, but those from end to end
	$(VENV)/bin/python -m pytest -q -n $(WORKERS) --dist loadgroup -m "not e2e" $(PYTEST_ARGS)

test-e2e: $(VENV)/.dev ## the tests with Prefect, databases, browsers or several machines, `long` ones too
	$(VENV)/bin/python -m pytest -q -n $(WORKERS) --dist loadgroup -m e2e $(PYTEST_ARGS)

test-thorough: $(VENV)/.dev ## the properties with other values each time, and more scripts on which the engines must agree, `long` tests too
	LOADFLOW_HYPOTHESIS=thorough LOADFLOW_SCRIPTS=50 LOADFLOW_SCENARIOS=40 LOADFLOW_EXAMPLES=600 $(VENV)/bin/python -m pytest -q -n $(WORKERS) --dist loadgroup --timeout 3600 -m "not e2e" $(PYTEST_ARGS)

test-times: $(VENV)/.dev ## all tests, `long` ones too, and how many seconds of the clock and of CPU each folder took: build/test-times.jsonl has each test
	mkdir -p build && rm -f build/test-times.jsonl
	LOADFLOW_TEST_TIMES=$(CURDIR)/build/test-times.jsonl $(VENV)/bin/python -m pytest -q -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

coverage: $(VENV)/.dev ## which lines all tests run, of Python and of Rust: build/coverage/index.html
	rm -rf build/coverage
	-$(VENV)/bin/python -m pytest -q -n $(WORKERS) --dist loadgroup --cov --cov-report=html --cov-report=json $(PYTEST_ARGS)
	-cd native && cargo llvm-cov --locked --html --output-dir ../build/coverage/rust && cargo llvm-cov report --json --summary-only --output-path ../build/coverage/rust.json
	$(VENV)/bin/python .ci/coverage_page.py build/coverage

audit: $(VENV)/.dev ## known advisories about the locked packages and crates; LOADFLOW_REQUIRE_ADVISORIES=1 fails without their databases
	$(VENV)/bin/python .ci/audit.py

lint: $(VENV)/.dev ## ruff
	$(VENV)/bin/ruff check .

types: $(VENV)/.dev ## mypy --strict
	$(VENV)/bin/mypy

native: ## format, lints and tests of the Rust core, and of the servers of the benchmarks
	cd native && cargo fmt --check && cargo clippy --locked --all-targets --features python -- -D warnings && cargo test --locked --quiet
	cd benchmarks/echo && cargo fmt --check && cargo clippy --locked --all-targets -- -D warnings && cargo test --locked --quiet

wheel: dist/.built ## build the wheel into dist/

wheels: ## manylinux wheels for x86_64 and aarch64 into wheelhouse/, for machines without Rust; checked and tried
	$(PYTHON) .ci/wheels.py

image: ## the container image localhost/loadflow, by buildah, without a daemon; TAG=NAME:TAG names it otherwise
	deployments/build_image.sh $(TAG)

ui: $(VENV)/.installed ## Prefect's UI over the demo's database, at http://127.0.0.1:4200
	@echo "http://127.0.0.1:4200/runs"
	PREFECT_SERVER_API_HOST=127.0.0.1 PREFECT_SERVER_API_PORT=4200 $(VENV)/bin/prefect server start

bench: $(VENV)/.tuned ## run the benchmarks (minutes; they want nginx and a quiet machine)
	$(VENV)/bin/python -m benchmarks.http_users
	$(VENV)/bin/python -m benchmarks.pace
	$(VENV)/bin/python -m benchmarks.native
	$(VENV)/bin/python -m benchmarks.compare
	$(VENV)/bin/python -m benchmarks.protocols
	$(VENV)/bin/python -m benchmarks.protocols --memory
	$(VENV)/bin/python -m benchmarks.first_hit
	$(VENV)/bin/python -m benchmarks.memory
	$(VENV)/bin/python -m benchmarks.memory --engine native --users 1000
	$(VENV)/bin/python -m benchmarks.csv_memory
	$(VENV)/bin/python -m benchmarks.report_1m
	$(VENV)/bin/python -m benchmarks.store
	$(VENV)/bin/python -m benchmarks.exporters
	$(VENV)/bin/python -m benchmarks.start

bench-trust: $(VENV)/.tuned ## how true intervals, judgements and capacities are: simulated (20 minutes of CPU), and on real servers (half an hour)
	$(VENV)/bin/python -m benchmarks.trust 60 400
	$(VENV)/bin/python -m benchmarks.history 200
	$(VENV)/bin/python -m benchmarks.capacity 100
	$(VENV)/bin/python -m benchmarks.real_targets

fuzz-control: $(VENV)/.dev ## hypothesis against the control plane, for MINUTES (60)
	$(VENV)/bin/python -m tests.control.fuzz --minutes $(MINUTES)

# a property that fails says its values; memory that grows ends at the limit, and a hang with the round
fuzz-protocols: ## what no peer should send, to each protocol of the native core, with other values each time, for MINUTES (60)
	cd native && cargo test --quiet --no-run $(FUZZED)
	cd native && end=$$(( $$(date +%s) + $(MINUTES) * 60 )); ulimit -v 8388608; \
	while [ $$(date +%s) -lt $$end ]; do PROPTEST_CASES=10000 timeout 1800 cargo test --quiet $(FUZZED) || exit 1; done

docs: $(VENV)/.installed ## write what is made of definitions: the page and the types of commands, the states of a load
	$(VENV)/bin/python -m loadflow commands --markdown > docs/commands.md
	$(VENV)/bin/python -m loadflow commands --stub > loadflow/command_functions.pyi
	$(VENV)/bin/python -m loadflow.engine.process.states docs/when-things-die.md

clean: ## remove all that was made, run folders and the demo's Prefect database too
	rm -rf $(VENV) $(TEST_VENV) .venv-prefect-* build dist wheelhouse native/target benchmarks/echo/target loadflow/_native*.so *.egg-info .prefect demo loadflow-runs .mypy_cache .ruff_cache .pytest_cache .hypothesis

# -- stamps: a target is made again only when what it is made from is newer

$(VENV)/.installed: pyproject.toml constraints.txt setup.py .ci/install.py $(shell find native/src -type f) native/Cargo.toml native/Cargo.lock
	@test -n "$(PYTHON)" || { echo "no python3 found; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) .ci/install.py $(VENV)
	@touch $@

# the core as `pip install` builds it, for speed
$(VENV)/.tuned: $(VENV)/.installed
	$(VENV)/bin/pip install --quiet --no-deps --editable .
	@touch $@

# the core that is there stays: building it a second time takes a minute
$(VENV)/.dev: $(VENV)/.installed
	LOADFLOW_NATIVE=0 $(VENV)/bin/pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev,test]'
	@touch $@

# the workers of Docker and Kubernetes pools
$(VENV)/.pools: $(VENV)/.dev
	LOADFLOW_NATIVE=0 $(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[docker,kubernetes]'
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
	$(TEST_VENV)/bin/pip install --quiet --no-compile --constraint constraints.txt "$$(ls dist/loadflow-*.whl)[test]"
	@touch $@

$(TEST_VENV)/.wheel: dist/.built $(TEST_VENV)/.deps
	$(TEST_VENV)/bin/pip install --quiet --no-compile --no-deps --force-reinstall dist/loadflow-*.whl
	@touch $@
