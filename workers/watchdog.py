"""A tiny parent for one long-running program, so that nothing outlives the studio.

`spawn(command)` starts this file as a script between the studio and the program. The script holds
the reading end of a pipe whose writing end only the studio has; when the studio ends, however it
ends, `kill -9` included, the pipe reports its end and the script stops the program. That works the
same on Linux and macOS, where a "die with your parent" signal does not exist.

Run as a script it uses the standard library alone and starts in about 15 ms (`python -I -S`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

GRACE_S = 8.0
"""Seconds between asking a program to end and ending it."""
CANNOT_RUN_HERE = 78
"""Exit code of a program that starting again would not help (EX_CONFIG)."""


class Watched(subprocess.Popen[bytes]):
    """A watchdog and the program under it. Even a watchdog that is killed leaves no orphan."""

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        self._told, telling = os.pipe()
        script = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(telling)]
        try:
            super().__init__(
                [*script, *command], stdin=subprocess.PIPE, pass_fds=(telling,), **options
            )
        finally:
            os.close(telling)

    def poll(self) -> int | None:
        """As Popen's; when the watchdog was killed, the program it cannot end any more is ended."""
        code = super().poll()
        if code is not None and self._told >= 0:
            number, self._told = self._told, -1
            pid = os.read(number, 32)
            os.close(number)
            if code < 0 and pid:
                _send(int(pid), signal.SIGKILL)
        return code


def spawn(
    command: Sequence[str | os.PathLike[str]],
    *,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    log: IO[bytes] | None = None,
) -> Watched:
    """Start `command` under a watchdog; keep the result, for when it is forgotten the program ends.

    A session of its own keeps Ctrl-C in the terminal away from it: the studio stops its parts in
    order.
    """
    words = [str(word) for word in command]
    return Watched(words, stdout=log, stderr=log, env=env, cwd=cwd, start_new_session=True)


def watch(telling: int, command: Sequence[str]) -> int:
    """Run `command` until it ends; a signal, or the end of standard input, asks it to end.

    Its process number is written to the file number `telling`, for when this process is killed: by
    itself, before it becomes the program, so that nothing of it ever runs without being known.
    Whoever has been asked and is asked again, or has not ended after `GRACE_S`, is killed. Whoever
    is asked before it has started is ended as soon as it has.
    """
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []
    asked = threading.Event()

    def stop(number: int, _frame: object) -> None:
        if child is None:
            early.append(number)
            return
        _send(child.pid, signal.SIGKILL if asked.is_set() else signal.SIGTERM)
        asked.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            preexec_fn=lambda: os.write(telling, str(os.getpid()).encode()),
        )
    except OSError as error:
        sys.stderr.write(f"Could not start {command[0]}: {error.strerror}.\n")
        return 127
    for number in early:
        stop(number, None)
    threading.Thread(target=_end_with_parent, args=(child.pid, asked), daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _end_with_parent(pid: int, asked: threading.Event) -> None:
    while os.read(0, 4096):  # blocks until the studio is gone
        pass
    asked.set()
    _send(pid, signal.SIGTERM)
    time.sleep(GRACE_S)  # the main thread ends this process as soon as the program does
    _send(pid, signal.SIGKILL)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    sys.exit(watch(int(sys.argv[1]), sys.argv[2:]))
