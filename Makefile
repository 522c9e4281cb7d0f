# Two commands do everything on a fresh machine with Python 3.11, pip and make: `make demo` and `make test`.
PYTHON ?= python3.11
ifeq (,$(shell command -v $(PYTHON) 2>/dev/null))
PYTHON := python3
endif
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# Some images set this. Here dozens of processes load the same files, and each would compile all of them anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo demo-production seed-example test-seed-example run test test-long test-production test-postgres check audit format bench bench-secagg bench-peers bench-learning bench-tampering audit-self-check bench-load bench-wallet bench-wallet-tab contracts e2e e2e-wallet types-wallet screenshots chaos scale clean fuzz fuzz-api fuzz-contracts coverage-secagg fuzz-money test-anvil slither

help:  ## what can be made
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

$(VENV)/.installed: requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "Python 3.11 is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what the platform needs (once, 2 to 4 minutes) ..."
	@$(BIN)/pip install --disable-pip-version-check -q -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing what the tests need (once) ..."
	@$(BIN)/pip install --disable-pip-version-check -q -r requirements-dev.txt
	@touch $@

demo: $(VENV)/.installed  ## the main job, embedded: wallets teach a model (ARGS="--wallets 300 --rounds 10 --data DIR")
	$(BIN)/python manage.py demo $(ARGS)

seed-example: $(VENV)/.installed  ## the founding example, 100,000 wallets and 2,000,000 visits; goes on where it was stopped (what was run so far: docs/seed-example.md; ARGS="--scale 0.1")
	$(BIN)/python manage.py seed_example $(ARGS)

test-seed-example: $(VENV)/.installed-dev  ## the same at a tiny scale, stopped and killed on the way (minutes)
	$(BIN)/pytest -m long tests/stack/test_seed_example.py $(ARGS)

run: $(VENV)/.installed  ## the site with demo data; prints address and log-ins
	$(BIN)/python manage.py serve --demo-data $(ARGS)

# Most tests wait more than they compute, so processes share them. The stack's own tests start many processes, so they are not mixed
# with others; the browser's driver keeps an event loop in the main thread, so its tests run in processes of their own. What takes
# longest begins first (tests/spread.py); reordering by how many tests a file has would put it last.
test: $(VENV)/.installed-dev  ## every test but the long ones
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder --no-migrations -m "not long and not e2e and not stack and not production" $(ARGS)
	$(BIN)/pytest -n 3 --dist loadgroup -m "stack and not long" tests/stack
	$(BIN)/pytest -n 3 --dist loadgroup --no-loadscope-reorder --no-migrations -m "e2e and not long" tests/e2e
	$(MAKE) --no-print-directory test-production

test-long: $(VENV)/.installed-dev  ## the tests that `make test` leaves out, but for the contracts' 100,000 calls (hours on a busy machine)
	$(BIN)/pytest -n 2 --dist loadfile -m "long and not e2e and not stack" --ignore=tests/production --deselect tests/contracts/test_invariants.py::test_our_contracts_keep_every_invariant_for_long $(ARGS)
	$(BIN)/pytest -m "long and stack" tests/stack $(ARGS)
	$(BIN)/pytest -m "long and e2e" tests/e2e $(ARGS)

# Tests of the apps that touch what differs between the databases, and one round; `make test-postgres` runs all of them there.
ON_REAL_SERVERS := tests/apps/roles/test_round.py::test_the_sum_of_a_round_is_the_plain_sum_and_every_visit_is_owed
test-production: $(VENV)/.installed-dev  ## what needs PostgreSQL and Redis, with private ones on free ports
	$(BIN)/python -m pytest -p tests.production.plugin -n 2 --dist loadgroup --no-migrations -m "not long" tests/production $(ON_REAL_SERVERS) $(ARGS)

test-postgres: $(VENV)/.installed-dev  ## every test of the apps on PostgreSQL and Redis (minutes)
	$(BIN)/python -m pytest -p tests.production.plugin -m "not long" tests/apps $(ARGS)

demo-production: $(VENV)/.installed  ## the main job on PostgreSQL and Redis, every role in processes of its own
	$(BIN)/python manage.py demo --profile production $(ARGS)

check: $(VENV)/.installed-dev  ## style, types, doors, migrations, system checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run

audit: $(VENV)/.installed-dev  ## are pinned packages known to be weak? (asks an advisory service; says when it cannot)
	$(BIN)/python deploy/audit.py

audit-self-check: $(VENV)/.installed-dev  ## the privacy audit: seeded bad algorithms rejected, the catalogue admitted (minutes)
	$(BIN)/python manage.py audit --self-check $(ARGS)

format: $(VENV)/.installed-dev  ## put the code into the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

e2e: $(VENV)/.installed-dev  ## the stories in a real Chromium
	$(BIN)/pytest -m e2e tests/e2e $(ARGS)

e2e-wallet: $(VENV)/.installed-dev  ## tabs of a real Chromium: vectors, vault, pages, all that may befall a tab, mixed rounds, the demo (ten minutes)
	$(BIN)/pytest $(addprefix tests/e2e/test_wallet_,vectors.py vault.py app.py rounds.py behaviours.py) $(ARGS)
	$(BIN)/pytest tests/stack/test_tabs.py tests/stack/test_demo_tabs.py $(ARGS)

screenshots: $(VENV)/.installed-dev  ## every screen, light and dark, narrow and wide, into report/screenshots
	$(BIN)/pytest -q tests/e2e/screenshots.py $(ARGS)

fuzz-contracts: $(VENV)/.installed-dev  ## at least 100,000 calls of the contracts by a state machine (half an hour)
	$(BIN)/pytest -m long tests/contracts -s $(ARGS)

fuzz-money: $(VENV)/.installed-dev  ## 1,000 payments and 40 orders through every fault (half an hour)
	$(BIN)/pytest -m long tests/apps/settlement/test_faults.py tests/apps/settlement/test_order_faults.py -s $(ARGS)

fuzz: $(VENV)/.installed-dev  ## every decoder with 400,000 changed or random inputs, and long state machines (minutes)
	CSSI_LONG=1 $(BIN)/pytest tests/unit/secagg/test_decoders.py tests/unit/secagg/test_fuzz.py tests/unit/secagg/test_state_machines.py tests/unit/agent/test_qr.py $(ARGS)

fuzz-api: $(VENV)/.installed-dev  ## the REST API against its own schema, 150 generated requests for each operation (minutes)
	$(BIN)/pytest -m long tests/apps/api $(ARGS)

coverage-secagg: $(VENV)/.installed-dev  ## fails unless every branch of aggregation/secagg is tested
	$(BIN)/pytest tests/unit/secagg tests/vectors --cov=aggregation.secagg --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=100 $(ARGS)

# flwr comes without its dependencies: it asks for a certifi that some indexes do not hold.
PEERS := tests/benchmarks/secagg/requirements-peers.txt
.venv-peers/.installed: $(PEERS)
	@test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/pip install --disable-pip-version-check -q -r $(PEERS)
	@.venv-peers/bin/pip install --disable-pip-version-check -q --no-deps "flwr==1.42.*"
	@touch $@

bench-peers: .venv-peers/.installed  ## an environment with what secure aggregation is compared with

bench-secagg: $(VENV)/.installed-dev  ## secure aggregation against its targets and its peer (ARGS=--quick)
	@$(BIN)/python -m tests.benchmarks.secagg $(ARGS)

bench-learning: $(VENV)/.installed-dev  ## how well wallets learn, every setting, three seeds; goes on where it was stopped (DATA=<folder>)
	@$(BIN)/python -m tests.benchmarks.learning --data "$(DATA)" $(ARGS)

bench-load: $(VENV)/.installed-dev bench-peers  ## idle agents, invitations, visits per second, pages, beside Flower (ARGS="--only crowd --levels 1000")
	@$(BIN)/python -m tests.benchmarks.load --docs docs/benchmarks $(ARGS)

bench-wallet: $(VENV)/.installed-dev  ## what a visit and an agent cost the holder's machine, into docs/benchmarks/wallet.md (ARGS="--visits 60")
	@$(BIN)/python -m tests.benchmarks.wallet --docs docs/benchmarks $(ARGS)

TYPES := tests/unit/tab/types
types-wallet:  ## the types that the wallet's scripts say of themselves, checked by TypeScript (needs npm)
	cd $(TYPES) && npm ci --silent --ignore-scripts && node_modules/.bin/tsc -p tsconfig.json

bench-wallet-tab: $(VENV)/.installed-dev  ## a wallet in a tab against the agent: rounds, training, page weight (ARGS=--quick)
	@$(BIN)/python -m tests.benchmarks.wallet_tab $(ARGS)

bench-tampering: $(VENV)/.installed-dev  ## what tampering wallets do, what is stopped and who is found; goes on where it was stopped (DATA=<folder>)
	@$(BIN)/python -m tests.benchmarks.tampering --data "$(DATA)" $(ARGS)

bench: $(VENV)/.installed-dev bench-peers  ## every benchmark that ends within about ten minutes
	@$(BIN)/python -m tests.benchmarks.secagg
	@$(BIN)/python -m tests.benchmarks.secagg_server
	@$(BIN)/python -m tests.benchmarks.wallet
	@$(BIN)/python -m tests.benchmarks.learning_sim

# Foundry's node, as npm ships it for this machine; no script of a package is run.
NODE := tests/apps/settlement/node
ANVIL := $(NODE)/node_modules/@foundry-rs/anvil-$(shell uname -s | tr A-Z a-z)-$(shell uname -m | sed 's/x86_64/amd64/;s/aarch64/arm64/')/bin
test-anvil: $(VENV)/.installed-dev  ## the money's tests against a second node, Foundry's anvil (needs npm)
	cd $(NODE) && npm ci --silent --ignore-scripts
	PATH="$(CURDIR)/$(ANVIL):$$PATH" CSSI_TEST_CHAIN=anvil $(BIN)/pytest -m "not long" tests/apps/settlement $(ARGS)

.venv-slither/.installed: tests/contracts/slither/requirements.txt
	@test -x .venv-slither/bin/python || $(PYTHON) -m venv .venv-slither
	@.venv-slither/bin/pip install --disable-pip-version-check -q -r $<
	@touch $@

slither: .venv-slither/.installed  ## static analysis of the contracts: clean, or each finding explained (needs npm)
	cd marketplace/settlement/contracts && npm ci --silent
	.venv-slither/bin/python tests/contracts/slither/check.py

chaos: $(VENV)/.installed-dev  ## a small site broken on purpose in every way we know, its books after each (three quarters of an hour: docs/chaos.md; ARGS="--only clock")
	@$(BIN)/python -m tests.chaos $(ARGS)

scale: $(VENV)/.installed-dev  ## a day of the scheduler for ten million wallets beside its arithmetic (a minute or two)
	@$(BIN)/python -m tests.benchmarks.scale --page docs/scale.md $(ARGS)

contracts:  ## rebuild the contracts' artifacts (needs npm)
	cd marketplace/settlement/contracts && npm ci --silent && node build.mjs && node ../../../tests/contracts/mutants/build.mjs

clean:  ## forget the state of `make run`, of demos and of the seed example, and every report (not the environment)
	rm -rf var report
