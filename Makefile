# Everything runs from a fresh clone: git, make, Python >= 3.11 with venv and pip, and a package index.
# `make` lists the targets. `make check` is what CI runs.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:

PYTHON ?= python3
ARGS ?=
AREA ?=
LONG ?=

VENV := .venv
PY := $(VENV)/bin/python
# Twice quiet: errors only, so that a first `make demo` shows the demo and not the installer.
PIP_INSTALL := $(PY) -m pip install -qq --no-input --disable-pip-version-check --no-warn-conflicts
CODE := $(wildcard src tests examples scripts bench fuzz)
UV_COMPILE := $(VENV)/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal \
	--python-version 3.11 --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

# What is written by one part of the tests is searched for credentials by that part, last.
SEARCH := tests/e2e/test_no_credential_anywhere.py
APART := tests/property tests/e2e
# Of whole stories, those that time nothing are told beside the other tests, so that two parts take equally long.
UNTIMED := $(wildcard $(addprefix tests/e2e/test_,tamper_*.py forged_*.py redecide*.py returns_desk_*.py signer_*.py))
TIMED := $(filter-out $(UNTIMED),$(wildcard tests/e2e/test_*.py))
OTHERS := $(filter-out $(APART),$(patsubst %/,%,$(sort $(dir $(wildcard tests/*/test_*.py))))) $(UNTIMED)

# One commit draws one sample of the long matrices and one order of property examples.
SEED := $(shell printf '%d' 0x$$(git rev-parse --short=8 HEAD 2>/dev/null || echo 0))

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.demo ## Watch real work, a weak model and a hostile agent go through the door (about 90 s)
	@$(PY) -m examples.returns_desk $(ARGS)

.PHONY: test
test: export LEVERFRAME_LONG := $(LONG)
test: $(VENV)/.stamp $(VENV)/.node ## Run every test; LONG=1 runs the long matrices whole, ARGS="-k words" selects
	@$(PY) -m pytest --hypothesis-seed=$(SEED) $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/.stamp ## Fuzz every parser for SECONDS (20); TARGET="vkey" names some of them
	@$(PY) -m fuzz --seconds $(or $(SECONDS),20) $(TARGET)

.PHONY: mutants
mutants: $(VENV)/.stamp ## Change MODULE="core/budgets" in small ways and list what no test notices; docs/mutants.md judges
	@$(PY) -m scripts.mutants --seconds $(or $(SECONDS),600) $(or $(MODULE),core/budgets)

.PHONY: check
check: lint types layers properties e2e others ## Run all that CI runs: lint, types, layers, tests; -j2 two of them at a time

# The tests of `make test` in three parts, which may run beside each other.
.PHONY: properties e2e others
properties e2e others: export LEVERFRAME_LONG := $(LONG)
properties: $(VENV)/.stamp
	@$(PY) -m pytest --hypothesis-seed=$(SEED) $(ARGS) tests/property $(SEARCH)
e2e: $(VENV)/.stamp $(VENV)/.node
	@$(PY) -m pytest --hypothesis-seed=$(SEED) $(ARGS) $(TIMED)
others: $(VENV)/.stamp $(VENV)/.node
	@$(PY) -m pytest --hypothesis-seed=$(SEED) $(ARGS) $(OTHERS) $(SEARCH)

.PHONY: bench
bench: $(VENV)/.stamp ## Measure, beside the machine's own floor: AREA=core, or all areas; into bench/results
	@$(PY) -m bench $(AREA)

.PHONY: fmt
fmt: $(VENV)/.stamp ## Format the code and mend what the linter can mend
	@$(VENV)/bin/ruff format $(CODE)
	@$(VENV)/bin/ruff check --fix $(CODE)

.PHONY: lint
lint: $(VENV)/.stamp ## Check format and lint
	@$(VENV)/bin/ruff format --check $(CODE)
	@$(VENV)/bin/ruff check $(CODE)

.PHONY: types
types: $(VENV)/.stamp ## Check types, strictly
	@$(VENV)/bin/mypy $(CODE)

.PHONY: layers
layers: $(VENV)/.stamp ## Check that imports go down only
	@$(VENV)/bin/lint-imports --no-logo

.PHONY: docs
docs: $(VENV)/.stamp ## Write docs/reference from the code, and a page for each new problem
	@$(PY) -m scripts.reference

.PHONY: wheel
wheel: $(VENV)/.stamp ## Build the wheel of this commit into dist/
	@rm -rf dist
	@$(PY) -m pip wheel . -qq --no-deps --no-build-isolation --disable-pip-version-check --wheel-dir dist
	@ls dist/*.whl

.PHONY: lock
lock: $(VENV)/.lock ## Pin the dependencies anew after an .in file or pyproject.toml changed; UPGRADE=1 takes newer ones
	@$(UV_COMPILE) pyproject.toml --extra local requirements/demo.in -o requirements/demo.txt
	@$(UV_COMPILE) requirements/dev.in -c requirements/demo.txt -o requirements/dev.txt
	@$(UV_COMPILE) --no-deps requirements/demo-nodeps.in -o requirements/demo-nodeps.txt
	@$(UV_COMPILE) requirements/lock.in -o requirements/lock.txt

.PHONY: clean
clean: ## Remove .venv, caches and build output; .leverframe, which may hold keys, stays
	@rm -rf $(VENV) dist build out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp is written after its step succeeded: an interrupted set-up is done again, never taken for a finished one.
$(VENV)/.created:
	@command -v $(PYTHON) >/dev/null || { echo "make: '$(PYTHON)' is not installed; Leverframe needs Python >= 3.11." \
		"Install it, or name one: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: '$(PYTHON)' is" \
		"$$($(PYTHON) -V 2>&1); Leverframe needs Python >= 3.11. Name a newer one: make PYTHON=python3.12" >&2; exit 2; }
	@echo "Setting up $(VENV) with $$($(PYTHON) -V): once, a minute or two" >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.demo-deps: $(VENV)/.created requirements/demo.txt requirements/demo-nodeps.txt
	@$(PIP_INSTALL) --require-hashes -r requirements/demo.txt
	@$(PIP_INSTALL) --require-hashes --no-deps -r requirements/demo-nodeps.txt
	@touch $@

$(VENV)/.demo: $(VENV)/.demo-deps pyproject.toml
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.stamp: $(VENV)/.demo requirements/dev.txt
	@$(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

# Node's packages have hashes in their lock file as well, and no download address.  Without a package index the tests
# that need them are skipped, except in CI.
$(VENV)/.node: $(VENV)/.stamp tests/node/package.json tests/node/package-lock.json
	@mkdir -p $(VENV)/node && cp tests/node/package.json tests/node/package-lock.json $(VENV)/node
	@if $(PY) -m scripts.npm ci --silent --no-audit --no-fund --ignore-scripts --prefix $(VENV)/node; then touch $@; \
	elif [ -n "$${CI:-}" ]; then exit 1; \
	else echo "make: the packages of tests/node could not be installed; tests that need them are skipped" >&2; fi

$(VENV)/.lock: $(VENV)/.created requirements/lock.txt
	@$(PIP_INSTALL) --require-hashes -r requirements/lock.txt
	@touch $@
