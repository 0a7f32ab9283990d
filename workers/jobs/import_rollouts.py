"""Imports uploaded rollouts of another trainer; begun again, it adds nothing twice."""

from __future__ import annotations

from typing import Any

from backend.services import imports, jobs, rollout_imports, sources
from backend.services.rollout_imports import Report
from workers.frame import JobFrame, run_job


def run(job_id: int, attempt: int) -> None:
    """Args: project_id, name (of the run), upload (among the media), filename."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """The result is the report: counts, the run, and the rows that could not be read."""
    studio, args = frame.studio, frame.args

    def say(report: Report, share: float) -> None:
        jobs.note(studio, frame.job_id, frame.attempt, report.plain())
        frame.step(int(1_000 * share), 1_000, report.sentence())

    path = studio.media.local_path(args["upload"])
    with sources.opened(path, name=args["filename"] or "the file") as parts:
        done = rollout_imports.bring(studio, args["project_id"], args["name"], parts, say=say)
    imports.tidy(studio, over=frame.job_id)
    return done.plain()
