"""Loads a reward and asks it about the newest samples, so that it is known to work before a run."""

from __future__ import annotations

import math
from typing import Any

from backend.rewards._start import ANCHORS, start_check
from backend.rewards.interface import Checked, Images, checked
from backend.services import samples
from workers import models
from workers.frame import JobFrame, run_job
from workers.sheets import stack


def run(job_id: int, attempt: int) -> None:
    """Args: project_id, name, kind, config, limit, key."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """{values, reason, compares, cheated}: raw, newest sample first, None where it had none."""
    studio, args = frame.studio, frame.args
    scorer = checked(models.reward(args["kind"], args["config"]), args["name"])
    if scorer.shape != "pointwise":
        return {"values": [], "reason": "", "compares": True}
    files = samples.files(studio, args["project_id"], limit=args["limit"])
    if not files:
        return {"values": [], "reason": "", "compares": False}
    images = stack([studio.media.read(file.media) for file in files])
    prompts = [file.prompt for file in files]
    said = scorer.score(images, prompts)
    reasons = said.reasons or []
    return {
        "values": [float(value) if math.isfinite(value) else None for value in said.values],
        "reason": next((reason for reason in reasons if reason), ""),
        "compares": False,
        "cheated": _cheated(scorer, images[:ANCHORS], prompts[:ANCHORS]),
    }


def _cheated(scorer: Checked, images: Images, prompts: list[str]) -> str:
    """What it says of trivial pictures beside the newest samples, where that is telling."""
    found = start_check(scorer, images, prompts)
    return " ".join(check.text for check in found if check.name != "anchors" and not check.passed)
