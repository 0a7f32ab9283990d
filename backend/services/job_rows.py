"""Jobs as they are looked at: one, those that wait, those whose worker is silent. Nothing here
changes one."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from backend.errors import NotFound
from backend.services.studio import Studio
from db.tables import Job


def get(studio: Studio, job_id: int) -> dict[str, Any]:
    """One job."""
    with studio.read() as session:
        return row_of(find(session, job_id))


def due(studio: Studio) -> list[dict[str, Any]]:
    """Jobs that wait for a worker, oldest first."""
    with studio.read() as session:
        found = session.scalars(select(Job).where(Job.status == "due").order_by(Job.id))
        return [row_of(job) for job in found]


def abandoned(studio: Studio, dead_s: float = 20.0) -> list[dict[str, Any]]:
    """Jobs said to run whose worker has not been heard of for `dead_s` seconds."""
    limit = time.time() - dead_s
    with studio.read() as session:
        found = session.scalars(
            select(Job)
            .where(
                Job.status == "running", or_(Job.heartbeat_at < limit, Job.heartbeat_at.is_(None))
            )
            .order_by(Job.id)
        )
        return [row_of(job) for job in found]


def recent(studio: Studio, limit: int = 50) -> list[dict[str, Any]]:
    """The latest jobs, newest first."""
    with studio.read() as session:
        found = session.scalars(select(Job).order_by(Job.id.desc()).limit(limit))
        return [row_of(job) for job in found]


def ordered_by(studio: Studio, run_id: int, kind: str) -> list[dict[str, Any]]:
    """Jobs of a kind that a run has ordered for itself."""
    with studio.read() as session:
        found = session.scalars(select(Job).where(Job.kind == kind).order_by(Job.id))
        return [row_of(job) for job in found if job.args.get("run_id") == run_id]


def of_kind(studio: Studio, kind: str, limit: int = 200) -> list[dict[str, Any]]:
    """The latest jobs of a kind, newest first."""
    with studio.read() as session:
        found = session.scalars(
            select(Job).where(Job.kind == kind).order_by(Job.id.desc()).limit(limit)
        )
        return [row_of(job) for job in found]


def find(session: Session, job_id: int, *, lock: bool = False) -> Job:
    """The row of a job, or NotFound."""
    job = session.get(Job, job_id, with_for_update=lock)
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    return job


def row_of(job: Job) -> dict[str, Any]:
    """A job as routes and workers are told of it."""
    return {
        "id": job.id,
        "kind": job.kind,
        "queue": job.queue,
        "args": job.args,
        "status": job.status,
        "wanted": job.wanted,
        "progress": job.progress,
        "message": job.message,
        "result": job.result,
        "error": job.error,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "priority": job.priority,
        "worker": job.worker,
        "heartbeat_at": job.heartbeat_at,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
    }
