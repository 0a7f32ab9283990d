"""Jobs: the store says what is to be done; the queue only carries a job's id and attempt.

An attempt is a number that only rises. Every write of a worker says `where attempt = mine`, so a
worker that was given up for dead and wakes again changes nothing. Enqueueing twice is harmless:
only one claim of an attempt succeeds.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from backend.errors import Conflict, InputError
from backend.services import events, tickets
from backend.services.job_rows import abandoned as abandoned
from backend.services.job_rows import due as due
from backend.services.job_rows import find as find
from backend.services.job_rows import get as get
from backend.services.job_rows import of_kind as of_kind
from backend.services.job_rows import ordered_by as ordered_by
from backend.services.job_rows import recent as recent
from backend.services.job_rows import row_of
from backend.services.studio import Studio
from backend.types import HALT
from db.tables import Job, Run

log = logging.getLogger(__name__)

QUEUES = {
    "generate": "generate",
    "compare": "generate",
    "cells": "generate",
    "latents": "generate",
    "study": "generate",
    "untrained": "generate",
    "choose": "score",
    "score": "score",
    "score_set": "score",
    "edits": "score",
    "audit": "score",
    "look": "score",
    "glance": "score",
    "judge": "score",
    "simulate": "score",
    "learn": "score",
    "references": "score",
    "import_rows": "score",
    "import_rollouts": "score",
    "judge_rollouts": "score",
    "notify": "score",
    "probe": "train",
    "train": "train",
}
"""The queue of each kind of job."""
MAX_ATTEMPTS = {"train": 20, "judge": 5, "import_rows": 5, "import_rollouts": 5}
"""A run goes on from its last checkpoint, an import behind its last row, and pictures can be judged
again: dying workers cost them little."""
TAKEN = "Its answer was taken."
"""The message of a job that only its orderer knows, when it is over."""
OBEYED = {"stop": "stopped", HALT: "stopped", "pause": "paused"}
"""The status of a job that did as people wished."""
OVER = ("done", "failed", "stopped")
PROGRESS_TEXT = 500


@dataclass(frozen=True)
class Claim:
    """A job that this worker, and nobody else, now does."""

    id: int
    kind: str
    args: dict[str, Any]
    attempt: int
    wanted: str


def create(
    studio: Studio,
    kind: str,
    args: dict[str, Any],
    *,
    queue: str | None = None,
    max_attempts: int | None = None,
) -> int:
    """Write down a job as due and offer it to the queue; returns its id.

    With Redis away the job stays due, and the reconciler offers it again.
    """
    with studio.write() as session:
        job_id = add(session, kind, args, queue=queue, max_attempts=max_attempts).id
    enqueue(studio, job_id)
    return job_id


def add(
    session: Session,
    kind: str,
    args: dict[str, Any],
    *,
    queue: str | None = None,
    max_attempts: int | None = None,
) -> Job:
    """Write down a job in a transaction that is open; `enqueue` it after the commit."""
    if kind not in QUEUES:
        raise InputError(f"There is no kind of job '{kind}'; known: {', '.join(sorted(QUEUES))}.")
    job = Job(
        kind=kind,
        queue=queue or QUEUES[kind],
        args=args,
        max_attempts=max_attempts or MAX_ATTEMPTS.get(kind, 3),
    )
    session.add(job)
    session.flush()
    return job


def enqueue(studio: Studio, job_id: int, *, anew: bool = False) -> bool:
    """Offer a due job's next attempt to its queue; False when Redis cannot be reached.

    `anew` also takes back what was offered before, perhaps in another queue.
    """
    with studio.read() as session:
        job = find(session, job_id)
        kind, queue, attempt = job.kind, job.queue, job.attempt + 1
        if job.status != "due":
            return True
        order = waiting_order(session, queue)
    return tickets.offer(studio, kind, queue, (job_id, attempt), order, anew=anew)


def queue_at(kind: str, place: str) -> str:
    """The queue of a kind of job, or that of the one place which must do it."""
    return f"{QUEUES[kind]}{tickets.AT}{place}" if place else QUEUES[kind]


def waiting_order(session: Session, queue: str) -> list[str]:
    """Tickets of a queue's due jobs, the next one first; empty while nobody has set a priority."""
    found = session.execute(
        select(Job.id, Job.attempt, Job.priority)
        .where(Job.status == "due", Job.queue == queue)
        .order_by(Job.priority.desc(), Job.id)
    ).all()
    if not any(row.priority for row in found):
        return []
    return [tickets.key_of(row.id, row.attempt + 1) for row in found]


def claim(studio: Studio, job_id: int, attempt: int, worker: str) -> Claim | None:
    """Take an attempt of a due job; None when another worker has it or the job is over."""
    now = time.time()
    with studio.write() as session:
        taken = session.execute(
            update(Job)
            .where(Job.id == job_id, Job.attempt == attempt - 1, Job.status == "due")
            .values(
                status="running",
                attempt=attempt,
                worker=worker,
                started_at=now,
                ended_at=None,
                heartbeat_at=now,
                error="",
            )
            .returning(Job.kind, Job.args, Job.wanted)
        ).one_or_none()
        if taken is not None and taken[0] == "train":
            mirror(session, find(session, job_id))
    return None if taken is None else Claim(job_id, taken[0], taken[1], attempt, taken[2])


def heartbeat(studio: Studio, job_id: int, attempt: int) -> bool:
    """Say that the worker lives; False when the attempt is no longer this worker's."""
    return _mine(studio, job_id, attempt, heartbeat_at=time.time())


def progress(studio: Studio, job_id: int, attempt: int, share: float, message: str = "") -> str:
    """Say how far it is (0 to 1); returns what people want: run, pause or stop ("stop" when
    lost)."""
    values: dict[str, Any] = {"progress": min(max(share, 0.0), 1.0), "heartbeat_at": time.time()}
    if message:
        values["message"] = message[:PROGRESS_TEXT]
    if not _mine(studio, job_id, attempt, **values):
        return "stop"
    return wanted(studio, job_id, attempt)


def note(studio: Studio, job_id: int, attempt: int, result: dict[str, Any]) -> bool:
    """Write down what is done so far, for those who look on and for a later attempt; False when
    the attempt was lost."""
    return _mine(studio, job_id, attempt, result=result, heartbeat_at=time.time())


def wanted(studio: Studio, job_id: int, attempt: int) -> str:
    """What people want of this attempt: run, pause or stop; "stop" when it was given to another."""
    with studio.read() as session:
        found = session.scalar(
            select(Job.wanted).where(
                Job.id == job_id, Job.attempt == attempt, Job.status == "running"
            )
        )
    return found or "stop"


def finish(studio: Studio, job_id: int, attempt: int, result: dict[str, Any] | None = None) -> bool:
    """The job is done; False when the attempt was lost."""
    return _over(studio, job_id, attempt, "done", progress=1.0, result=result or {})


def fail(studio: Studio, job_id: int, attempt: int, error: str, *, retry: bool = False) -> bool:
    """The attempt failed with a sentence; `retry` makes the job due again while attempts are
    left."""
    with studio.write() as session:
        job = session.get(Job, job_id, with_for_update=True)
        if job is None or job.attempt != attempt or job.status != "running":
            return False
        again = retry and attempt < job.max_attempts and job.wanted == "run"
        job.status, job.error = ("due" if again else "failed"), error
        job.ended_at = None if again else time.time()
        mirror(session, job)
        events.write(
            session,
            error,
            job_id=job_id,
            run_id=job.args.get("run_id"),
            level="warning" if again else "error",
        )
    if again:
        enqueue(studio, job_id)
    return True


def end(studio: Studio, job_id: int, attempt: int, status: str) -> bool:
    """The job ended because people asked: `stopped` or `paused`."""
    if status not in ("stopped", "paused"):
        raise ValueError(f"A job ends stopped or paused, not {status!r}.")
    return _over(studio, job_id, attempt, status)


def want(studio: Studio, job_id: int, wish: str) -> dict[str, Any]:
    """Ask a job to stop or to pause; one that waits stops at once."""
    with studio.write() as session:
        job = find(session, job_id, lock=True)
        if job.status in OVER:
            raise Conflict(f"Job {job_id} is {job.status} already.")
        ask(session, job, wish)
        return row_of(job)


def ask(session: Session, job: Job, wish: str) -> None:
    """Put a wish on a job's row; what does not run yet obeys at once."""
    job.wanted = wish
    waits = job.status == "due" or (job.status == "paused" and wish in ("stop", HALT))
    if waits and wish in OBEYED:
        job.status, job.ended_at = OBEYED[wish], time.time()
    mirror(session, job)


def mirror(session: Session, job: Job) -> None:
    """A run shows the status of its train job, changed in the same transaction."""
    run = session.get(Run, job.args.get("run_id")) if job.kind == "train" else None
    if run is None or run.job_id != job.id:
        return
    run.wanted, run.error = job.wanted, job.error
    again = "crashed" if job.error else "waiting"
    status = again if job.status == "due" else job.status
    run.ended_at = job.ended_at if job.status in OVER else None
    if run.started_at is None and job.status == "running":
        run.started_at = job.started_at
    if run.status != status:
        run.status = status
        text, data = f"The run is {status}.", {"status": status, "wanted": job.wanted}
        events.write(session, text, run_id=run.id, kind="status", data=data)


def release(studio: Studio, job_id: int, attempt: int) -> str:
    """Take an abandoned attempt from its worker; returns due, failed, stopped, paused or lost."""
    with studio.write() as session:
        job = session.get(Job, job_id, with_for_update=True)
        if job is None or job.attempt != attempt or job.status != "running":
            return "lost"
        job.worker = None
        if job.wanted in OBEYED:
            job.status, job.ended_at = OBEYED[job.wanted], time.time()
        elif attempt >= job.max_attempts:
            job.status, job.ended_at = "failed", time.time()
            job.error = (
                f"Its worker died {attempt} times; look at the log, then start it again by hand."
            )
        else:
            job.status = "due"
            job.error = _died(session, job)
        status = job.status
        mirror(session, job)
        events.write(
            session,
            f"The worker of attempt {attempt} was lost; the job is {status}.",
            job_id=job_id,
            run_id=job.args.get("run_id"),
            level="warning",
        )
    if status == "due":
        enqueue(studio, job_id)
    return status


def hand_back(studio: Studio, job_id: int, attempt: int, queue: str = "") -> bool:
    """The worker was asked to end, or the next part is for workers of another `queue`: the job is
    due again, and this attempt is not held against it."""
    with studio.write() as session:
        job = session.get(Job, job_id, with_for_update=True)
        if job is None or job.attempt != attempt or job.status != "running":
            return False
        job.status, job.worker, job.max_attempts = "due", None, job.max_attempts + 1
        mirror(session, job)
        if queue:
            job.queue = queue
        else:
            events.write(
                session,
                "The studio was stopped; the job goes on when it starts again.",
                job_id=job_id,
                run_id=job.args.get("run_id"),
            )
    return enqueue(studio, job_id)


def forget(studio: Studio, job_id: int) -> None:
    """Empty a job whose answer was taken; a worker that is still at it changes nothing any more.

    Those emptied earlier are removed. The newest row stays, for SQLite would give its number again,
    and a worker that holds the old job would speak for the new one.
    """
    with studio.write() as session:
        job = find(session, job_id, lock=True)
        if job.status not in OVER:
            job.status, job.ended_at = "stopped", time.time()
        job.args, job.result, job.message = {}, {}, TAKEN
        older = (Job.kind == job.kind, Job.message == TAKEN, Job.id < job_id)
        session.execute(delete(Job).where(*older))


def _died(session: Session, job: Job) -> str:
    """What is known of an attempt whose worker was lost, for those who look before the next one."""
    run_id = job.args.get("run_id")
    last = events.last_words(session, run_id) if run_id else job.message
    if not last:
        return f"The worker of attempt {job.attempt} died. It goes on when a worker is free."
    return (
        f"The worker of attempt {job.attempt} died. Its last words: {last.rstrip('.')}. It goes on "
        "when a worker is free."
    )


def _over(studio: Studio, job_id: int, attempt: int, status: str, **values: Any) -> bool:
    with studio.write() as session:
        job = session.get(Job, job_id, with_for_update=True)
        if job is None or job.attempt != attempt or job.status != "running":
            return False
        job.status, job.ended_at = status, time.time()
        for name, value in values.items():
            setattr(job, name, value)
        mirror(session, job)
    return True


def _mine(studio: Studio, job_id: int, attempt: int, **values: Any) -> bool:
    with studio.write() as session:
        changed = session.execute(
            update(Job)
            .where(Job.id == job_id, Job.attempt == attempt, Job.status == "running")
            .values(**values)
            .returning(Job.id)
        )
        return changed.one_or_none() is not None
