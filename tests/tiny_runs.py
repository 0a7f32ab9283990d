"""Real runs of a tiny random model, written into a store: what every method's pages have to show.

A run takes about a second. It is not enqueued, so the workers of a running studio leave it alone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from backend.rewards.interface import Scores
from backend.rl.collect import Data, Pairs
from backend.rl.loop import train
from backend.rl.recipe import RunConfig, learns_from_pairs
from backend.services import policies, records
from backend.services.records import Sheets
from backend.services.studio import Studio
from backend.types import CheckpointState, EvaluationRecord, IterationRecord, Orders, Wanted
from db.tables import Run
from tests.tiny_sd3 import PROMPTS, load_tiny
from workers.sheets import latents, strip


class Shade:
    """Brightness: any function of the pixels will do."""

    shape = "pointwise"

    def score(self, images: np.ndarray, prompts: list[str]) -> Scores:
        """Mean of each picture."""
        return Scores.of(images.mean(axis=(1, 2, 3), dtype=np.float64) / 255)


class _Desk:
    """Sink and control of a run without a job."""

    def __init__(self, studio: Studio, run_id: int) -> None:
        self.studio, self.run_id = studio, run_id

    def iteration(self, record: IterationRecord) -> None:
        sheets = [
            Sheets(
                self._put(group.images),
                self._put(group.trunk) if group.trunk is not None else None,
                self.studio.media.put(latents(group.latents)) if group.latents else None,
            )
            for group in record.groups
        ]
        records.iteration(self.studio, self.run_id, record, sheets)

    def evaluation(self, record: EvaluationRecord) -> None:
        records.evaluation(self.studio, self.run_id, record, [])

    def checkpoint(self, state: CheckpointState) -> None:
        pass

    def log(self, level: str, text: str, data: dict[str, Any] | None = None) -> None:
        records.say(self.studio, self.run_id, level, text, data)

    def wanted(self) -> Wanted:
        return "run"

    def orders(self, step: int) -> Orders:
        return Orders()

    def progress(self, done: int, total: int, message: str) -> None:
        pass

    def _put(self, pictures: Any) -> str:
        return self.studio.media.put(strip(pictures))


def settings(tiny: Path, method: str, given: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A run of two updates on two prompts."""
    reward = {"name": "shade", "kind": "brightness"}
    offline = given.get("source") == "labels" or (method == "flow-dpo" and "source" not in given)
    return {
        "method": {"name": method, "settings": given},
        "policy": {"family": "sd3", "config": {"weights": str(tiny)}},
        "rewards": [] if offline else [reward],
        "watch": [reward] if offline else [],
        "sampling": {"num_steps": 6, "prompts_per_step": 2},
        "optim": {"lr": 1e-3, "lora_rank": 2, "lora_targets": ["to_q"]},
        "evaluation": {"every": 1, "num_prompts": 4, "fixed_prompts": 0},
        "compose": {"floor": 0.0},
        "num_steps": 2,
        "record_groups": 8,
        "prompt_set": "train",
        "heldout_set": "heldout",
        **more,
    }


def finished(
    studio: Studio,
    project: int,
    tiny: Path,
    config: dict[str, Any],
    rewards: Mapping[str, Any] | None = None,
) -> int:
    """Train on the spot, every reward being `Shade` or that of its name in `rewards`; returns the
    id of the run, which is done."""
    read = RunConfig.read(config)
    now = time.time()
    family = read.policy.family, read.policy.config
    base = policies.create(studio, project, f"tiny {now:.6f}", *family)
    with studio.write() as session:
        row = Run(
            project_id=project,
            name=f"tiny {read.method.name}",
            status="running",
            config=read.plain(),
            seed=read.seed,
            code_version="test",
            policy_id=base["id"],
            num_steps=read.num_steps,
            created_at=now,
            started_at=now,
        )
        session.add(row)
        session.flush()
        run_id = row.id
    pictures = np.random.default_rng(0).integers(0, 255, (2, 4, 16, 16, 3), dtype=np.uint8)
    pairs = Pairs(PROMPTS, *pictures) if learns_from_pairs(read) else None
    desk = _Desk(studio, run_id)
    train(
        read,
        policy=load_tiny(tiny),
        rewards={
            term.name: (rewards or {}).get(term.name) or Shade()
            for term in [*read.rewards, *read.watch]
        },
        data=Data(PROMPTS, PROMPTS, pairs),
        sink=desk,
        control=desk,
    )
    with studio.write() as session:
        ended = session.get(Run, run_id)
        assert ended is not None
        ended.status, ended.step, ended.ended_at = "done", read.num_steps, time.time()
    return run_id
