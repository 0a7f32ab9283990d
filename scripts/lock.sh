#!/usr/bin/env bash
# Write requirements.lock: every package with hashes for every platform, except torch and what its
# CUDA build drags in (torch comes by constraints.txt, in whatever build the machine is offered).
set -euo pipefail
cd "$(dirname "$0")/.."
skip=(torch triton)
while read -r name; do skip+=("$name"); done < <(
  .venv/bin/uv pip compile pyproject.toml --extra train --extra dev --universal --python-version 3.11 \
    --no-header --no-annotate -q | sed -nE 's/^((nvidia|cuda)-[a-z0-9-]+)==.*/\1/p' | sort -u)
.venv/bin/uv pip compile pyproject.toml --extra train --extra dev --universal --python-version 3.11 \
  --generate-hashes --no-header --no-annotate -q "${skip[@]/#/--no-emit-package=}" -o requirements.lock
grep -v '^#' requirements.lock > requirements.lock.tmp || true
{ echo "# Made by scripts/lock.sh from pyproject.toml; torch is in constraints.txt."; cat requirements.lock.tmp; } > requirements.lock
rm requirements.lock.tmp
