"""Looking at processes without a package: who is whose child, and who still lives."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from typing import Any


def table() -> dict[int, tuple[int, str, str]]:
    """pid → (parent, state, command) of everything that runs."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 3) for line in listed.stdout.splitlines()]
    return {int(r[0]): (int(r[1]), r[2], r[3] if len(r) > 3 else "") for r in rows}


def descendants(root: int) -> dict[int, str]:
    """pid → command of everything that `root` has started, directly or not."""
    rows, found, waiting = table(), {}, [root]
    while waiting:
        parent = waiting.pop()
        for pid, (its_parent, _state, command) in rows.items():
            if its_parent == parent and pid not in found:
                found[pid] = command
                waiting.append(pid)
    return found


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    row = table().get(pid)
    return row is not None and not row[1].startswith("Z")


def wait_until(seconds: float, holds: Callable[[], Any], what: str) -> None:
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        time.sleep(0.05)
