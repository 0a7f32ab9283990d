"""Decodes the latents that were kept of a group's nodes into one strip."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from backend.services import latents
from workers import models
from workers.frame import JobFrame, run_job
from workers.sheets import read_latents, strip


def run(job_id: int, attempt: int) -> None:
    """Args: group_id."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """{sheet}: tiles in the order of the nodes."""
    from backend.rl.sampler import decode

    studio, group_id = frame.studio, frame.args["group_id"]
    kept = latents.kept(studio, group_id)
    model = models.policy(kept.policy.family, kept.policy.config, kept.policy.adapter)
    found = read_latents(studio.media.read(kept.file))
    x = torch.from_numpy(np.stack(list(found.values())).astype(np.float32)).to(model.device)
    sheet = studio.media.put(strip(decode(model, x)))
    latents.decoded(studio, group_id, sheet)
    return {"sheet": sheet, "nodes": len(found)}
