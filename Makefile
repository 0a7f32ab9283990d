# Bare `make` lists what there is.
.DEFAULT_GOAL := help
.PHONY: help setup studio test check fix bench lock clean

help:            ## this list
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

studio: setup    ## install what is missing, then run the studio and print its address
	@exec .venv/bin/palate up

test:            ## everything CI runs: style, types, walls, unit, integration and browser tests
	@./scripts/setup.sh --test
	@./scripts/test.sh

setup:           ## only install, into .venv
	@./scripts/setup.sh

check: setup     ## style, types and walls without the tests
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports --no-cache

fix: setup       ## let ruff mend what it can
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

bench: setup     ## the benchmarks: ratios against something in the same run
	@.venv/bin/python -m tests.benchmarks

lock: setup      ## write requirements.lock anew from pyproject.toml
	@./scripts/lock.sh

clean:           ## remove the environment and caches (never your data in .palate)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache *.egg-info
