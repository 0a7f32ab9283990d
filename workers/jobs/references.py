"""Keeps samples as the references that an adversarial reward holds a policy's pictures against."""

from __future__ import annotations

from typing import Any

from backend.errors import InputError
from backend.rewards import _references
from backend.services import samples
from workers.frame import JobFrame, run_job
from workers.sheets import stack


def run(job_id: int, attempt: int) -> None:
    """Args: project_id, policy_id (or None for all), limit (or None)."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """One file of pictures and their prompts; its hash is the result."""
    studio, args = frame.studio, frame.args
    where = {"policy_id": args["policy_id"], "limit": args["limit"]}
    files = samples.files(studio, args["project_id"], **where)
    if not files:
        raise InputError(
            "There are no samples to serve as references; draw some, or import pictures first."
        )
    pictures = stack([studio.media.read(file.media) for file in files])
    name = studio.media.put(_references.pack(pictures, [file.prompt for file in files]))
    return {"references": name, "samples": len(files)}
