"""Scores pictures for a run that is training; the reward stays loaded between such jobs."""

from __future__ import annotations

from typing import Any

from backend.rewards.interface import Learner, calls_made, checked, pays_a_judge
from workers import models
from workers.frame import JobFrame, run_job
from workers.remote_scorer import as_json
from workers.sheets import unpacked


def run(job_id: int, attempt: int) -> None:
    """Args: run_id, name, kind, config, pictures (media hash or None), prompts, groups or None."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """What the reward says of the pictures; without pictures, what it is."""
    args = frame.args
    scorer = models.reward(args["kind"], args["config"], args["run_id"])
    if args["pictures"] is None:
        learns, pays = isinstance(scorer, Learner), pays_a_judge(scorer)
        return {"shape": scorer.shape, "learns": learns, "pays": pays}
    before = calls_made(scorer)
    images = unpacked(frame.studio.media.read(args["pictures"], keep=False))
    said = checked(scorer, args["name"]).score(images, args["prompts"], args["groups"])
    return {"said": as_json(said), "calls": calls_made(scorer) - before}
