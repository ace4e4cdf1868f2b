# `make demo` and `make test` need nothing but Python ≥ 3.11 and make.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
# Tests wait more than they work: one process more than there are cores, each with a PostgreSQL.
TESTERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 7 ? n + 1 : 8)))

.PHONY: demo test browser check lint types imports contract contract-fresh tracker tracker-fresh wordpress chaos fuzz readers bench soak clean help

help:  ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: exporter/native/rows.so $(VENV)/.stack  ## run the whole stack on this machine
	@exec $(BIN)/sluice up --port $(PORT)

test: exporter/native/rows.so $(VENV)/.dev tracking/node_modules/.ready tests/sdks/node_modules/.ready tracking/snippets/node_modules/.ready browser  ## every check and every test
	$(MAKE) --no-print-directory check
	@$(BIN)/python -m pytest -m alone; alone=$$?; \
	$(BIN)/python -m pytest -m "not alone" --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder && exit $$alone

browser: $(VENV)/.dev
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || tests/browser/install.sh $(BIN)/playwright

check: lint types imports contract-fresh tracker-fresh  ## all that needs no running part

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports --no-cache

contract: $(VENV)/.dev  ## derive schemas, types and docs from core/event.py
	$(BIN)/sluice contract

contract-fresh: $(VENV)/.dev
	$(BIN)/sluice contract --check

tracker: tracking/node_modules/.ready  ## build the tracker and the demo's panel
	cd tracking && npm run --silent build

tracker-fresh: tracking/node_modules/.ready
	@if [ -e tracking/node_modules/.absent ]; then echo "No Node here: the tracker's own checks are left to CI."; \
	else cd tracking && npm run --silent check && npm test --silent && npm run --silent fresh && npm run --silent budget; fi

wordpress:  ## pack the WordPress plugin: tracking/wordpress/sluice.zip
	@$(PYTHON) tracking/wordpress/pack.py

chaos: exporter/native/rows.so $(VENV)/.dev  ## the crash tests, for longer (an hour and a half)
	CHAOS_KILLS=20 CHAOS_OUTAGES=100 CHAOS_FAULTS=200 CHAOS_FAULT_PAIRS=100 CHAOS_STEPS=100 CHAOS_DENIED_SECONDS=3600 $(BIN)/python -m pytest tests/system/test_crashes.py tests/system/test_outages.py tests/system/test_faulty_bucket.py -q -s

fuzz: $(VENV)/.dev  ## 50,000 mutated requests
	FUZZ_REQUESTS=50000 $(BIN)/python -m pytest tests/system/test_fuzz.py -q -s

readers: exporter/native/rows.so $(VENV)/.dev  ## the recipes for readers of a bucket, ClickHouse's too (installs 181 MB)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/readers.txt
	$(BIN)/python -m pytest tests/integration/test_recipes.py tests/integration/test_described_bucket.py tests/system/test_outside_readers.py

bench: bench-collect bench-redaction bench-export  ## every benchmark, one JSON line a result

bench-%: exporter/native/rows.so $(VENV)/.dev  ## one benchmark
	@$(BIN)/python -m benchmarks.$*

# Its recipe is the one above.
bench-tracker: tracking/node_modules/.ready benchmarks/tracker/node_modules/.ready browser  ## the tracker beside four others, in Chromium

soak: exporter/native/rows.so $(VENV)/.dev  ## ten minutes at saturation: flat memory, no stalls
	@$(BIN)/python -m benchmarks.soak

clean:  ## remove what make made; the demo's data stays
	rm -rf $(VENV) exporter/native/rows.so tracking/node_modules tests/sdks/node_modules tracking/snippets/node_modules benchmarks/tracker/node_modules .mypy_cache .ruff_cache .pytest_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Sluice needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Say which: make PYTHON=python3.12 …") if sys.version_info < (3, 11) else None'
	@echo "Creating the environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

# What the exporter has in C. Without a compiler it works, too, and says what it lacks.
exporter/native/rows.so: exporter/native/jsonb.c exporter/native/copy.c
	@if command -v $(CC) >/dev/null; then $(CC) -O2 -shared -fPIC -o $@.new $^ && mv $@.new $@; \
	else echo "No C compiler here: PostgreSQL will pick the columns that are exported, which takes it thrice as long."; fi

$(VENV)/.stack: $(VENV)/bin/python requirements/stack.txt | exporter/native/rows.so
	@echo "Installing what the stack needs (once; about a minute) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/stack.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.stack requirements/dev.txt
	@echo "Installing what the tests need …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

# Without npm what needs it is left out by name: the folder holds .absent, and its tests say so.
tracking/node_modules/.ready tests/sdks/node_modules/.ready tracking/snippets/node_modules/.ready benchmarks/tracker/node_modules/.ready: %/node_modules/.ready: %/package-lock.json
	@mkdir -p $*/node_modules
	@if command -v npm >/dev/null; then cd $* && npm ci --silent --no-audit --no-fund && rm -f node_modules/.absent; \
	else touch $*/node_modules/.absent; fi
	@touch $@
