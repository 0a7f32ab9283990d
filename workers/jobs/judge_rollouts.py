"""Asks a reward that a run was not trained on about its recorded rollouts."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from backend.errors import InputError
from backend.rewards.interface import checked
from backend.services import rollout_judging
from backend.services.rollout_judging import Waiting
from backend.services.studio import Studio
from backend.types import Pictures
from workers import models
from workers.frame import JobFrame, run_job


def run(job_id: int, attempt: int) -> None:
    """Args: run_id, name, kind, config (of the reward), limit (groups)."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """Group by group; those that are judged already are left as they are."""
    studio, args = frame.studio, frame.args
    scorer = checked(models.reward(args["kind"], args["config"]), args["name"])
    if scorer.shape == "pairwise":
        raise InputError(
            f"'{args['name']}' compares two pictures and has no value for one; choose a reward "
            "that scores single pictures."
        )
    groups = rollout_judging.waiting(studio, args["run_id"], args["name"], args["limit"])
    for done, group in enumerate(groups, start=1):
        images = _tiles(studio, group)
        said = scorer.score(images, [group.prompt] * len(images))
        values = [float(value) if math.isfinite(value) else None for value in said.values]
        idx = [number for number, _tile in group.leaves]
        rollout_judging.record(studio, group.group_id, args["name"], values, list(said.status), idx)
        frame.step(done, len(groups), f"{done} of {len(groups)} groups judged")
    return {"groups": len(groups), "missing": scorer.num_missing}


def _tiles(studio: Studio, group: Waiting) -> Pictures:
    """The leaves' pictures, cut from the strip: (L, h, w, 3)."""
    from PIL import Image

    with Image.open(io.BytesIO(studio.media.read(group.sheet))) as strip:
        pixels = np.asarray(strip.convert("RGB"))
    width = pixels.shape[1] // group.num_tiles
    return np.stack([pixels[:, tile * width : (tile + 1) * width] for _idx, tile in group.leaves])
