"""Scores stored samples with one reward; what it cannot judge is stored as missing, with the
reason.
"""

from __future__ import annotations

from typing import Any

from backend.errors import InputError
from backend.rewards.interface import checked
from backend.services import reward_sets, rewards, samples
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
        rewards.record_scores(studio, reward["id"], reward_sets.rows_of(part, said), version)
        done = start + len(part)
        frame.step(done, len(files), f"{done} of {len(files)} samples scored")
    return {"samples": len(files), "missing": scorer.num_missing}
