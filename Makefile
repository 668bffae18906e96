# Everything a newcomer needs: `make demo` and `make test`. Both build .venv first, from the hash-pinned lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.built

.PHONY: env demo test test-long test-dates mutants fuzz simulate crash gate test-systemd test-container test-deploy lint check lock clean

env: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed; name it with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: env
	@$(BIN)/easytracking-sync demo

test: env
	@$(BIN)/python -m pytest -n auto -m "not long"

# Real processes by the dozen, 500 accounts, and the machine's tests over the other database with the other blob store.
test-long: env
	@$(BIN)/python -m pytest -n auto -m long
	@$(BIN)/python -m pytest -n auto tests/machine --database postgresql --blobs files

# The tests of `make test` on other dates: in one and ten years, on 29 February, in both nights of the clock changes.
test-dates: env
	@$(BIN)/python -m tests.other_dates.run

# Seeded defects, each of which its tests must notice: some three minutes on two cores.
mutants: env
	@$(BIN)/python -m tests.mutants.run

# Hostile input to everything that reads what comes from outside: make fuzz SECONDS=600
fuzz: env
	@$(BIN)/python -m tests.fuzz.run --seconds $(or $(SECONDS),60)

# SEEDS=N stories by chance over all cores, or SEED=N that one again.
SEEDS ?= 200
simulate: env
	@$(BIN)/python -m tests.simulation.simulate $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

# Every effect of a job dies or fails; EVERY=1 leaves none out (hours).
crash: env
	@$(BIN)/python -m tests.crash.enumeration $(if $(EVERY),--every)

# That nothing is lost: two thousand stories, every crash, every seeded defect, some hostile input.
gate: env
	@$(MAKE) --no-print-directory simulate SEEDS=2000
	@$(MAKE) --no-print-directory crash
	@$(MAKE) --no-print-directory mutants
	@$(MAKE) --no-print-directory fuzz SECONDS=30

# The installation in a booted systemd, and the image in containers: they need root and tools that they get with apt.
test-systemd: env
	@$(BIN)/python tests/deploy/real_systemd.py

test-container: env
	@$(BIN)/python tests/deploy/real_container.py

# Both, on one bare Debian.
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
