"""Finds what a flushed Redis, a restarted one or a killed worker left behind, and queues it again.

The store is the truth: a job that is due there and in no queue is enqueued; a job that runs there
but has not been heard of for 12 s is abandoned, which makes it due in its next attempt. A killed
worker of this machine is noticed within 5 s, one of another machine within 17 s. Several
reconcilers may run at once: claiming a job by number and attempt keeps it from being done twice.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time

import redis
from rq.exceptions import NoSuchJobError

from backend.services import jobs
from backend.services.studio import Studio
from backend.services.tickets import key_of
from workers.queues import BEAT_S, DEAD_S, QUEUES, SERIALIZER, StudioJob, is_dead_child, rq_queue

log = logging.getLogger(__name__)

ROUND_S = 5.0
SLEPT_S = DEAD_S - BEAT_S
"""A machine that stood still for so long between two looks makes living workers look dead."""


class Reconciler:
    """Compares the store with the queues; `round()` is one look."""

    def __init__(self, studio: Studio, connection: redis.Redis, mark: str = "") -> None:
        self.studio, self.connection, self.mark = studio, connection, mark
        self._missing: set[str] | None = None
        self._looked_at = time.time()
        self._waited = False

    def round(self) -> None:
        """One look at both. The first one enqueues what an earlier studio left due at once."""
        now = time.time()
        slept = now - self._looked_at > SLEPT_S and not self._waited
        self._looked_at, self._waited = now, slept
        if slept:  # the machine was asleep: everybody's heartbeat looks old, so let them beat first
            return
        for job in jobs.abandoned(self.studio, 0.0):
            silent_s = now - (job["heartbeat_at"] or 0.0)
            if silent_s < DEAD_S and not is_dead_child(job["worker"] or "", self.mark):
                continue
            status = jobs.release(self.studio, job["id"], job["attempt"])
            log.warning("Job %s was left by its worker; it is %s.", job["id"], status)
        self._enqueue_missing()

    def _enqueue_missing(self) -> None:
        waiting = jobs.due(self.studio)
        names = {*QUEUES, *(job["queue"] for job in waiting)}
        queued = {key for name in names for key in rq_queue(name, self.connection).get_job_ids()}
        due = {key_of(job["id"], job["attempt"] + 1): job["id"] for job in waiting}
        missing = {key for key in due if key not in queued}
        # Missing once may be a job on its way into or out of Redis; twice running it is lost.
        lost = missing if self._missing is None else missing & self._missing
        for key in sorted(lost):
            log.warning("Job %s was due but in no queue; it is queued again.", key)
            self._forget(key)
            jobs.enqueue(self.studio, due[key])
        self._missing = missing

    def _forget(self, key: str) -> None:
        """Remove what Redis still has of a job that a worker took and never began."""
        with contextlib.suppress(NoSuchJobError):
            StudioJob.fetch(key, connection=self.connection, serializer=SERIALIZER).delete()


def run(studio: Studio, connection: redis.Redis, ended: threading.Event, mark: str = "") -> None:
    """Look every 5 s until `ended`; a store or Redis that is away for a moment is only logged."""
    reconciler = Reconciler(studio, connection, mark)
    while True:
        try:
            reconciler.round()
        except Exception as error:  # noqa: BLE001 - it must outlive whatever Redis or the store says
            log.warning("The reconciler could not look: %s", error)
        if ended.wait(ROUND_S):
            return
