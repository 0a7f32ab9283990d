"""The loop from begin to end on a tiny network: records, resume, pause, failures."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backend.errors import CheckpointError, MethodError, RewardError
from backend.policies.sd3 import Sd3Policy
from backend.rewards import saturation
from backend.rewards.interface import Scores
from backend.rl import checkpoint as files
from backend.rl.collect import Data
from backend.rl.cost import predict
from backend.rl.loop import train
from backend.rl.recipe import RunConfig, plans_at
from backend.rl.tree import grow
from backend.types import CheckpointState, EvaluationRecord, IterationRecord, Orders, TrainResult
from tests.tiny_sd3 import PROMPTS, load_tiny

SATURATION = saturation.load(saturation.Config())


@dataclass
class Memory:
    """A sink that keeps everything, and a control that asks for a pause after some updates."""

    pause_after: int | None = None
    iterations: list[IterationRecord] = field(default_factory=list)
    evaluations: list[EvaluationRecord] = field(default_factory=list)
    checkpoints: list[CheckpointState] = field(default_factory=list)
    logs: list[tuple[str, str]] = field(default_factory=list)

    def iteration(self, record: IterationRecord) -> None:
        self.iterations.append(record)

    def evaluation(self, record: EvaluationRecord) -> None:
        self.evaluations.append(record)

    def checkpoint(self, state: CheckpointState) -> None:
        self.checkpoints.append(state)

    def log(self, level: str, text: str, data: dict[str, Any] | None = None) -> None:
        self.logs.append((level, text))

    def wanted(self) -> str:
        return "pause" if self.pause_after == len(self.iterations) else "run"

    def orders(self, step: int) -> Orders:
        return Orders()

    def progress(self, done: int, total: int, message: str) -> None:
        assert 0 <= done <= total


@dataclass
class Fixed:
    """A reward that says what it is told to say."""

    answer: Any
    shape: str = "pointwise"

    def score(self, images: np.ndarray, prompts: list[str]) -> Scores:
        return Scores.of(self.answer(images))


def settings(folder: Path, method: str = "g2rpo", **changes: Any) -> RunConfig:
    own: dict[str, Any] = {"group_size": 3}
    if method == "g2rpo":
        own |= {"fork_steps": [0, 1, 2], "forks_per_prompt": 1, "strides": [1, 2]}
    data: dict[str, Any] = {
        "method": {"name": method, "settings": own | changes.pop("own", {})},
        "policy": {"config": {"weights": str(folder)}},
        "rewards": [{"name": "saturation", "kind": "saturation"}],
        "sampling": {"num_steps": 5, "prompts_per_step": 3, "update_batch_size": 2},
        "optim": {
            "lr": 1e-2,
            "lora_rank": 2,
            "lora_targets": ["to_q", "ff.net.2"],
            "ema_decay": 0.5,
        },
        "evaluation": {"every": 2, "num_prompts": 4, "fixed_prompts": 2},
        "compose": {"floor": 0.0},
        "num_steps": 4,
        "checkpoint_every": 1,
    }
    return RunConfig.read(data | changes)


def run(
    config: RunConfig, policy: Sd3Policy, memory: Memory, reward: Any = SATURATION, **more: Any
) -> TrainResult:
    return train(
        config,
        policy=policy,
        rewards={"saturation": reward},
        data=Data(PROMPTS, PROMPTS),
        sink=memory,
        control=memory,  # type: ignore[arg-type]
        **more,
    )


def stored(state: CheckpointState) -> CheckpointState:
    """Through bytes and JSON, as the store keeps it."""
    return files.unpack(state.step, files.pack(state), json.loads(json.dumps(state.state)))


def same(a: CheckpointState, b: CheckpointState) -> bool:
    def equal(x: dict[str, torch.Tensor], y: dict[str, torch.Tensor]) -> bool:
        return x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x)

    assert a.copies.keys() == b.copies.keys() and a.copies
    copies = all(equal(a.copies[name], b.copies[name]) for name in a.copies)
    return equal(a.adapter, b.adapter) and equal(a.optimiser, b.optimiser) and copies


@pytest.mark.parametrize("method", ["g2rpo", "flow-grpo"])
def test_a_resumed_run_ends_bit_identical_to_one_never_stopped(tiny_sd3: Path, method: str) -> None:
    config = settings(tiny_sd3, method)
    whole = Memory()
    assert run(config, load_tiny(tiny_sd3), whole).status == "done"
    first = Memory(pause_after=2)
    assert run(config, load_tiny(tiny_sd3), first).status == "paused"
    second = Memory()
    run(config, load_tiny(tiny_sd3), second, resume=stored(first.checkpoints[-1]))
    assert same(whole.checkpoints[-1], second.checkpoints[-1])
    together = first.iterations + second.iterations
    assert [r.step for r in together] == [1, 2, 3, 4]
    assert [r.metrics for r in whole.iterations] == [r.metrics for r in together]
    assert [r.nfe for r in whole.iterations] == [r.nfe for r in together]
    evaluations = first.evaluations + second.evaluations
    assert [(e.step, e.metrics) for e in whole.evaluations] == [
        (e.step, e.metrics) for e in evaluations
    ]


def test_a_run_killed_between_checkpoints_repeats_its_updates(tiny_sd3: Path) -> None:
    config = settings(tiny_sd3, checkpoint_every=3)
    whole, again = Memory(), Memory()
    run(config, load_tiny(tiny_sd3), whole)
    assert [state.step for state in whole.checkpoints] == [0, 3, 4]
    run(config, load_tiny(tiny_sd3), again, resume=stored(whole.checkpoints[0]))
    assert same(whole.checkpoints[-1], again.checkpoints[-1])
    assert [r.metrics for r in whole.iterations] == [r.metrics for r in again.iterations]


def test_the_first_ratio_is_one_and_evaluations_are_as_predicted(tiny_sd3: Path) -> None:
    config, memory = settings(tiny_sd3), Memory()
    run(config, load_tiny(tiny_sd3), memory)
    for record in memory.iterations:
        assert (record.metrics["ratio_mean"], record.metrics["ratio_max_dev"]) == (1.0, 0.0)
        assert record.nfe == predict(config, record.step - 1).nfe
        assert set(record.seconds) == {
            "sample",
            "decode",
            "reward",
            "credit",
            "update",
            "learn",
            "record",
            "total",
        }
    assert memory.evaluations[0].nfe == (4 + 16) * 5
    assert [e.step for e in memory.evaluations] == [0, 2, 4]


def test_a_second_pass_over_the_same_rollouts_leaves_ratio_one(tiny_sd3: Path) -> None:
    config, memory = (
        settings(tiny_sd3, num_steps=1, optim={"lr": 1e-2, "updates_per_rollout": 2}),
        Memory(),
    )
    run(config, load_tiny(tiny_sd3), memory)
    assert memory.iterations[0].metrics["ratio_max_dev"] > 0


def test_what_is_recorded_shows_the_tree_and_its_rewards(tiny_sd3: Path) -> None:
    config, memory = settings(tiny_sd3, num_steps=1, record_groups=2), Memory()
    run(config, load_tiny(tiny_sd3), memory)
    groups = memory.iterations[0].groups
    assert len(groups) == 2
    for group in groups:
        leaves = [node for node in group.nodes if node.kind == "leaf"]
        children = [node for node in group.nodes if node.kind == "child"]
        trunk = [node for node in group.nodes if node.kind == "trunk"]
        assert (len(children), len(leaves)) == (3, 6)
        assert group.images is not None
        assert group.trunk is not None
        assert group.images.shape == (6, 16, 16, 3)
        assert len(group.trunk) == len(trunk) == (group.fork_step or 0) + 1
        assert [node.tile for node in leaves] == list(range(6))
        assert all(group.nodes[node.parent or 0].kind == "child" for node in leaves)
        assert all(node.ratio == 1.0 and node.seed is not None for node in children)
        for child in children:
            below = [node for node in leaves if node.parent == child.idx]
            assert child.advantage == pytest.approx(sum(node.advantage or 0 for node in below))
        said = leaves[0].rewards["saturation"]
        assert set(said) == {"raw", "shaped", "z", "weight", "share", "status"}
        assert said["raw"] == pytest.approx(
            SATURATION.score(group.images[:1], [group.prompt]).values[0]
        )
        json.dumps(group.detail)


def test_groups_without_spread_are_skipped_counted_and_change_nothing(tiny_sd3: Path) -> None:
    config, memory = settings(tiny_sd3, num_steps=1), Memory()
    run(config, load_tiny(tiny_sd3), memory, Fixed(lambda images: np.ones(len(images))))
    metrics = memory.iterations[0].metrics
    assert (metrics["groups_kept"], metrics["groups_total"]) == (0, 3)
    assert "ratio_mean" not in metrics
    assert all(np.isfinite(value) for value in metrics.values())
    first, last = memory.checkpoints[0].adapter, memory.checkpoints[-1].adapter
    assert all(torch.equal(first[name], last[name]) for name in first)
    assert memory.logs[0][0] == "warning"


def test_a_reward_that_fails_now_and_then_costs_only_its_samples(tiny_sd3: Path) -> None:
    def half(images: np.ndarray) -> np.ndarray:
        values = images.mean(axis=(1, 2, 3))
        return np.where(np.arange(len(values)) % 3 == 0, np.nan, values)

    config, memory = settings(tiny_sd3, num_steps=1), Memory()
    run(config, load_tiny(tiny_sd3), memory, Fixed(half))
    metrics = memory.iterations[0].metrics
    assert metrics["missing/saturation"] == pytest.approx(1 / 3)
    assert metrics["groups_kept"] > 0
    assert [record.metrics["missing/saturation"] for record in memory.evaluations] == [0.5, 0.5]
    why = "Reward 'saturation' failed on 50% of the pictures: not a number"
    assert [text for _, text in memory.logs] == [why], "once, with its cause"


def test_a_reward_that_is_silent_ends_the_run_with_a_sentence(tiny_sd3: Path) -> None:
    silent = Fixed(lambda images: np.full(len(images), np.nan))
    with pytest.raises(RewardError, match="'saturation' had no value for any of 18 pictures"):
        run(settings(tiny_sd3, num_steps=1), load_tiny(tiny_sd3), Memory(), silent)


def test_a_run_that_diverges_says_so_and_keeps_its_last_state(tiny_sd3: Path) -> None:
    policy, memory = load_tiny(tiny_sd3), Memory()
    memory.progress = lambda done, total, message: spoil(policy, done)  # type: ignore[method-assign]

    def spoil(policy: Sd3Policy, done: int) -> None:
        if done == 1:
            next(iter(policy.trainable().values())).data.fill_(torch.nan)

    with pytest.raises(MethodError, match="weights have diverged"):
        run(settings(tiny_sd3, optim={"lr": 1e-2}), policy, memory)
    assert memory.checkpoints[-1].step == 1


def test_a_checkpoint_of_other_settings_is_refused(tiny_sd3: Path) -> None:
    memory = Memory(pause_after=1)
    run(settings(tiny_sd3), load_tiny(tiny_sd3), memory)
    other = settings(tiny_sd3, seed=5)
    with pytest.raises(CheckpointError, match="made with other settings"):
        run(other, load_tiny(tiny_sd3), Memory(), resume=memory.checkpoints[-1])
    longer = settings(tiny_sd3, num_steps=2)
    assert run(longer, load_tiny(tiny_sd3), Memory(), resume=memory.checkpoints[-1]).step == 2


def test_a_damaged_checkpoint_is_refused(tiny_sd3: Path) -> None:
    memory = Memory(pause_after=0)
    run(settings(tiny_sd3), load_tiny(tiny_sd3), memory)
    packed = files.pack(memory.checkpoints[0])
    with pytest.raises(CheckpointError, match="is damaged"):
        files.unpack(0, packed | {"adapter": packed["adapter"][:100]}, {})
    with pytest.raises(CheckpointError, match="has no optimiser"):
        files.unpack(0, packed | {"optimiser": b""}, {})


def test_the_reward_that_is_trained_rises(tiny_sd3: Path) -> None:
    """Brightness of a random decoder is easy: 12 updates lift it by more than 3 standard errors."""
    config = settings(
        tiny_sd3, num_steps=12, own={"group_size": 6}, optim={"lr": 3e-2, "lora_rank": 4}
    )
    memory = Memory()
    result = run(
        config, load_tiny(tiny_sd3), memory, Fixed(lambda images: images.mean(axis=(1, 2, 3)))
    )
    assert result.metrics["gain/saturation"] > 3 * result.metrics["gain_se/saturation"] > 0


def test_the_plan_of_an_update_depends_on_its_step_alone(tiny_sd3: Path) -> None:
    config = settings(tiny_sd3)
    forks = [[sorted(plan.forks) for plan in plans_at(config, step)] for step in range(3)]
    assert forks[0] == [[0], [1], [2]]
    assert forks[1] == [[1], [2], [0]]
    assert (grow(plans_at(config, 1), 5).parent == grow(plans_at(config, 1), 5).parent).all()
