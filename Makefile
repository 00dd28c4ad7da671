# Everything runs from .venv, made here from the hashed locks in requirements/. Needs make and Python 3.11-3.14; no root, no Docker.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-virtualenv
# Two workers: the suite is made for small machines. PYTEST_ARGS='-n 0 -k name' overrides.
PYTEST_ARGS ?= -n 2 --dist loadgroup
# Of the control plane that cluster tests start, as 1.36.3; empty: that of tests/controlplane/go.mod.
KUBERNETES ?= $(RECEIVER_TEST_KUBERNETES)
export RECEIVER_TEST_KUBERNETES := $(KUBERNETES)
CODE := receiver tests $(wildcard bench)

# What Python this is: the first of PYTHON (if given) and the usual names that is new enough and can make a venv.
define FIND_PYTHON
fits='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'; \
for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
    if "$$python" -c "$$fits" >/dev/null 2>&1; then found=$$python; break; fi; \
done; \
if [ -z "$${found:-}" ]; then \
    echo "No usable Python found: 3.11 to 3.14 with the venv module is needed (on Debian: apt-get install python3-venv)." >&2; \
    echo "Name another one with: make PYTHON=/path/to/python3.x $(MAKECMDGOALS)" >&2; exit 1; \
fi
endef

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/.runtime ## set up and start the receiver on its embedded defaults
	@$(BIN)/python -m receiver quickstart

.PHONY: test
test: lint pytest ## set up, then lint, types, import layers and the whole test suite

.PHONY: pytest
pytest: $(VENV)/.dev ## the test suite alone
	$(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: cluster-test
cluster-test: PYTEST_ARGS = -n 0
cluster-test: $(VENV)/.dev ## the tests on a real Kubernetes (KUBERNETES=1.36.3: on that version)
	tests/controlplane/build.sh
	RECEIVER_TEST_REQUIRE=$${RECEIVER_TEST_REQUIRE-all} $(BIN)/python -m pytest -m cluster $(PYTEST_ARGS)

.PHONY: lint
lint: $(VENV)/.dev ## ruff, mypy, import layers, YAML, Dockerfile
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-logo
	$(BIN)/yamllint --strict .
	$(BIN)/hadolint Dockerfile

.PHONY: format
format: $(VENV)/.dev ## put the code into its format
	$(BIN)/ruff check --fix-only $(CODE)
	$(BIN)/ruff format $(CODE)

.PHONY: bench
bench: $(VENV)/.dev ## the benchmarks, printed as ratios
	$(BIN)/python -m bench

.PHONY: aws-policy
aws-policy: $(VENV)/.dev ## write deploy/aws/policy.json from what the code declares
	$(BIN)/python -m receiver.aws_policy > deploy/aws/policy.json

.PHONY: venv
venv: $(VENV)/.dev ## .venv with everything that tests and checks need

.PHONY: lock
lock: $(VENV)/.dev ## compile requirements/*.txt from pyproject.toml (UPGRADE=1: to the newest versions)
	requirements/compile.sh requirements $(if $(UPGRADE),--upgrade)

.PHONY: lock-check
lock-check: $(VENV)/.dev ## fail when requirements/*.txt do not follow from pyproject.toml
	@requirements/check.sh

.PHONY: clean
clean: ## remove .venv, caches and build results (var/ with its data stays)
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps. The second call does nothing until a lock, or what decides the package's metadata, changes.
$(BIN)/python:
	@$(FIND_PYTHON); \
	echo "making $(VENV) with $$("$$found" --version)"; "$$found" -m venv $(VENV)

$(VENV)/.runtime: requirements/build.txt requirements/runtime.txt requirements/kubernetes.txt pyproject.toml | $(BIN)/python
	@echo "installing the runtime dependencies"
	@$(PIP_INSTALL) --require-hashes -r requirements/build.txt -r requirements/runtime.txt -r requirements/kubernetes.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "installing the development dependencies (a few minutes the first time)"
	@$(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.runtime
