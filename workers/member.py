"""One of the processes that share a run: `python -m workers.member <job> <attempt> <folder>`.

The first of them reads the store, writes the run's records and hears what people want; the others
follow. How each of them ended is left as a note in `folder` for the worker that started them.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from backend.errors import PalateError
from backend.rl.team import leave
from backend.services import jobs
from backend.types import CheckpointState, EvaluationRecord, IterationRecord, Orders, Wanted
from workers import models
from workers.frame import Interrupted, JobFrame, sentence
from workers.launch import INTERRUPTED, Notes
from workers.stop import STOP

log = logging.getLogger(__name__)

LOOK_S = 1.0


class Follower:
    """The control and the sink of every process but the first: it asks nobody, writes nothing."""

    def wanted(self) -> Wanted:
        """The first process's wish counts."""
        return "run"

    def orders(self, step: int) -> Orders:
        """The first process's count."""
        return Orders()

    def progress(self, done: int, total: int, message: str) -> None:
        """Told by the first process."""

    def iteration(self, record: IterationRecord) -> None:
        """Recorded by the first process."""

    def evaluation(self, record: EvaluationRecord) -> None:
        """Recorded by the first process."""

    def checkpoint(self, state: CheckpointState) -> None:
        """Kept by the first process."""

    def log(self, level: str, text: str, data: dict[str, Any] | None = None) -> None:
        """Said by the first process."""


def main(job_id: int, attempt: int, folder: Path) -> int:
    """Join the others, train, part; returns the exit code."""
    rank, notes = int(os.environ["RANK"]), Notes(folder)
    try:
        notes.end(rank, _train(job_id, attempt))
    except Interrupted:
        notes.end(rank, INTERRUPTED)
    except PalateError as error:
        notes.fail(rank, str(error), foreseen=True)
        return 1
    except Exception as error:
        log.exception("Process %d of job %d failed.", rank + 1, job_id)
        notes.fail(rank, sentence(error), foreseen=False)
        return 1
    return 0


def _train(job_id: int, attempt: int) -> dict[str, Any]:
    import torch

    from backend.rl.team import Accelerated
    from workers.jobs import train

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    team, studio, result = Accelerated(), models.studio(), {}
    if team.rank == 0:
        frame = JobFrame(studio, job_id, attempt, jobs.get(studio, job_id)["args"])
        result = train.trained(frame, team)
    else:
        train.followed(studio, team, Follower())
    team.close()
    return result


def _end_with_parent() -> None:
    """Whoever started this process watches over it; without that, it must not live on."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os._exit(1)


if __name__ == "__main__":
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    signal.signal(signal.SIGTERM, lambda _number, _frame: STOP.set())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    leave(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
