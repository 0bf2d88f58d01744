# Cordon's tasks. `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test test-full packages lint format lock bench bench-isolation bench-streams clean

help: ## Show what can be done here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: requirements.lock pyproject.toml deploy/venv.sh
	@PYTHON=$(PYTHON) bash deploy/venv.sh $(VENV)
	@touch $@

demo: $(VENV)/.installed ## Two offenders among 400 hosts, found and isolated; ARGS="--mode dry-run --seed 7 …"
	@$(BIN)/cordon demo $(ARGS)

test: $(VENV)/.installed packages ## Lint, types, contracts, then every suite, timed
	@$(BIN)/python deploy/suites.py $(ARGS)

test-full: $(VENV)/.installed packages ## What make test samples, in full
	@bash deploy/goflow2.sh
	@$(BIN)/python deploy/suites.py --full $(ARGS)

packages: # what the tests need of Debian's packages, where somebody may install it
	@bash deploy/apt.sh

lint: $(VENV)/.installed ## Format, lint, types and import contracts
	@$(BIN)/python deploy/suites.py --only lint

format: $(VENV)/.installed ## Rewrite the code in the project's format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lock: ## Resolve the dependencies again (needs uv)
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --all-extras \
		--quiet --output-file requirements.lock pyproject.toml

bench: $(VENV)/.installed ## Measure speed; writes JSON under bench/
	@$(BIN)/python -m pytest tests/perf -q

bench-isolation: $(VENV)/.installed ## Race with FastNetMon in the lab (root); QUICK=1 for two minutes
	@bash deploy/apt.sh fastnetmon
	@$(BIN)/python -m deploy.lab.race $(ARGS)

bench-streams: $(VENV)/.installed ## Records a CPU-second beside FastNetMon and fail2ban; QUICK=1 for two minutes
	@bash deploy/apt.sh fastnetmon fail2ban
	@$(BIN)/python -m deploy.lab.rates $(ARGS)

clean: ## Remove what was built, installed and left behind
	@rm -rf $(VENV) .cordon build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
