"""Growing an update in parts, scored as the next one grows, changes nothing of what comes of it."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backend.rewards.interface import Scores
from backend.rl.collect import Data
from backend.rl.loop import train
from backend.rl.recipe import RunConfig
from backend.types import CheckpointState, Orders
from tests.tiny_sd3 import PROMPTS, load_tiny

METHODS = {
    "g2rpo": {"group_size": 3, "fork_steps": [0, 1], "forks_per_prompt": 1, "strides": [1, 2]}
    | {"step_weight": "noise"},  # trees that stand alone fork at one step, all together at two
    "diffusion-nft": {"group_size": 3, "times": 2},
}
WAYS: dict[str, dict[str, Any]] = {
    "all at once": {"trees_at_once": 0, "overlap": False},
    "one tree at a time, overlapped": {"trees_at_once": 1, "overlap": True},
    "in parts of unequal size": {"trees_at_once": 3, "overlap": False},
}


@dataclass
class Shade:
    """Brightness, but pictures of some shades cannot be judged, whatever their company."""

    fails_below: float = -1.0
    shape: str = "pointwise"
    threads: set[str] = field(default_factory=set)

    def score(self, images: np.ndarray, prompts: list[str]) -> Scores:
        self.threads.add(threading.current_thread().name)
        values = images.mean(axis=(1, 2, 3), dtype=np.float64)
        last_digit = images.sum(axis=(1, 2, 3), dtype=np.int64) % 10
        return Scores.of(np.where(last_digit / 10 < self.fails_below, np.nan, values))


@dataclass
class Notes:
    """A sink that keeps what must be equal, and a control that asks for nothing."""

    kept: list[Any] = field(default_factory=list)
    last: CheckpointState | None = None

    def iteration(self, record: Any) -> None:
        nodes = [[(n.advantage, n.ratio, n.rewards) for n in g.nodes] for g in record.groups]
        strips = [group.images.tobytes().hex() for group in record.groups]
        self.kept.append(json.dumps([record.step, record.metrics, record.nfe, nodes, strips]))

    def evaluation(self, record: Any) -> None:
        self.kept.append(json.dumps([record.step, record.metrics]))

    def checkpoint(self, state: CheckpointState) -> None:
        self.last = state

    def log(self, level: str, text: str, data: dict[str, Any] | None = None) -> None:
        self.kept.append(text)

    def wanted(self) -> str:
        return "run"

    def orders(self, step: int) -> Orders:
        return Orders()

    def progress(self, done: int, total: int, message: str) -> None:
        pass


def settings(tiny: Path, method: str, **sampling: Any) -> RunConfig:
    """Network calls of one row each: then a part's calls are the whole's calls, bit for bit."""
    alike = {"num_steps": 4, "prompts_per_step": 4, "batch_size": 1, "update_batch_size": 1}
    return RunConfig.read(
        {
            "method": {"name": method, "settings": METHODS[method]},
            "policy": {"config": {"weights": str(tiny)}},
            "rewards": [
                {"name": "shade", "kind": "brightness"},
                {"name": "circles", "kind": "brightness", "only": "circle", "weight": 0.5},
            ],
            "sampling": alike | sampling,
            "optim": {"lr": 1e-2, "lora_rank": 2, "lora_targets": ["to_q"]},
            "evaluation": {"every": 9, "num_prompts": 2, "fixed_prompts": 0},
            "compose": {"floor": 0.0},
            "num_steps": 2,
            "record_groups": 100,
        }
    )


def run(config: RunConfig, tiny: Path) -> tuple[Notes, Shade]:
    notes, shade = Notes(), Shade(fails_below=0.25)
    train(
        config,
        policy=load_tiny(tiny),
        rewards={"shade": shade, "circles": Shade()},
        data=Data(PROMPTS, PROMPTS),
        sink=notes,
        control=notes,  # type: ignore[arg-type]
    )
    return notes, shade


@pytest.mark.parametrize("method", METHODS)
def test_parts_and_overlap_change_no_bit(tiny_sd3: Path, method: str) -> None:
    """With a reward that fails on some samples, and one that is asked about some prompts only."""
    outcomes = {}
    for way, sampling in WAYS.items():
        notes, shade = run(settings(tiny_sd3, method, **sampling), tiny_sd3)
        assert any(name.startswith("score") for name in shade.threads)
        assert notes.last is not None
        outcomes[way] = (notes.kept, notes.last)
    kept, last = outcomes.pop("all at once")
    metrics = json.loads(next(text for text in kept if text.startswith("[1, ")))[1]
    assert 0 < metrics["missing/shade"] < 1
    assert metrics["missing/circles"] == 0, "what was not asked is not missing"
    assert metrics["groups_kept"] > 0
    for way, (records, state) in outcomes.items():
        assert records == kept, way
        assert all(torch.equal(state.adapter[n], t) for n, t in last.adapter.items()), way
        assert all(torch.equal(state.optimiser[n], t) for n, t in last.optimiser.items()), way
