"""Probes on the tiny network: where the reward's variance is found, and what finding it costs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.errors import ConfigError, InputError, RewardError
from backend.rewards import brightness
from backend.rewards.interface import Scores
from backend.rl.probe import (
    Independent,
    Probe,
    SpreadPlan,
    SpreadRow,
    _propose,
    probe,
    probe_cost,
)
from backend.rl.psi import PsiPlan, calibrate_psi, next_psi, psi_cost
from backend.rl.recipe import RunConfig
from tests.tiny_sd3 import PROMPTS, load_tiny

STEPS = 5
SMALL = SpreadPlan(etas=(0.3, 0.7), children=4, num_prompts=3)
FEW = PsiPlan(rounds=2, children=3, num_prompts=2)


@dataclass
class Light:
    """The mean brightness of a picture, as fine as floats are."""

    shape: str = "pointwise"

    def score(self, images: np.ndarray, prompts: list[str]) -> Scores:
        return Scores.of(images.mean(axis=(1, 2, 3)))


@dataclass
class Planted:
    """Pays for who one is among the siblings of a tree that forked at 0, 1, 2, …, not for looks.

    The probe draws its independent samples first, then the leaves of one fork after the other, the
    last fork's first; only the leaves of the fork at `step` are paid differently.
    """

    step: int
    children: int
    num_forks: int
    shape: str = "pointwise"

    def score(self, images: np.ndarray, prompts: list[str]) -> Scores:
        if len(images) == self.children:
            return Scores.of(np.arange(len(images)))
        fork = np.repeat(np.arange(self.num_forks), self.children)
        return Scores.of(np.where(fork == self.step, np.arange(len(images)), 0.0))


def settings(folder: Path, method: str = "one-fork", **changes: Any) -> RunConfig:
    data: dict[str, Any] = {
        "method": {"name": method, "settings": {"group_size": 3} | changes.pop("own", {})},
        "policy": {"config": {"weights": str(folder)}},
        "rewards": [{"name": "light", "kind": "brightness"}],
        "sampling": {"num_steps": STEPS, "prompts_per_step": 3},
    }
    return RunConfig.read(data | changes)


def spread(config: RunConfig, folder: Path, plan: SpreadPlan = SMALL, **more: Any) -> Probe:
    rewards = {"light": more.pop("reward", Light())}
    return probe(config, load_tiny(folder), rewards, PROMPTS, plan, **more)


def test_what_is_predicted_is_what_is_counted(tiny_sd3: Path) -> None:
    """By hand: 4 roots of 5 steps, and per η a trunk of 4 nodes with 4 children at each, finished
    in 4, 3, 2 and 1 evaluations: 20 + 2 · (4 + 4 · 10) = 108 a prompt, 4 + 2 · 16 = 36 pictures.
    """
    config = settings(tiny_sd3)
    found, cost = spread(config, tiny_sd3), probe_cost(config, SMALL)
    assert (cost.nfe, cost.pictures) == (3 * 108, 3 * 36) == (found.nfe, found.pictures)
    guided = settings(tiny_sd3, sampling={"num_steps": STEPS, "guidance": 2.0})
    assert probe_cost(guided, SMALL).nfe == 2 * cost.nfe == spread(guided, tiny_sd3).nfe


def test_the_same_seed_finds_the_same(tiny_sd3: Path) -> None:
    config = settings(tiny_sd3)
    first, again = spread(config, tiny_sd3), spread(config, tiny_sd3)
    assert (first.rows, first.independent, first.proposal) == (
        again.rows,
        again.independent,
        again.proposal,
    )
    other = spread(config, tiny_sd3, SpreadPlan(etas=(0.3, 0.7), children=4, num_prompts=3, seed=1))
    assert other.rows != first.rows
    assert json.loads(json.dumps(first.plain()))["rows"][0]["step"] == 0


def test_without_noise_there_is_no_spread_and_no_drop(tiny_sd3: Path) -> None:
    quiet = SpreadPlan(etas=(1e-6,), children=3, num_prompts=2)
    found = spread(settings(tiny_sd3), tiny_sd3, quiet)
    for row in found.rows:
        assert row.spread == pytest.approx(0, abs=0.02)
        assert row.drop == pytest.approx(0, abs=0.02)
        assert row.share < 1e-3
    assert found.independent is not None and found.independent.spread > 0.2


def test_more_noise_spreads_more(tiny_sd3: Path) -> None:
    found = spread(settings(tiny_sd3), tiny_sd3)
    low, high = (
        np.mean([row.spread for row in found.rows if row.eta == eta]) for eta in SMALL.etas
    )
    assert 0 < low < high


@pytest.mark.parametrize("step", [0, 2])
def test_the_step_that_was_planted_is_found(tiny_sd3: Path, step: int) -> None:
    plan = SpreadPlan(etas=(0.7,), children=4, num_prompts=2)
    order = _order_of_forks(4)
    reward = Planted(order.index(step), 4, 4)
    found = spread(settings(tiny_sd3), tiny_sd3, plan, reward=reward)
    assert [row.step for row in found.rows if row.spread > 0] == [step]
    assert found.proposal.changes["method.settings.fork_steps"] == [step]
    assert f"Fork at step {step} with eta 0.7" in found.proposal.text


def _order_of_forks(num: int) -> list[int]:
    """The forks in the order of their leaves."""
    from backend.rl.kernels import Kernel
    from backend.rl.tree import TreePlan, grow

    shape = grow(
        [TreePlan(Kernel("flow-sde", 0.7), forks=dict.fromkeys(range(num), 4), trunk=True)], STEPS
    )
    return list(dict.fromkeys(shape.step[shape.anchor[shape.leaf]].tolist()))


def row(step: int, eta: float, spread: float, drop: float) -> SpreadRow:
    return SpreadRow(step, eta, spread, 0.0, 1.0, 0.5, drop, 0.0)


ALONE = Independent(1.0, 0.0, 0.5)


def test_as_much_noise_as_spreads_and_no_more_than_it_is_worth(tiny_sd3: Path) -> None:
    """η .4 spreads too little; .7 has 90 % of 1.0's spread, so 1.0 buys nothing; 2 harms."""
    config = settings(tiny_sd3)
    rows = [
        *(row(step, 0.4, 0.3, 0.0) for step in range(2)),
        *(row(step, 0.7, 0.9, 0.1) for step in range(2)),
        *(row(step, 1.0, 1.0, 0.3) for step in range(2)),
        *(row(step, 2.0, 5.0, 3.0) for step in range(2)),
        row(2, 0.7, 0.5, 0.0),
    ]
    found = _propose(config, rows, ALONE, 0.8)
    assert found.changes == {"method.settings.fork_steps": [0, 1], "method.settings.eta": 0.7}
    dear = _propose(config, [row(0, 0.5, 1.0, 0.6), row(0, 0.9, 2.0, 1.5)], ALONE, 0.8)
    assert dear.changes["method.settings.eta"] == 0.5 and "try less noise" in dear.text
    nothing = _propose(config, [row(0, 0.5, 0.0, 0.0)], ALONE, 0.8)
    assert nothing.changes == {} and "nothing to learn" in nothing.text


def test_only_what_the_method_can_be_told_is_proposed(tiny_sd3: Path) -> None:
    rows = [row(step, 0.7, 1.0, 0.0) for step in range(4)]
    coarse = settings(tiny_sd3, "g2rpo", own={"fork_steps": [0], "strides": [1, 3]})
    found = _propose(coarse, rows, ALONE, 0.8).changes
    assert found["method.settings.fork_steps"] == [0, 1], "three steps are left for the stride of 3"
    whole = _propose(settings(tiny_sd3, "flow-grpo"), rows, ALONE, 0.8).changes
    assert whole == {"method.settings.eta": 0.7}
    plain = _propose(
        settings(tiny_sd3, "diffusion-nft", own={"times": 2}), rows, ALONE, 0.8
    ).changes
    assert plain == {}


def test_what_cannot_be_probed_is_refused_with_a_sentence(tiny_sd3: Path) -> None:
    pairs = settings(tiny_sd3, "flow-dpo", rewards=[], own={"group_size": 2})
    with pytest.raises(ConfigError, match="trains on no reward"):
        probe_cost(pairs)
    with pytest.raises(ConfigError, match="Step 7 cannot be explored"):
        probe_cost(settings(tiny_sd3), SpreadPlan(steps=(7,)))
    table = settings(tiny_sd3, own={"kernel": "table-sde", "psi": [1.0]})
    with pytest.raises(ConfigError, match="no eta to probe"):
        probe_cost(table)
    with pytest.raises(ConfigError, match="without noise"):
        psi_cost(settings(tiny_sd3, "diffusion-nft", own={"times": 2}))
    with pytest.raises(InputError, match="there are no prompts"):
        probe(settings(tiny_sd3), load_tiny(tiny_sd3), {"light": Light()}, [], SMALL)

    @dataclass
    class Silent(Light):
        def score(self, images: np.ndarray, prompts: list[str]) -> Scores:
            return Scores.of(np.full(len(images), np.nan))

    with pytest.raises(RewardError, match="no two values in any group"):
        spread(settings(tiny_sd3), tiny_sd3, reward=Silent())


def test_progress_is_told_and_may_end_the_probe(tiny_sd3: Path) -> None:
    told: list[tuple[int, int]] = []

    def say(done: int, total: int, message: str) -> None:
        told.append((done, total))
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spread(settings(tiny_sd3), tiny_sd3, say=say)
    assert told == [(done, 9) for done in range(5)]


# ---------------------------------------------------------------- ψ


def test_psi_rises_where_signs_balance_and_falls_where_they_do_not() -> None:
    """Bounds √48 = 6.9 and √25 = 5; with 3 gains the bound is 2, and 2 is not below it."""
    psi = np.array([0.5, 0.5, 0.5, 0.5, 0.05])
    positive, negative = np.array([22, 20, 15, 2, 0]), np.array([26, 28, 10, 1, 48])
    found = next_psi(psi, positive, negative, 0.1)
    assert found == pytest.approx([0.6, 0.4, 0.4, 0.6, 0.1])


def test_a_calibration_costs_what_it_says_and_repeats_itself(tiny_sd3: Path) -> None:
    """By hand: 3 chains of 5 steps, and 4 + 3 + 2 + 1 evaluations to finish their first 4 nodes:
    3 · 15 = 45 evaluations and 15 pictures a prompt, 4 prompts in all.
    """
    config = settings(tiny_sd3, "dense-grpo")
    cost = psi_cost(config, FEW)
    found = calibrate_psi(config, load_tiny(tiny_sd3), {"light": Light()}, PROMPTS, FEW)
    assert (cost.nfe, cost.pictures) == (4 * 45, 4 * 15) == (found.nfe, found.pictures)
    again = calibrate_psi(config, load_tiny(tiny_sd3), {"light": Light()}, PROMPTS, FEW)
    assert again.rows == found.rows
    table = found.proposal.changes["method.settings.psi"]
    assert [r.psi for r in found.rows] == pytest.approx(table) and len(table) == STEPS - 1
    for r in found.rows:
        assert all(0 < up + down <= 6 for up, down in zip(r.positive, r.negative, strict=True))
        assert abs(r.psi - r.start) == pytest.approx(0.1, abs=1e-6) or r.psi == pytest.approx(
            r.start
        )
    json.dumps(found.plain())


def test_the_table_can_be_laid_over_the_run(tiny_sd3: Path) -> None:
    config = settings(tiny_sd3, "dense-grpo")
    found = calibrate_psi(config, load_tiny(tiny_sd3), {"light": Light()}, PROMPTS, FEW)
    own = {path.rsplit(".", 1)[1]: value for path, value in found.proposal.changes.items()}
    assert settings(tiny_sd3, "dense-grpo", own=own).method.settings["kernel"] == "table-sde"


def test_brightness_itself_can_be_probed(tiny_sd3: Path) -> None:
    reward = brightness.load(brightness.Config())
    assert spread(settings(tiny_sd3), tiny_sd3, reward=reward).proposal.changes
