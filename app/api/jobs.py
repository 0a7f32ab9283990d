"""Jobs and the workers that do them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.api.deps import Limit, StudioDep, UserDep
from backend.services import jobs, workers

router = APIRouter(tags=["jobs"])


@router.get("/jobs")
def list_jobs(studio: StudioDep, _user: UserDep, limit: Limit = 50) -> list[dict[str, Any]]:
    """The latest jobs, newest first."""
    return jobs.recent(studio, limit)


@router.get("/jobs/{job_id}")
def read_job(job_id: int, studio: StudioDep, _user: UserDep) -> dict[str, Any]:
    """One job: how far it is, what it said, how it ended."""
    return jobs.get(studio, job_id)


@router.post("/jobs/{job_id}/stop")
def stop_job(job_id: int, studio: StudioDep, _user: UserDep) -> dict[str, Any]:
    """Ask a job to stop at its next step; one that waits stops at once."""
    return jobs.want(studio, job_id, "stop")


@router.get("/workers")
def list_workers(studio: StudioDep, _user: UserDep) -> list[dict[str, Any]]:
    """Workers as they last reported themselves."""
    return workers.rows(studio)
