# One command for each job, the same on a desk and in CI. `make` alone lists them.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The tools of `make check` are installed only where they are asked for.
READY := $(VENV)/.ready
CHECK_READY := $(VENV)/.check-ready

.PHONY: help demo test chaos mutants bench check screenshots pins clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

demo: $(READY) ## sign people up on the demo site and watch them become customers (ONCE=1 ends by itself)
	@$(BIN)/python -m project.demo $(if $(ONCE),--once)

test: $(READY) ## run every test that this machine has the services for, and say which it has not
	@$(BIN)/python -m tests

chaos: $(READY) ## attack the promise with real processes and write docs/reliability.md (SEED=3 does one seed and writes nothing)
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED) --design kohort_sync,--write)

mutants: $(READY) ## take each guard out of a copy of the code and see that its tests notice (MUTANTS=lease: some of them)
	@$(BIN)/python -m tests.mutants $(MUTANTS)

bench: $(CHECK_READY) ## measure what syncing costs and write docs/performance.md (PART=push measures one part and writes nothing)
	@$(BIN)/python -m tests.bench $(PART)

check: $(CHECK_READY) ## format, lint, types, import floors, migrations, translations, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy kohort_sync project tests tools manage.py
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m tools.floors
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m tools.translations --check
	$(BIN)/python -m tools.docs

screenshots: $(CHECK_READY) ## take the pictures of the docs in Debian's Chromium
	@$(BIN)/python -m tools.screenshots

pins: $(CHECK_READY) ## pin the newest versions of what the demo, the tests and the checks need
	$(BIN)/uv pip compile -q --upgrade --no-header --no-emit-index-url --universal --python-version 3.11 --no-annotate requirements.in -o requirements.txt
	$(BIN)/uv pip compile -q --upgrade --no-header --no-emit-index-url --universal --python-version 3.11 --no-annotate requirements-check.in -o requirements-check.txt

clean: ## remove what the other commands made
	rm -rf $(VENV) .bench .chaos .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache db.sqlite3*

$(READY): requirements.txt
	@echo "Setting up $(VENV) (once)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(CHECK_READY): requirements-check.txt $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-check.txt
	@touch $@
