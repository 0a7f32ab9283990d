"""Every method: its published cost, its refusals, and two updates on a tiny real network."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backend.errors import ConfigError
from backend.registry import methods
from backend.rewards import saturation, win_rate
from backend.rl.collect import Data, Pairs
from backend.rl.cost import predict
from backend.rl.loop import train
from backend.rl.recipe import RunConfig, learns_from_pairs
from backend.types import CheckpointState, TrainResult
from tests.tiny_sd3 import PROMPTS, load_tiny
from tests.unit.test_rl_loop import Memory, same, stored

T = 5
SMALL: dict[str, dict[str, Any]] = {
    "awm": {"group_size": 3, "times": 2},
    "best-of-n-sft": {"group_size": 3, "times": 2},
    "branch-grpo": {"split_steps": [0, 2], "eta": 0.7, "width_pruning": "extremes"},
    "dance-grpo": {"group_size": 3},
    "dense-grpo": {"group_size": 3, "kernel": "table-sde", "psi": [0.9, 0.7, 0.5]},
    "diffusion-nft": {"group_size": 3, "times": 2, "lag_rate": 0.3},
    "flow-dpo": {"times": 2, "refresh": 2},
    "flow-grpo": {"group_size": 3, "kl": 0.1, "kl_on": "mean"},
    "flow-grpo-fast": {"group_size": 3, "width": 2, "same_noise": True},
    "flow-rwr": {"group_size": 3},
    "g2rpo": {"group_size": 3, "fork_steps": [0, 1, 2], "forks_per_prompt": 1},
    "grpo-guard": {"group_size": 3},
    "mix-grpo": {"group_size": 3, "width": 2, "dwell": 1, "solver": "dpm2", "tail_stride": 2},
    "one-fork": {"group_size": 3, "fork_steps": [0, 1]},
    "pref-grpo": {"group_size": 3},
    "tempflow": {"group_size": 3, "seeds": 2, "compare": "prompt"},
}
"""A small point of each method, chosen so that every axis is used by one of them."""
RATIO = {"branch-grpo", "dance-grpo", "dense-grpo", "flow-grpo", "flow-grpo-fast", "g2rpo"} | {
    "grpo-guard",
    "mix-grpo",
    "one-fork",
    "pref-grpo",
    "tempflow",
}


def settings(name: str, folder: Path | str = "pocket", **changes: Any) -> RunConfig:
    rewards = [{"name": "saturation", "kind": "saturation"}]
    if name == "pref-grpo":
        rewards = [{"name": "wins", "kind": "win-rate", "config": {"judge": "saturation"}}]
    data: dict[str, Any] = {
        "method": {"name": name, "settings": SMALL[name] | changes.pop("own", {})},
        "policy": {"config": {"weights": str(folder)}},
        "rewards": [] if name == "flow-dpo" else rewards,
        "watch": [{"name": "watched", "kind": "saturation"}],
        "sampling": {"num_steps": T, "prompts_per_step": 2, "update_batch_size": 4},
        "optim": {"lr": 1e-2, "lora_rank": 2, "lora_targets": ["to_q"], "ema_decay": 0.5},
        "evaluation": {"every": 9, "num_prompts": 4, "fixed_prompts": 1},
        "compose": {"floor": 0.0},
        "num_steps": 2,
        "checkpoint_every": 1,
    }
    return RunConfig.read(data | changes)


def run(config: RunConfig, folder: Path, memory: Memory, **more: Any) -> TrainResult:
    reward = saturation.load(saturation.Config())
    wins = win_rate.load(win_rate.Config(judge="saturation"))
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 255, (2, len(PROMPTS), 16, 16, 3)).astype(np.uint8)
    pairs = Pairs(PROMPTS, drawn[0], drawn[1]) if learns_from_pairs(config) else None
    return train(
        config,
        policy=load_tiny(folder),
        rewards={"saturation": reward, "wins": wins, "watched": reward},
        data=Data(PROMPTS, PROMPTS, pairs),
        sink=memory,
        control=memory,  # type: ignore[arg-type]
        **more,
    )


def test_every_method_is_tried() -> None:
    assert sorted(SMALL) == methods.names()


@pytest.mark.parametrize("name", methods.names())
def test_two_updates_move_the_adapter_at_the_predicted_cost(tiny_sd3: Path, name: str) -> None:
    """S + U + R as predicted; a policy ratio begins at exactly 1; every loss moves the weights."""
    config, memory = settings(name, tiny_sd3), Memory()
    run(config, tiny_sd3, memory)
    for record in memory.iterations:
        cost = predict(config, record.step - 1)
        counted = {key: int(record.metrics.get(f"nfe/{key}", 0)) for key in ("sample", "reference")}
        assert counted == {"sample": cost.nfe_sample, "reference": cost.nfe_reference}
        if SMALL[name].get("width_pruning"):
            assert record.metrics["nfe/update"] <= cost.nfe_update
        else:
            assert record.nfe == cost.nfe
        if name in RATIO:
            assert record.metrics["ratio_max_dev"] == 0.0
        assert record.metrics["grad_norm"] > 0
        judged = sum(v for key, v in record.metrics.items() if key.startswith("judge_calls/"))
        assert judged == cost.judge_calls
    first, last = memory.checkpoints[0].adapter, memory.checkpoints[-1].adapter
    assert any(not torch.equal(first[key], last[key]) for key in first)


@pytest.mark.parametrize("name", sorted(set(methods.names()) - {"g2rpo", "flow-grpo"}))
def test_a_resumed_run_repeats_the_other_bit_for_bit(tiny_sd3: Path, name: str) -> None:
    """Copies of the policy, windows, lags and pairs all go on where they were."""
    config, whole, again = settings(name, tiny_sd3), Memory(), Memory()
    run(config, tiny_sd3, whole)
    state: CheckpointState = stored(whole.checkpoints[1])
    assert state.step == 1
    run(config, tiny_sd3, again, resume=state)
    assert same(whole.checkpoints[-1], again.checkpoints[-1])
    assert whole.iterations[1].metrics == again.iterations[0].metrics


PUBLISHED = {  # name: (T, settings, S, U, R, K) with what the tree shares
    "flow-grpo": (10, {"kl": 0.04}, 240, 216, 216, 24),
    "flow-grpo-fast": (10, {"first": 2, "move": "frozen", "same_noise": True}, 171, 49, 0, 24),
    "dance-grpo": (16, {}, 181, None, 0, 12),
    "mix-grpo": (25, {"first": 10, "move": "frozen"}, 179, 37, 0, 12),
    "pref-grpo": (25, {}, 193, None, 0, 8),
    "g2rpo": (16, {}, 1696 - 8 - 96, 8, 0, 192),
    "tempflow": (10, {"kl": 0.04, "kl_on": "mean"}, 1120 - 4, 36, 36, 216),
    "dense-grpo": (10, {"kl": 0.04}, 1320, 216, 216, 240),
    "branch-grpo": (20, {}, 203, 203 - 16, 0, 16),
    "diffusion-nft": (10, {}, 240, 216, 432, 24),
    "awm": (14, {}, 336, 144, 288, 24),
    "flow-dpo": (10, {}, 0, 2, 2, 0),
    "one-fork": (10, {"fork_steps": [2]}, 87, 1, 0, 12),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_settings_cost_what_sharing_leaves(name: str) -> None:
    """S, U, R, K of one group. Less than published: trunks end at their last fork (8 for G²RPO, 4
    for TempFlow), strides share a child's first evaluation (96), BranchGRPO's last step has no
    noise (16), the fork's own evaluation is shared (Fast, Mix). U of a random share of the steps
    lies between its share of all chains and that less what the first step shares.
    """
    num_steps, own, sample, update, reference, pictures = PUBLISHED[name]
    rewards = [] if name == "flow-dpo" else [{"name": "s", "kind": "saturation"}]
    config = RunConfig.read(
        {
            "method": {"name": name, "settings": own},
            "rewards": rewards,
            "sampling": {"num_steps": num_steps, "prompts_per_step": 1},
        }
    )
    cost = predict(config)
    assert (cost.nfe_sample, cost.nfe_reference, cost.pictures) == (sample, reference, pictures)
    if update is not None:
        assert cost.nfe_update == update
    else:
        group, steps = pictures, int(0.6 * (num_steps - 1))
        assert group * steps - (group - 1) <= cost.nfe_update <= group * steps


def test_judge_calls_are_known_before_the_run() -> None:
    """A pointwise judge sees each of two groups' 8 pictures once; 28 pairs are compared."""
    config = settings("pref-grpo", own={"group_size": 8})
    assert predict(config).judge_calls == 2 * 8


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("grpo-guard", {"own": {"kernel": "cps"}}, "derived for kernel S"),
        ("flow-grpo", {"own": {"eta": 0.0}}, "explores without noise"),
        ("flow-grpo", {"own": {"kernel": "table-sde"}}, "does not fit kernel"),
        ("flow-grpo", {"own": {"group_size": 1}}, "group of 1"),
        ("one-fork", {"own": {"fork_steps": [9]}}, "Step 9 cannot be explored"),
        ("g2rpo", {"own": {"fork_steps": [3], "strides": [1, 4]}}, "steps are left"),
        ("mix-grpo", {"own": {"width": 9}}, "does not fit"),
        ("dance-grpo", {"own": {"train_share": 0.1}}, "none would be trained on"),
        ("diffusion-nft", {"own": {"times": 9}}, "noise levels a picture"),
        ("flow-dpo", {"rewards": [{"name": "s", "kind": "saturation"}]}, "learns from stored"),
        ("one-fork", {"rewards": []}, "at least one reward"),
        ("one-fork", {"sampling": {"guidance": 3.0, "train_guidance": 1.0}}, "would not be 1"),
        ("diffusion-nft", {"optim": {"updates_per_rollout": 2}}, "need a ratio that is clipped"),
        ("one-fork", {"early_stop": {"gold": "beauty"}}, "no watched reward has that name"),
        ("one-fork", {"own": {"grup_size": 3}}, "did you mean 'group_size'"),
        ("one-fork", {"optim": {"lr_groups": {"lora_A": -1.0}}}, "a factor of 0 or more"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(
    name: str, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        settings(name, **changes)


def test_a_method_without_pairs_is_refused_before_anything_is_drawn(tiny_sd3: Path) -> None:
    config, memory = settings("flow-dpo", tiny_sd3), Memory()
    with pytest.raises(Exception, match="learns from stored pairs and there are none"):
        train(
            config,
            policy=load_tiny(tiny_sd3),
            rewards={"watched": saturation.load(saturation.Config())},
            data=Data(PROMPTS, PROMPTS),
            sink=memory,
            control=memory,  # type: ignore[arg-type]
        )
    assert not memory.evaluations


def _own_lines(path: Path) -> list[str]:
    """Lines of a method that could differ: no imports, signatures of the protocol, lone marks."""
    stripped = [line.strip() for line in path.read_text().splitlines()]
    return [t for t in stripped if len(t) > 3 and not t.startswith(("from ", "import ", "def "))]


def test_a_method_is_a_short_file_of_its_own() -> None:
    """Half of them have at most 60 lines, and no two share more than a fifth of their lines."""
    folder = Path(methods.get("g2rpo").__file__ or "").parent
    files = [folder / f"{name.replace('-', '_')}.py" for name in methods.names()]
    assert statistics.median(len(path.read_text().splitlines()) for path in files) <= 60
    lines = {path.stem: _own_lines(path) for path in files}
    for one, mine in lines.items():
        for other, theirs in lines.items():
            if one < other:
                shared = sum(min(mine.count(text), theirs.count(text)) for text in set(mine))
                assert shared <= 0.2 * max(len(mine), len(theirs)), (one, other, shared)


def test_the_loop_is_short_and_names_no_method() -> None:
    folder = Path(methods.get("g2rpo").__file__ or "").parents[1] / "rl"
    loop = (folder / "loop.py").read_text() + (folder / "trainer.py").read_text()
    assert len((folder / "loop.py").read_text().splitlines()) < 250
    for name in methods.names():
        assert name not in loop and name.replace("-", "_") not in loop


def test_encoders_can_be_released_before_the_run_and_nothing_changes(tiny_sd3: Path) -> None:
    kept, released = Memory(), Memory()
    sampling = {"num_steps": T, "prompts_per_step": 2, "update_batch_size": 4}
    run(settings("one-fork", tiny_sd3, sampling=sampling), tiny_sd3, kept)
    freed = settings("one-fork", tiny_sd3, sampling=sampling | {"release_encoders": True})
    run(freed, tiny_sd3, released)
    assert [r.metrics for r in kept.iterations] == [r.metrics for r in released.iterations]


def test_learning_rates_of_parts_and_checkpointing_are_kept(tiny_sd3: Path) -> None:
    """A factor of 0 leaves lora_A where it began, and recomputing activations changes no number."""
    optim = {"lr": 1e-2, "lora_rank": 2, "lora_targets": ["to_q"]}
    plain, again = Memory(), Memory()
    run(settings("one-fork", tiny_sd3, optim=optim), tiny_sd3, plain)
    run(settings("one-fork", tiny_sd3, optim=optim | {"checkpointing": True}), tiny_sd3, again)
    assert [r.metrics["loss"] for r in plain.iterations] == pytest.approx(
        [r.metrics["loss"] for r in again.iterations]
    )
    held = Memory()
    frozen = settings("one-fork", tiny_sd3, optim=optim | {"lr_groups": {"lora_A": 0.0}})
    run(frozen, tiny_sd3, held)
    first, last = held.checkpoints[0].adapter, held.checkpoints[-1].adapter
    for name in first:
        assert torch.equal(first[name], last[name]) == ("lora_A" in name)


def test_all_weights_can_be_trained(tiny_sd3: Path) -> None:
    optim = {"lr": 1e-4, "train": "full", "ema_decay": 0.5}
    whole, again = Memory(), Memory()
    config = settings("diffusion-nft", tiny_sd3, optim=optim)
    run(config, tiny_sd3, whole)
    run(config, tiny_sd3, again, resume=stored(whole.checkpoints[1]))
    assert same(whole.checkpoints[-1], again.checkpoints[-1])
    assert set(whole.checkpoints[-1].copies) == {"old", "ema"}
