"""Which code is running: stored with every run, so that it can be made again."""

from __future__ import annotations

import functools
import importlib.metadata
import subprocess

from backend.settings import ROOT


@functools.cache
def code_version() -> str:
    """The commit, with "+changes" when files differ from it; the package's version without git."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        pass
    try:
        return importlib.metadata.version("palate")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()
