#!/usr/bin/env bash
# Everything CI runs: style, types, walls, then the tests, the browser's last.
set -euo pipefail
cd "$(dirname "$0")/.."
# Some hundred processes start in the tests, and each would compile all it imports anew.
unset PYTHONDONTWRITEBYTECODE
bin=.venv/bin
step() { printf '\n== %s\n' "$1"; }
step "ruff";   $bin/ruff check .; $bin/ruff format --check .
step "mypy";   $bin/mypy
step "walls";  $bin/lint-imports --no-cache
if [ $# -gt 0 ]; then step "tests"; exec $bin/python -m pytest "$@"; fi
# Two at a time, a file in one piece; the browser's tests apart, each of the two with a studio of its own.
two="-n 2 --dist loadfile --no-loadscope-reorder"
step "tests";   $bin/python -m pytest $two --ignore tests/browser
step "browser"; exec $bin/python -m pytest $two tests/browser
