"""What every job has around it: claim, heartbeat, progress, stop, and an end written to the store.

A job is claimed by its number and attempt. When the reconciler gives it to somebody else (this
process was thought dead), the attempt moves on: then every write of ours is refused and the job
here ends at its next step. So the same job may be enqueued any number of times and is done once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, cast

from backend.errors import PalateError
from backend.services import jobs
from backend.services.studio import Studio
from backend.types import HALT, Wanted
from workers import models
from workers.queues import worker_name
from workers.stop import STOP

log = logging.getLogger(__name__)

ASK_S = 0.25
"""How often at most the store is asked what people want, and told how far the work is."""

_current: list[JobFrame] = []


class Interrupted(BaseException):
    """The job ends here without being done: people stopped it, or this process must end.

    Like KeyboardInterrupt it is no `Exception`, so that what takes an exception for a missing value
    lets it pass.
    """


class JobFrame:
    """A claimed job: how its work reports progress and hears what people want (a `Control`)."""

    def __init__(self, studio: Studio, job_id: int, attempt: int, args: dict[str, Any]) -> None:
        self.studio, self.job_id, self.attempt, self.args = studio, job_id, attempt, args
        self.is_lost = False
        self._asked_at = self._told_at = 0.0
        self._wanted = "run"
        self._lock = threading.Lock()

    def beat(self) -> None:
        """Tell the store that the job lives; learn whether it is still ours."""
        with self._lock:
            if not self.is_lost and not jobs.heartbeat(self.studio, self.job_id, self.attempt):
                log.warning("Job %s was given to another worker; ending it here.", self.job_id)
                self.is_lost = True

    def wanted(self) -> Wanted:
        """What people asked of the job; "pause" when this process must end or has lost the job."""
        wish = self.wish()
        return "stop" if wish == HALT else cast(Wanted, wish)

    def wish(self) -> str:
        """As `wanted`, and HALT where the job is not to finish what it is at."""
        if STOP.is_set() or self.is_lost:
            return "pause"
        now = time.monotonic()
        if now - self._asked_at > ASK_S:
            self._asked_at = now
            self._wanted = jobs.wanted(self.studio, self.job_id, self.attempt)
        return self._wanted

    def progress(self, done: int, total: int, message: str) -> None:
        """Say how far the work is; the last step is always written."""
        now = time.monotonic()
        if done >= total or now - self._told_at > ASK_S:
            self._told_at = now
            share = done / total if total else 0.0
            jobs.progress(self.studio, self.job_id, self.attempt, share, message)

    def step(self, done: int, total: int, message: str) -> None:
        """`progress`, and where a job without a loop of its own lets itself be stopped."""
        if self.wanted() != "run":
            raise Interrupted
        self.progress(done, total, message)


def current() -> JobFrame | None:
    """The job this process is at."""
    return _current[-1] if _current else None


def run_job(job_id: int, attempt: int, work: Callable[[JobFrame], dict[str, Any]]) -> None:
    """Claim the job, do `work` and write its end; nothing it raises leaves the process.

    `work` returns the job's result. A result with {"ended": "paused"} or {"ended": "stopped"} says
    that the work broke off because it was asked to, one with {"ended": "moved", "queue": ...} that
    it goes on with workers of another queue.
    """
    studio = models.studio()
    claimed = jobs.claim(studio, job_id, attempt, worker_name())
    if claimed is None:
        log.info("Job %s, attempt %s, is not to be done any more.", job_id, attempt)
        return
    frame = JobFrame(studio, job_id, attempt, claimed.args)
    _current.append(frame)
    try:
        _finish(frame, work(frame))
    except Interrupted:
        _finish(frame, {"ended": jobs.OBEYED.get(frame.wanted(), "stopped")})
    except PalateError as error:
        log.warning("Job %s ended with a problem: %s", job_id, error)
        jobs.fail(studio, job_id, attempt, str(error))
    except Exception as error:
        log.exception("Job %s failed.", job_id)
        jobs.fail(studio, job_id, attempt, sentence(error))
    finally:
        _current.remove(frame)


def sentence(error: BaseException) -> str:
    """Something a person can read about an error nobody foresaw."""
    text = str(error).strip() or "no message"
    return f"The work failed unexpectedly ({type(error).__name__}: {text})."


def _finish(frame: JobFrame, result: dict[str, Any]) -> None:
    studio, job_id, attempt = frame.studio, frame.job_id, frame.attempt
    ended = result.pop("ended", "done")
    if frame.is_lost:
        return
    if ended == "done":
        jobs.finish(studio, job_id, attempt, result)
    elif ended == "moved":
        jobs.hand_back(studio, job_id, attempt, result["queue"])
    elif ended == "paused" and jobs.wanted(studio, job_id, attempt) == "run":
        jobs.hand_back(studio, job_id, attempt)  # not people, but this process must end
    else:
        jobs.end(studio, job_id, attempt, ended)
