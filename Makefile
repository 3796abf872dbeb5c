# The two commands of a fresh clone are `make demo` and `make test`. They need Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
SOAK   ?= 60
SEEDS  ?= 3
BENCH_VENVS := server loops drt-core dlt singer-sdk airbyte-cdk
EXAMPLES ?= 50
WITH_SEEDS = $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

.DEFAULT_GOAL := help
.PHONY: help demo install test test-system soak soak-cluster lint fix bench bench-cluster record requirements clean

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## watch calrelay carry events and appointments over real HTTP, with no account and no config
	$(BIN)/calrelay demo

install: $(VENV)/.runtime ## put calrelay into .venv
	@echo "$(BIN)/calrelay is ready; . $(BIN)/activate puts it on your path"

test: $(VENV)/.test lint ## lint, types, walls and every test that needs neither root nor a server
	$(BIN)/pytest -n auto

test-system: $(VENV)/.system ## what needs root or Debian packages
	$(BIN)/pytest -n auto -m system tests/system

soak: $(VENV)/.test ## the daemon, then three workers, for SOAK seconds of trouble with each of SEEDS seeds; then EXAMPLES random lives; SEED=… repeats one
	$(BIN)/python -m tests.soak --seconds $(SOAK) $(WITH_SEEDS)
	$(BIN)/python -m tests.soak_cluster --seconds $(SOAK) $(WITH_SEEDS)
	$(if $(filter 0,$(EXAMPLES)),,CALRELAY_SOAK_EXAMPLES=$(EXAMPLES) $(BIN)/pytest -n auto --timeout 0 tests/properties)

soak-cluster: $(VENV)/.test ## three workers on a PostgreSQL, killed, suspended and ended, the server restarted, with each of SEEDS seeds; SEED=… repeats one
	$(BIN)/python -m tests.soak_cluster --seconds $(SOAK) $(WITH_SEEDS)

lint: $(VENV)/.test ## ruff, mypy --strict and the import walls
	$(BIN)/ruff format --check src tests bench
	$(BIN)/ruff check src tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(VENV)/.test ## let ruff mend what it can
	$(BIN)/ruff check --fix src tests bench
	$(BIN)/ruff format src tests bench

record: $(VENV)/.test ## play the cassettes anew: against real accounts where CALRELAY_RECORD_… are set, else against the simulators
	$(BIN)/python -m tests.record

bench: $(VENV)/.test $(BENCH_VENVS:%=bench/.venvs/%/.done) ## calrelay beside what people would use instead; BENCH=quick for a smoke test
	$(BIN)/python -m bench.run $(if $(filter quick,$(BENCH)),--quick)

bench-cluster: $(VENV)/.test ## 1,000 pipelines with 1, 2 and 4 workers on a PostgreSQL: passes a second, and how late; some 20 minutes, writes bench/CLUSTER.md
	$(BIN)/python -m bench.cluster

bench/.venvs/%/.done: requirements/bench-%.txt | $(BIN)/python
	$(BIN)/python -m venv bench/.venvs/$*
	bench/.venvs/$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

requirements: $(VENV)/.test ## resolve the pinned requirements anew; needs uv
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  pyproject.toml requirements/build.in -o requirements/runtime.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  pyproject.toml requirements/build.in requirements/test.in -c requirements/runtime.txt -o requirements/test.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  pyproject.toml --extra cluster requirements/build.in -c requirements/test.txt -o requirements/cluster.txt
	for one in $(BENCH_VENVS); do uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate requirements/bench-$$one.in -o requirements/bench-$$one.txt; done
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  requirements/system.in -c requirements/test.txt -o requirements/system.txt

clean: ## remove the virtual environment and everything the tools left behind
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "calrelay needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/runtime.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.system: requirements/system.txt $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/system.txt
	@touch $@

$(VENV)/.test: requirements/test.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/test.txt
	@touch $@
