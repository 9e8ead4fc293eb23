# make setup · make run · make test · make check · make chaos · make walk · make bench
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One more than there are processors: some tests mostly wait.
WORKERS ?= $(shell echo $$(($$(nproc 2>/dev/null || echo 1) + 1)))
export FLASK_APP := app

.PHONY: setup run test browser suite chaos walk check bench screenshots lock translations clean

setup: $(VENV)/.done

$(VENV)/.done: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

run: setup  ## embedded mode with demonstration data on http://127.0.0.1:8000
	@$(BIN)/flask serve --demo

test:  ## checks and every test; real PostgreSQL, Valkey and browser
	@$(MAKE) --no-print-directory -j2 setup browser
	@# The first tests mostly wait: there is time for the checks beside them.
	@$(MAKE) --no-print-directory -j2 check suite

browser:
	@tests/install-browser

suite: setup
	$(BIN)/pytest -n $(WORKERS) -q

chaos: setup  ## delivery under every fault, both databases; half an hour, see docs/proof.md
	$(BIN)/pytest -n 2 -q --hypothesis-profile=chaos --timeout 1200 tests/test_outbox_properties.py
	$(BIN)/python -m tests.chaos $(CHAOS)

walk: setup  ## 100,000 random steps on the ledger, both databases; about four hours
	$(BIN)/python -m tests.ledger_walk $(WALK)

check: setup
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache > /dev/null || $(BIN)/lint-imports --no-cache

bench: setup .venv-bench/.done  ## figures beside a stated reference in the same run; needs Postfix's smtp-sink and smtp-source
	@benchmarks/install-postfix
	PATH="$$PATH:/usr/sbin" $(BIN)/python -m benchmarks.dispatch $(BENCH)

.venv-bench/.done: benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/requirements.txt
	@touch $@

screenshots: setup  ## the pictures of the README
	KEEP_SCREENSHOTS=1 $(BIN)/pytest -q -p no:randomly tests/test_browser.py

translations: setup  ## new texts into the English catalogue, then compiled
	$(BIN)/pybabel --quiet extract --no-location -F translations/babel.cfg -o translations/messages.pot .
	$(BIN)/pybabel --quiet update --no-fuzzy-matching --ignore-obsolete -i translations/messages.pot -d translations -l en
	$(BIN)/pybabel --quiet compile -d translations -l en

lock: setup  ## resolve the versions in pyproject.toml anew (needs uv)
	uv pip compile -q pyproject.toml --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements.txt
	uv pip compile -q pyproject.toml --extra dev -c requirements.txt --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements-dev.txt
	uv pip compile -q benchmarks/requirements.in --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -o benchmarks/requirements.txt

clean:
	rm -rf $(VENV) .venv-bench var
