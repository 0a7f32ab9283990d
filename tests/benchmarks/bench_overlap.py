"""What of an update is spent waiting for rewards, on the pocket loop, beside sampling or after.

    waited    seconds in which nothing but a reward was at work / seconds of the update
    lost      how much longer an update is than one whose reward is a rule of microseconds
    work      the same in seconds of the processor, which a busy machine does not lengthen

The same updates turn about in one process: `beside` scores one part of the trees while the next
one grows, `after` scores each part before the next, `free` has the rule alone. Wanted: `beside`
loses at most 5 % of an update. Run with other numbers:
STEPS=5 PARTS=6 PROMPTS=12 REWARD=pocket-verifier.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from typing import Any

import torch

from backend import recipes
from backend.pocket import TRAIN_PROMPTS_PATH
from backend.policies import sd3
from backend.registry import rewards
from backend.rewards.interface import checked
from backend.rl.collect import Data
from backend.rl.evaluate import HeldOut
from backend.rl.recipe import RewardTerm, RunConfig
from backend.rl.trainer import Trainer
from tests.benchmarks.bench_grpo_step import Quiet
from workers.bare import device

STEPS = int(os.environ.get("STEPS", "3"))
PARTS = int(os.environ.get("PARTS", "6"))
PROMPTS = int(os.environ.get("PROMPTS", "0"))
"""Trees of an update; 0 takes the recipe's."""
REWARD = os.environ.get("REWARD", "pocket-verifier")
RULE = "brightness"


def main() -> None:
    """Measure the three ways turn about, and print the medians."""
    torch.set_num_threads(1)
    base = recipes.load("g2rpo")
    prompts = [p for p in TRAIN_PROMPTS_PATH.read_text(encoding="utf-8").split("\n") if p]
    ways = {
        "free": _trainer(base, prompts, RULE, overlap=True),
        "beside": _trainer(base, prompts, REWARD, overlap=True),
        "after": _trainer(base, prompts, REWARD, overlap=False),
    }
    seconds: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for turn in range(STEPS + 1):  # the first turn warms up
        for name, (trainer, sink) in ways.items():
            before = time.process_time()
            trainer.iterate()
            used = time.process_time() - before
            if turn:
                seconds[name].append({**sink.last.seconds, "work": used})
    total = {name: statistics.median(s["total"] for s in some) for name, some in seconds.items()}
    waited = {
        name: statistics.median(s.get("reward", 0.0) / s["total"] for s in some)
        for name, some in seconds.items()
    }
    lost, work = (
        {
            name: statistics.median(
                one[what] / free[what] - 1
                for one, free in zip(seconds[name], seconds["free"], strict=True)
            )
            for name in ("beside", "after")
        }
        for what in ("total", "work")
    )
    figures = {
        "reward": REWARD,
        "parts": PARTS,
        "seconds": {name: round(value, 2) for name, value in total.items()},
        "waited": {name: round(value, 4) for name, value in waited.items()},
        "lost": {name: round(value, 4) for name, value in lost.items()},
        "work": {name: round(value, 4) for name, value in work.items()},
    }
    print(json.dumps(figures))


def _trainer(base: RunConfig, prompts: list[str], kind: str, *, overlap: bool) -> tuple[Any, Quiet]:
    """A run of its own on one reward; the trees grow in `PARTS` parts."""
    num = PROMPTS or base.sampling.prompts_per_step
    parts = {"prompts_per_step": num, "trees_at_once": max(1, num // PARTS), "overlap": overlap}
    sampling = base.sampling.model_copy(update=parts)
    term = RewardTerm(name=kind, kind=kind)
    config = base.model_copy(update={"sampling": sampling, "rewards": [term], "watch": []})
    settings = sd3.Config.read(config.policy.config)
    module = rewards.get(kind)
    scorer = checked(module.load(module.Config()), kind)
    sink = Quiet()
    policy = sd3.load(settings, device())
    trainer = Trainer(config, policy, {kind: scorer}, Data(prompts, prompts), sink)
    trainer.held = HeldOut.of(prompts[:2], config.evaluation)
    policy.embed(prompts)
    return trainer, sink


if __name__ == "__main__":
    main()
