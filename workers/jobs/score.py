"""Scores stored samples with one reward; what it cannot judge is stored as missing, with the
reason.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from backend.errors import InputError
from backend.rewards.interface import Scores, checked
from backend.services import rewards, samples
from backend.services.rewards import ScoreRow
from backend.services.samples import SampleFile
from workers.frame import JobFrame, run_job
from workers.sheets import stack

BATCH = 64


def run(job_id: int, attempt: int) -> None:
    """Args: reward_id, project_id, policy_id (or None for all), limit (or None)."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """Score batch by batch; scoring a sample again replaces what was said of it."""
    studio, args = frame.studio, frame.args
    reward = rewards.get(studio, args["reward_id"])
    scorer = checked(rewards.load(studio, reward["id"]), reward["name"])
    version = rewards.version_of(reward)
    if scorer.shape == "pairwise":
        raise InputError(
            f"'{reward['name']}' compares two pictures and has no value for one; choose a reward "
            "that scores single pictures."
        )
    where = {"policy_id": args["policy_id"], "limit": args["limit"]}
    files = samples.files(studio, args["project_id"], **where)
    for start in range(0, len(files), BATCH):
        part = files[start : start + BATCH]
        images = stack([studio.media.read(file.media) for file in part])
        said = scorer.score(images, [file.prompt for file in part])
        rewards.record_scores(studio, reward["id"], _rows(part, said), version)
        done = start + len(part)
        frame.step(done, len(files), f"{done} of {len(files)} samples scored")
    return {"samples": len(files), "missing": scorer.num_missing}


def _rows(part: Sequence[SampleFile], said: Scores) -> list[ScoreRow]:
    reasons = said.reasons or [""] * len(part)
    rows = [
        ScoreRow(file.id, _or_none(value), status, reason)
        for file, value, status, reason in zip(part, said.values, said.status, reasons, strict=True)
    ]
    for name, values in said.parts.items():
        if name == rewards.TOTAL:
            continue
        rows += [
            ScoreRow(file.id, _or_none(value), "ok" if math.isfinite(value) else "n/a", "", name)
            for file, value in zip(part, values, strict=True)
        ]
    return rows


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
