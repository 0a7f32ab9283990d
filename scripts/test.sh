#!/usr/bin/env bash
# Everything CI runs: style, types, walls, then the tests. The last line says how many passed.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
export OMP_WAIT_POLICY=PASSIVE # threads that wait must not burn the cores that others compute on
step() { printf '\n== %s\n' "$1"; }
step "ruff";   $bin/ruff check .; $bin/ruff format --check .
step "mypy";   $bin/mypy
step "walls";  $bin/lint-imports --no-cache
step "tests";  exec $bin/python -m pytest "$@"
