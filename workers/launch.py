"""Several processes for one run: starts them, watches them, and ends them together.

    train worker, which has the job ─┬─ workers.member, rank 0: writes records, hears wishes
                                     ├─ workers.member, rank 1
                                     └─ ...

The worker only waits, so a process that is killed, or aborted by nccl, takes neither the worker nor
the store's view of the job with it. Each stands under a watchdog of its own: `kill -9` of the
worker ends them all. They meet on loopback, at a port that this process holds open for them. With
`PALATE_ACCELERATE_CONFIG` set, `accelerate launch` starts them as that file says (FSDP).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.errors import EnvironmentProblem, PalateError
from backend.settings import ROOT
from workers import watchdog
from workers.frame import Interrupted, JobFrame
from workers.stop import STOP

LAST_WORDS_S = 15.0
"""When one process has ended, the others have this long: they may be writing a checkpoint."""
LOOK_S = 0.1
INTERRUPTED = {"ended": "interrupted"}
"""The first process's result when it was stopped in the middle of an update."""


def run(frame: JobFrame, num: int) -> dict[str, Any]:
    """Train the job's run with `num` processes; what the first of them returned.

    Raises Interrupted when they were ended in the middle of an update.
    """
    with tempfile.TemporaryDirectory(prefix="palate-run-") as folder:
        numbers = [str(frame.job_id), str(frame.attempt)]
        command = [sys.executable, "-m", "workers.member", *numbers, folder]
        config = frame.studio.settings.accelerate_config
        crew = Crew.through_accelerate(command, num, Path(config)) if config else Crew(command, num)
        try:
            _wait(crew, frame)
            codes = crew.codes()
        finally:
            crew.kill()
        notes = Notes(Path(folder))
        result = notes.result()
        if result == INTERRUPTED or (result is None and (STOP.is_set() or frame.is_lost)):
            raise Interrupted
        if result is None:
            raise PalateError(notes.problem(codes))
        return result


class Crew:
    """Processes that were started together, each under a watchdog."""

    def __init__(self, command: Sequence[str], num: int) -> None:
        """One process a rank, in the environment that accelerate reads."""
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        # Held open by this process, so that no port is free for a moment and then taken.
        self._meeting = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        place = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(self._meeting.port),
            "TORCHELASTIC_USE_AGENT_STORE": "True",
            "TORCHELASTIC_RESTART_COUNT": "0",
            "WORLD_SIZE": str(num),
            "LOCAL_WORLD_SIZE": str(num),
        }
        self.members = [
            _start(command, num, place | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
            for rank in range(num)
        ]

    @classmethod
    def through_accelerate(cls, command: Sequence[str], num: int, config: Path) -> Crew:
        """`accelerate launch` with that configuration; the number of processes is the run's."""
        config = config.expanduser()
        if not config.is_file():
            raise EnvironmentProblem(
                f"PALATE_ACCELERATE_CONFIG is {config}, and there is no such file; write it with "
                "'accelerate config', or unset it."
            )
        launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file"]
        options = ["--num_processes", str(num), "--main_process_port", "0"]
        crew = cls.__new__(cls)
        crew.members = [_start([*launcher, str(config), *options, *command[1:]], num, {})]
        return crew

    def is_whole(self) -> bool:
        """Whether every process still runs."""
        return all(member.poll() is None for member in self.members)

    def is_running(self) -> bool:
        """Whether any process still runs."""
        return any(member.poll() is None for member in self.members)

    def codes(self) -> list[int | None]:
        """Exit codes by rank; 128 and more: killed by that signal."""
        return [member.poll() for member in self.members]

    def ask_to_end(self) -> None:
        """SIGTERM to all; whoever has not ended after the watchdogs' grace is killed."""
        for member in self.members:
            if member.stdin is not None:
                member.stdin.close()

    def kill(self) -> None:
        """End what still runs: asked twice, a watchdog kills."""
        while self.is_running():
            for member in self.members:
                if member.poll() is None:
                    member.terminate()
            time.sleep(LOOK_S)


@dataclass(frozen=True)
class Notes:
    """What the processes leave behind for the worker, each in a file of its own."""

    folder: Path

    def end(self, rank: int, result: dict[str, Any]) -> None:
        """A process did its part; the first one's result is the run's."""
        self._write(rank, {"result": result})

    def fail(self, rank: int, sentence: str, *, foreseen: bool) -> None:
        """A process could not go on."""
        self._write(rank, {"error": sentence, "foreseen": foreseen, "at": time.time()})

    def result(self) -> dict[str, Any] | None:
        """What the first process returned; None if it did not, or any process failed."""
        if any("error" in note for note in self._read().values()):
            return None
        return self._read().get(0, {}).get("result")

    def problem(self, codes: Sequence[int | None]) -> str:
        """Why they ended: a sentence of ours, or that one was killed, or what followed from it."""
        notes, num = self._read(), len(codes)
        failed = [note for note in notes.values() if "error" in note]
        failed.sort(key=lambda note: (not note["foreseen"], note["at"]))
        if failed and failed[0]["foreseen"]:
            return str(failed[0]["error"])
        for rank, code in enumerate(codes):
            if code and rank not in notes:
                how = f"was killed by signal {code - 128}" if code > 128 else f"ended with {code}"
                return (
                    f"Process {rank + 1} of the run's {num} {how}, and the others cannot go on "
                    "without it; see the worker's log, then resume the run from its last "
                    "checkpoint."
                )
        return str(failed[0]["error"]) if failed else "The run's processes ended without a word."

    def _write(self, rank: int, note: dict[str, Any]) -> None:
        partial = self.folder / f".{rank}.part"
        partial.write_text(json.dumps(note), encoding="utf-8")
        partial.replace(self.folder / f"{rank}.json")

    def _read(self) -> dict[int, dict[str, Any]]:
        files = self.folder.glob("*.json")
        return {int(path.stem): json.loads(path.read_text("utf-8")) for path in files}


def _start(command: Sequence[str], num: int, place: Mapping[str, str]) -> watchdog.Watched:
    import torch

    threads = max(1, torch.get_num_threads() // num)
    own = {
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONUNBUFFERED": "1",
        "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
    }
    return watchdog.spawn(command, env={**os.environ, **own, **place}, cwd=ROOT)


def _wait(crew: Crew, frame: JobFrame) -> None:
    """Until all have ended, or one has and the others had time for their last words."""
    ended_at = 0.0
    while crew.is_running():
        if STOP.is_set() or frame.is_lost:
            crew.ask_to_end()
        if not crew.is_whole():
            ended_at = ended_at or time.monotonic()
            if time.monotonic() - ended_at > LAST_WORDS_S:
                return
        time.sleep(LOOK_S)
