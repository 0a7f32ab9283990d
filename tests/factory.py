"""Small real things for tests of the store and the API: prompts, pictures, pairs, runs with
records."""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from backend.services import pairs, policies, projects, prompts, records, runs, samples, users
from backend.services.labels import NewLabel
from backend.services.samples import NewSample
from backend.services.studio import Studio
from backend.types import EvaluationRecord, GroupRecord, IterationRecord, NodeRecord

_numbers = itertools.count()


@dataclass
class Made:
    """Ids of a small project."""

    project: int
    user: int
    policy: int
    prompt_set: int
    prompt_ids: list[int]
    samples: list[int]
    pairs: list[int]


def png(number: int, side: int = 8) -> bytes:
    """A picture that differs for every number."""
    pixels = np.random.default_rng(number).integers(0, 255, (side, side, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def project(
    studio: Studio,
    *,
    num_prompts: int = 4,
    per_prompt: int = 4,
    pairs_per_prompt: int | None = None,
) -> Made:
    """A project with a train and a held-out set, a policy, pictures, and pairs to judge."""
    user = users.local(studio)["id"]
    project_id = projects.named(studio, "Test")["id"]
    texts = [f"prompt {number}" for number in range(num_prompts)]
    made = prompts.import_text(studio, project_id, "train", "train", "\n".join(texts))
    held = [f"held-out {number}" for number in range(4)]
    prompts.import_text(studio, project_id, "heldout", "heldout", "\n".join(held))
    policy = policies.create(studio, project_id, "pocket", "sd3", {"weights": "pocket"})["id"]
    prompt_ids = [prompt_id for prompt_id, _text in prompts.texts(studio, made["id"])]
    ids = draw(studio, project_id, policy, prompt_ids, per_prompt)
    queued = pairs.make(studio, project_id, ids, per_prompt=pairs_per_prompt) if ids else []
    return Made(project_id, user, policy, made["id"], prompt_ids, ids, queued)


def draw(
    studio: Studio, project_id: int, policy: int, prompt_ids: list[int], per_prompt: int
) -> list[int]:
    """Different pictures of every prompt."""
    drawn = [
        NewSample(prompt_id, seed, studio.media.put(png(next(_numbers))), 8, 8)
        for prompt_id in prompt_ids
        for seed in range(per_prompt)
    ]
    return samples.add(studio, project_id, policy, drawn)


def label(pair_id: int, choice: str = "left", client_id: str = "", left: str = "a") -> NewLabel:
    """A judgement that took two seconds."""
    return NewLabel(
        client_id or f"client-{next(_numbers)}", pair_id, choice, left, 1_700_000_000, 1_700_000_002
    )


def config(**changes: Any) -> dict[str, Any]:
    """The settings of a small run."""
    return {
        "method": {
            "name": "g2rpo",
            "settings": {"fork_steps": [0, 1], "group_size": 3, "strides": [1]},
        },
        "rewards": [{"name": "verifier", "kind": "pocket-verifier"}],
        "watch": [{"name": "saturation", "kind": "saturation"}],
        "sampling": {"num_steps": 4, "prompts_per_step": 2},
        "evaluation": {"num_prompts": 4, "every": 2},
        "prompt_set": "train",
        "heldout_set": "heldout",
        "num_steps": 4,
        **changes,
    }


def iteration(step: int, *, reward: float = 0.5, groups: int = 2) -> IterationRecord:
    """An iteration as the loop records it; the second group was skipped."""
    return IterationRecord(
        step=step,
        metrics={"reward/verifier": reward, "reward_se/verifier": 0.01, "groups_kept": 1.0},
        nfe=100,
        seconds={"sample": 1.0, "total": 2.0},
        groups=[_group(step, number) for number in range(groups)],
    )


def sheets(studio: Studio, record: IterationRecord) -> list[records.Sheets]:
    """The strips of an iteration's groups, stored."""
    return [
        records.Sheets(studio.media.put(_strip(record.step * 10 + number)), None)
        for number in range(len(record.groups))
    ]


def evaluation(step: int, gain: float = 0.0) -> EvaluationRecord:
    """A held-out evaluation."""
    metrics = {"heldout/verifier": 0.5 + gain, "gain/verifier": gain, "gain_se/verifier": 0.01}
    return EvaluationRecord(step=step, metrics=metrics, samples=[], nfe=40)


def trained_run(studio: Studio, made: Made, steps: int = 3) -> int:
    """A run with records of some steps, as a train job would have left it."""
    run_id = int(runs.create(studio, made.project, "small", config())["id"])
    samples_of = [
        {"prompt": "held-out 0", "seed": 1, "media": studio.media.put(png(7)), "rewards": {}}
    ]
    records.evaluation(studio, run_id, evaluation(0), samples_of)
    for step in range(1, steps + 1):
        record = iteration(step, reward=0.5 + step / 100)
        records.iteration(studio, run_id, record, sheets(studio, record))
    records.evaluation(studio, run_id, evaluation(steps, 0.1), samples_of)
    return run_id


def _group(step: int, number: int) -> GroupRecord:
    leaves = [_leaf(tile) for tile in range(3)]
    trunk = NodeRecord(idx=0, parent=None, kind="trunk", step=0, stride=1, sigma=1.0, seed=2**60)
    return GroupRecord(
        tree=0,
        prompt=f"prompt {number}",
        fork_step=number,
        mean=0.5 + number / 10 + step / 1000,
        spread=0.1 / (number + 1) + step / 1000,
        kept=number == 0,
        reason="" if number == 0 else "no spread",
        nodes=[trunk, *leaves],
        images=None,
        trunk=None,
        detail={"sigmas": [1.0, 0.0], "eta": np.float64(0.7), "odd": float("nan")},
    )


def _leaf(tile: int) -> NodeRecord:
    share = (-1.0, 0.0, 1.0)[tile]
    part = {"raw": 0.5, "shaped": 0.5, "z": share, "weight": 1.0, "share": share, "status": "ok"}
    return NodeRecord(
        idx=tile + 1,
        parent=0,
        kind="leaf",
        step=4,
        stride=1,
        sigma=0.0,
        advantage=share,
        rewards={"verifier": part},
        tile=tile,
    )


def _strip(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (8, 24, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()
