"""The `palate` command: what it says and its exit code, in a process of its own or in the test's.

A process imports for a second or more, so one is started where starting is the point.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from typer.testing import CliRunner

from backend.settings import settings
from tests.conftest import ROOT
from workers.cli import app


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def refused(ended: Answer, *words: str) -> None:
    """One sentence on standard error, exit code 1, no traceback."""
    assert ended.code == 1, ended
    assert "Traceback" not in ended.stderr and ended.stderr.startswith("palate: ")
    for word in words:
        assert word in ended.stderr


def palate(*words: str, home: Path, given: str | None = None, **environment: str) -> Answer:
    """What `palate <words>` answers to `given`; an error that nobody foresaw is raised."""
    ours = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: signal.getsignal(number) for number in ours}
    with mock.patch.dict(os.environ, {"PALATE_HOME": str(home), **environment}):
        done = CliRunner().invoke(app, words, input=given)
    settings.cache_clear()
    for number, handler in handlers.items():  # `palate up` takes them before it looks around
        signal.signal(number, handler)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Answer(done.exit_code, done.stdout, done.stderr)


def process(*words: str, home: Path, **environment: str) -> Answer:
    """The same from a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "workers.cli", *words],
        cwd=ROOT,
        env={**os.environ, "PALATE_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)
