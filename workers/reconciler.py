"""Finds what a flushed Redis, a restarted one or a killed worker left behind, and queues it again.

The store is the truth: a job that is due there and in no queue is enqueued; a job that runs there but
has not been heard of for 12 s is abandoned, which makes it due in its next attempt. Both happen within
two rounds of 5 s, so a killed worker is noticed after at most 22 s. Several reconcilers may run at once:
claiming a job by number and attempt keeps it from being done twice.
"""

from __future__ import annotations

import logging
import threading
import time

import redis

from backend.services import jobs
from workers.queues import QUEUES, rq_queue
from workers.studio_worker import DEAD_S

log = logging.getLogger(__name__)

ROUND_S = 5.0


class Reconciler:
    """Compares the store with the queues; `round()` is one look."""

    def __init__(self, connection: redis.Redis) -> None:
        self.connection = connection
        self._missing: set[str] = set()
        self._looked_at = time.time()

    def round(self) -> None:
        """One look at both; what is missing from the queues twice running is enqueued again."""
        now = time.time()
        slept = now - self._looked_at > 2 * ROUND_S
        self._looked_at = now
        if slept:  # the machine was asleep: everybody's heartbeat looks old, so let them beat first
            return
        for job in jobs.abandon(DEAD_S):
            log.warning("Job %s was left by its worker; it is queued again.", job.id)
        queued = self._queued()
        due = {f"{job.id}-{job.attempt}": job for job in jobs.due()}
        missing = {key for key in due if key not in queued}
        for key in missing & self._missing:  # once may be a job on its way into or out of Redis
            log.warning("Job %s was due but in no queue; it is queued again.", due[key].id)
            jobs.enqueue(due[key])
        self._missing = missing

    def _queued(self) -> set[str]:
        return {key for name in QUEUES for key in rq_queue(name, self.connection).get_job_ids()}


def run(connection: redis.Redis, ended: threading.Event) -> None:
    """Look every 5 s until `ended`; a store or Redis that is away for a moment is only logged."""
    reconciler = Reconciler(connection)
    while not ended.wait(ROUND_S):
        try:
            reconciler.round()
        except Exception as error:  # noqa: BLE001 - it must outlive whatever Redis or the store says
            log.warning("The reconciler could not look: %s", error)
