"""Latents of a run's trees: kept by the trainer, decoded by the worker's job when somebody asks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from backend.errors import NotFound
from backend.rl.randomness import noises
from backend.rl.sampler import decode
from backend.services import jobs, latents, rollouts
from backend.services.studio import Studio
from tests import factory, tiny_runs
from tests.tiny_sd3 import load_tiny, tiny_sd3  # noqa: F401
from workers.frame import JobFrame
from workers.jobs import latents as job
from workers.sheets import read_latents

FORKS = {"group_size": 3, "fork_steps": [0, 1], "forks_per_prompt": 1}


def trained(services: Studio, project: int, tiny: Path, **changes: object) -> list[dict[str, Any]]:
    """The groups of a run of one update, in full."""
    config = tiny_runs.settings(tiny, "g2rpo", FORKS, num_steps=1, **changes)
    run = tiny_runs.finished(services, project, tiny, config)
    groups = rollouts.page(services, run)["groups"]
    return [rollouts.get(services, group["id"]) for group in groups]


def test_a_node_shows_the_latent_that_the_run_drew(
    services: Studio,
    tiny_sd3: Path,  # noqa: F811
) -> None:
    project = factory.project(services, num_prompts=1, per_prompt=0).project
    group, *others = trained(services, project, tiny_sd3)
    number = group["id"]
    inner = [node for node in group["nodes"] if node["kind"] != "leaf"]
    assert group["latents"] == {"nodes": [node["idx"] for node in inner], "url": None}

    asked = latents.ask(services, number)
    assert asked["url"] is None and asked["job_id"] is not None
    assert latents.ask(services, number)["job_id"] == asked["job_id"], "one job for all who ask"
    other = others[0]["id"]
    assert latents.ask(services, other)["job_id"] != asked["job_id"]

    claim = jobs.claim(services, asked["job_id"], 1, "here")
    assert claim is not None and claim.kind == "latents"
    done = job.work(JobFrame(services, claim.id, claim.attempt, claim.args))
    ready = latents.ask(services, number)
    assert ready["url"] == f"/media/{done['sheet']}" and ready["job_id"] is None
    again = rollouts.get(services, number)
    assert again["latents"] == {"nodes": [node["idx"] for node in inner], "url": ready["url"]}
    assert "latents" not in again["detail"], "the file is nobody's business"

    model = load_tiny(tiny_sd3)
    kept = read_latents(services.media.read(latents.kept(services, number).file))
    assert list(kept) == again["latents"]["nodes"]
    root = next(node for node in inner if node["parent"] is None)
    noise = noises([int(root["seed"])], model.latent_shape, torch.device("cpu"))[0]
    assert np.array_equal(kept[root["idx"]], noise.half().numpy()), "what its seed draws"
    with Image.open(io.BytesIO(services.media.read(done["sheet"]))) as strip:
        sheet = np.asarray(strip)
    pictures = decode(model, torch.stack([torch.from_numpy(x).float() for x in kept.values()]))
    assert np.array_equal(sheet, np.concatenate(list(pictures), axis=1))


def test_what_is_kept_is_bounded_and_the_nodes_nearest_to_the_root_come_first(
    services: Studio,
    tiny_sd3: Path,  # noqa: F811
) -> None:
    project = factory.project(services, num_prompts=1, per_prompt=0).project
    each = 2 * int(np.prod(load_tiny(tiny_sd3).latent_shape)) / 1e6
    groups = trained(services, project, tiny_sd3, record_latents=2.5 * each)
    kept = [(one, idx) for one in groups for idx in (one["latents"] or {}).get("nodes", [])]
    steps = [next(n["step"] for n in one["nodes"] if n["idx"] == idx) for one, idx in kept]
    assert len(kept) == 2 and steps == [0, 0], "the roots of both prompts"

    none = trained(services, project, tiny_sd3, record_latents=0)[0]["id"]
    assert rollouts.get(services, none)["latents"] is None
    with pytest.raises(NotFound, match="record_latents"):
        latents.ask(services, none)
