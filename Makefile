# Every target does its own set-up; a second run of it starts in seconds. `make` alone explains.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# The first Python that is new enough; name another with `make PYTHON=/path/to/python3 ...`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && { echo $$p; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
PARTS := schemas streams connectors models deploy tests
# Contract tests with JavaScript SDKs bring their own locked packages.
NODE_MODULES := $(patsubst %/package-lock.json,%/node_modules/.stamp,$(wildcard tests/*/*/package-lock.json))
COMPILE := $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11
# More arguments for pytest, as in `make test ARGS="tests/unit -x"`.
ARGS ?=
# Processes that share the tests' files; each has its own broker and Redis, some 1.5 GB. 0: one, without any sharing.
JOBS ?= 2

.PHONY: help setup setup-test up demo demo-short test lint chaos chaos-short evaluate fuzz mutants bench lock clean

help: ## this page
	@echo "Sada: real-time customer listening and engagement on Kafka."
	@echo
	@echo "  make demo       is the place to start: a living shop on a real Kafka, four months in a few minutes"
	@echo "  make up         then runs Sada itself on this machine until Ctrl-C"
	@echo
	@echo "All targets; each sets up what it needs (Python packages into .venv, jars into ~/.cache/sada,"
	@echo "system packages with apt where it may, else it prints the command to type):"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "State, logs and reports are in var/. The commands themselves: .venv/bin/sada --help"

# ── set-up ────────────────────────────────────────────────────────────────────────────────────────────────────────

setup: $(VENV)/.stamp-system $(VENV)/.stamp-sada $(VENV)/.stamp-jars ## install what Sada needs to run: Python packages, Java, Maven, Redis, Kafka

setup-test: setup $(VENV)/.stamp-system-test $(VENV)/.stamp-registry $(NODE_MODULES) ## the same for the tests: browser, kcat, promtool, Node.js

$(VENV)/.stamp-venv:
	@[[ -n "$(PYTHON)" ]] || { echo "Python 3.11 or later is needed and none was found. Install it, or: make PYTHON=/path/to/python3" >&2; exit 1; }
	@if ! { [[ -x $(BIN)/python ]] && $(BIN)/python -m pip --version >/dev/null; }; then \
	  $(PYTHON) -c 'import ensurepip' 2>/dev/null || deploy/local/packages ensurepip; \
	  $(PYTHON) -m venv --clear $(VENV); \
	fi
	@touch $@

# pip brings uv, and uv the rest: 10 s instead of 90. Hashes of every package are checked: what was reviewed is what runs.
$(VENV)/.stamp-packages: requirements.lock deploy/local/build.lock $(VENV)/.stamp-venv
	@echo "Installing the locked Python packages into $(VENV) ..."
	@$(PIP) install --require-hashes -r deploy/local/build.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.stamp-sada: pyproject.toml $(VENV)/.stamp-packages
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.stamp-system: deploy/local/packages $(VENV)/.stamp-venv
	@deploy/local/packages java mvn redis-server
	@touch $@

$(VENV)/.stamp-system-test: deploy/local/packages $(VENV)/.stamp-venv
	@deploy/local/packages chromium chromedriver kcat promtool node npm
	@touch $@

$(VENV)/.stamp-jars: deploy/local/pom.xml $(VENV)/.stamp-sada $(VENV)/.stamp-system
	@echo "Fetching Apache Kafka (44 MB, once) ..."
	@$(BIN)/python -m deploy.local.jars
	@touch $@

$(VENV)/.stamp-registry: deploy/local/registry-pom.xml $(VENV)/.stamp-sada $(VENV)/.stamp-system
	@echo "Fetching the schema registry of the tests (142 MB, once) ..."
	@$(BIN)/python -m deploy.local.registry
	@touch $@

%/node_modules/.stamp: %/package-lock.json $(VENV)/.stamp-system-test
	@npm ci --prefix $* --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# ── running ───────────────────────────────────────────────────────────────────────────────────────────────────────

up: setup ## run everything on this machine until Ctrl-C: Kafka, Redis, gateway, workers, delivery, page
	@$(BIN)/sada up

demo: setup ## a living shop: customers through real SDKs, decisions, answers, a report at the end
	@$(BIN)/sada demo

demo-short: setup ## the same with 200 customers and 30 days, as in CI
	@$(BIN)/sada demo --short

# ── proving ───────────────────────────────────────────────────────────────────────────────────────────────────────

test: setup-test lint ## everything that must hold: style, types, layering, and all tests on real Kafka and Redis
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.stamp-sada ## style (ruff), types (mypy --strict), layering (import-linter)
	@$(BIN)/ruff check $(PARTS)
	@$(BIN)/ruff format --check $(PARTS)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

chaos: setup ## kill and pause workers, Kafka and Redis under load; check that nothing is lost or doubled
	@$(BIN)/python -m tests.chaos $(ARGS)

chaos-short: setup ## the same in two minutes, as in CI
	@$(BIN)/python -m tests.chaos --short

evaluate: setup ## the Instacart sample through the running system: churn AUC and log loss beside references
	@$(BIN)/sada evaluate instacart

fuzz: $(VENV)/.stamp-sada ## a million random worlds of identity, each held to every property (ARGS="--graphs 10000" for fewer)
	@$(BIN)/python -m tests.property.fuzz $(ARGS)

mutants: $(VENV)/.stamp-sada ## break every rule of identity, relations, caps and near matches once and see which property notices
	@$(BIN)/python -m tests.property.mutants

bench: setup ## measure throughput, latency, memory and recovery, beside stock Faust, Quix Streams and Kafka Streams
	@$(BIN)/python -m tests.bench $(ARGS)

# ── keeping ───────────────────────────────────────────────────────────────────────────────────────────────────────

lock: $(VENV)/.stamp-packages ## renew the locks after a change of pyproject.toml's dependencies
	@$(COMPILE) pyproject.toml --all-extras -o requirements.lock
	@$(COMPILE) pyproject.toml --extra rocksdb --extra parquet -c requirements.lock -o deploy/requirements.lock
	@$(COMPILE) deploy/local/build.in -c requirements.lock -o deploy/local/build.lock

clean: ## remove .venv; var/ with its state, and the jars in the shared cache, stay
	@rm -rf $(VENV)
