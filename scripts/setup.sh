#!/usr/bin/env bash
# Install Palate into .venv, with every version and hash pinned. Safe to run again; does nothing when
# the lock has not changed. With --test it also sees to the browser the tests drive.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

find_python() {
  local name
  for name in "${PALATE_PYTHON:-}" python3.13 python3.12 python3.11 python3; do
    [ -n "$name" ] && command -v "$name" >/dev/null 2>&1 || continue
    "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
      && { printf '%s' "$name"; return; }
  done
  fail "Palate needs Python 3.11, 3.12 or 3.13 and found none; install one, or name it in PALATE_PYTHON."
}

as_root_apt() { # install Debian packages when we may; quiet failure otherwise
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@"; } >/dev/null 2>&1
}

make_venv() {
  [ -x .venv/bin/python ] && .venv/bin/python -c 'import pip' 2>/dev/null && return
  local python; python=$(find_python)
  say "Making .venv with $($python --version) ..."
  rm -rf .venv
  "$python" -m venv .venv 2>/dev/null && return
  rm -rf .venv
  as_root_apt "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv" \
    || as_root_apt python3-venv || true
  "$python" -m venv .venv 2>/dev/null \
    || fail "this Python cannot make virtual environments; install its venv package (Debian, Ubuntu: apt install python3-venv) and run again."
}

# uv is ten times quicker than pip, but does not read pip's configuration: hand it on.
use_pip_sources() {
  local links extra
  links=$(.venv/bin/python -m pip config get global.find-links 2>/dev/null || true)
  extra=$(.venv/bin/python -m pip config get global.extra-index-url 2>/dev/null || true)
  links="${links:-${PIP_FIND_LINKS:-}}"; extra="${extra:-${PIP_EXTRA_INDEX_URL:-}}"
  [ -n "$links" ] && export UV_FIND_LINKS="${UV_FIND_LINKS:-$links}"
  [ -n "$extra" ] && export UV_EXTRA_INDEX_URL="${UV_EXTRA_INDEX_URL:-$extra}"
  export UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}"
}

install() {
  if .venv/bin/python -m uv --version >/dev/null 2>&1 || .venv/bin/python -m pip install -q uv 2>/dev/null; then
    .venv/bin/python -m uv pip install -q --python .venv/bin/python "$@"
  else
    .venv/bin/python -m pip install -q "$@"
  fi
}

install_packages() {
  local stamp
  stamp=$(cat requirements.lock constraints.txt pyproject.toml | cksum)
  [ "$(cat .venv/palate.stamp 2>/dev/null)" = "$stamp" ] && return
  use_pip_sources
  say "Installing torch $(sed -n 's/^torch==//p' constraints.txt) ..."
  install -r constraints.txt
  say "Installing everything else from requirements.lock ..."
  install --require-hashes --no-deps -r requirements.lock
  install --no-deps -e .
  say "torch $(.venv/bin/python -c 'import torch; print(torch.__version__, "with CUDA" if torch.cuda.is_available() else "on the CPU")')"
  printf '%s' "$stamp" > .venv/palate.stamp
}

find_browser() {
  local name
  for name in "${PALATE_CHROMIUM:-}" chromium chromium-browser google-chrome; do
    [ -n "$name" ] && command -v "$name" >/dev/null 2>&1 && return
  done
  [ -d "/Applications/Google Chrome.app" ] && return
  say "Installing Chromium for the browser tests ..."
  as_root_apt chromium fonts-noto-core fonts-noto-cjk && return
  .venv/bin/python -m playwright install chromium >/dev/null 2>&1 && return
  fail "the browser tests need Chromium and none was found; install it (Debian: apt install chromium) or name it in PALATE_CHROMIUM."
}

make_venv
install_packages
[ "${1:-}" = "--test" ] && find_browser
exit 0
