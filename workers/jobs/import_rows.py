"""Imports an uploaded file of labels or pairs, row by row; broken off, it goes on behind them."""

from __future__ import annotations

from typing import Any

from backend.services import imports, jobs, sources
from backend.services.imports import How, Report
from workers.frame import JobFrame, run_job


def run(job_id: int, attempt: int) -> None:
    """Args: project_id, upload (among the media), what, format, filename, annotator,
    study_id."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """The result is the report: counts, and the rows that could not be read."""
    studio, args = frame.studio, frame.args
    before = jobs.get(studio, frame.job_id)["result"]
    report = Report(**before) if before else Report()

    def say(report: Report, share: float) -> None:
        jobs.note(studio, frame.job_id, frame.attempt, report.plain())
        frame.step(int(1_000 * share), 1_000, report.sentence())

    how = How(args["what"], args["format"], args["annotator"], args.get("study_id"))
    path = studio.media.local_path(args["upload"])
    with sources.opened(path, name=args["filename"] or "the file") as parts:
        imports.bring(studio, args["project_id"], parts, how, report=report, say=say)
    imports.tidy(studio, over=frame.job_id)
    return report.plain()
