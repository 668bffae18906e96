# Start with `make demo` and `make test`. All targets first build .venv from the hash-pinned lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.built

.PHONY: env demo test test-long test-dates mutants fuzz simulate crash gate test-systemd test-container test-deploy lint check lock clean

env: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is required; choose it with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: env
	@$(BIN)/easytracking-sync demo

test: env
	@$(BIN)/python -m pytest -n auto -m "not long"

# Long tests: real processes, PostgreSQL, 500 accounts; then the machine's tests on PostgreSQL with file storage.
test-long: env
	@$(BIN)/python -m pytest -n auto -m long
	@$(BIN)/python -m pytest -n auto tests/machine --database postgresql --blobs files

# The tests of `make test` on other dates: in one and ten years, on 29 February, in both nights of the clock changes.
test-dates: env
	@$(BIN)/python -m tests.other_dates.run

# Seed defects and check that the tests notice each of them. Takes about three minutes on two cores.
mutants: env
	@$(BIN)/python -m tests.mutants.run

# Feed hostile input to everything that reads data from outside: make fuzz SECONDS=600
fuzz: env
	@$(BIN)/python -m tests.fuzz.run --seconds $(or $(SECONDS),60)

# Run SEEDS=N random scenarios on all cores, or repeat one with SEED=N.
SEEDS ?= 200
simulate: env
	@$(BIN)/python -m tests.simulation.simulate $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

# Kill or fail a job at every effect. EVERY=1 runs all combinations (takes hours).
crash: env
	@$(BIN)/python -m tests.crash.enumeration $(if $(EVERY),--every)

# Check that nothing is lost: 2000 random scenarios, every crash, every seeded defect, some hostile input.
gate: env
	@$(MAKE) --no-print-directory simulate SEEDS=2000
	@$(MAKE) --no-print-directory crash
	@$(MAKE) --no-print-directory mutants
	@$(MAKE) --no-print-directory fuzz SECONDS=30

# Test the installation in a booted systemd, and the image in containers. Both need root, and install tools with apt.
test-systemd: env
	@$(BIN)/python tests/deploy/real_systemd.py

test-container: env
	@$(BIN)/python tests/deploy/real_container.py

# Run both, and build the bare Debian only once.
test-deploy: env
	@kept=$$(mktemp -d /var/tmp/easytracking-deploy-XXXXXX) && trap 'rm -rf "$$kept"' EXIT \
	  && export EASYTRACKING_TEST_KEPT=$$kept \
	  && $(BIN)/python tests/deploy/real_systemd.py && $(BIN)/python tests/deploy/real_container.py

lint: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

# Rewrites requirements.lock from pyproject.toml (needs uv on the PATH).
lock:
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header -o requirements.lock

clean:
	rm -rf $(VENV) build dist demo
