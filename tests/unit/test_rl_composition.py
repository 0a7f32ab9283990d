"""Composition over a run: what changes on the way, what a checkpoint keeps, when a run pauses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.errors import ConfigError, RewardError
from backend.registry import rewards
from backend.rewards.compose import Term, compose
from backend.rewards.interface import Scores
from backend.rl import checkpoint as files
from backend.rl.collect import Data
from backend.rl.composing import Compose, RewardTerm, without_later
from backend.rl.composition import Composition
from backend.rl.credit import Credit
from backend.rl.kernels import Kernel
from backend.rl.loop import train
from backend.rl.recipe import RunConfig
from backend.rl.tree import Shape, TreePlan, grow
from backend.types import TrainResult
from tests.tiny_sd3 import PROMPTS, load_tiny
from tests.unit.test_rl_loop import Fixed, Memory, settings

RNG = np.random.default_rng(0)
STEPS = 4


@pytest.fixture
def shape() -> Shape:
    """Three prompts with four pictures each."""
    plan = TreePlan(Kernel("flow-sde", 0.7), roots=4, explore=frozenset(range(STEPS)))
    return grow([plan, plan, plan], STEPS)


def config(*terms: dict[str, Any], **compose: Any) -> RunConfig:
    listed = [{"name": f"r{i}", "kind": "saturation", **term} for i, term in enumerate(terms)]
    return RunConfig.read({"rewards": listed, "compose": compose, "num_steps": 10})


def composition(read: RunConfig) -> Composition:
    return Composition(read, {term.name: False for term in read.rewards})


def step(made: Composition, shape: Shape, number: int, **values: Any) -> dict[str, float]:
    """One update in which every reward says what is given for it, a Scores or numbers."""
    said = {n: v if isinstance(v, Scores) else Scores.of(v) for n, v in values.items()}
    blank = np.full(len(shape), np.nan)
    credited = made.assign(shape, said, made.terms(number), Credit("tree"), blank)
    return made.observe(said, credited, number)


def noise(mean: float, num: int = 12) -> np.ndarray:
    return mean + RNG.normal(size=num)


def run(folder: Path, read: RunConfig, memory: Memory, **more: Any) -> TrainResult:
    """The loop on a tiny network; rewards are loaded as their terms say unless they are given."""
    loaded = {t.name: rewards.get(t.kind).load(rewards.get(t.kind).Config()) for t in read.rewards}
    return train(
        read,
        policy=load_tiny(folder),
        rewards=more.pop("rewards", loaded),
        data=Data(PROMPTS, PROMPTS),
        sink=memory,
        control=memory,  # type: ignore[arg-type]
        **more,
    )


# --- settings -----------------------------------------------------------------------------------


def test_settings_that_came_later_are_no_part_of_an_old_checkpoint_until_they_are_used() -> None:
    plain = config({}).plain()
    bare = without_later(plain)
    assert set(bare["compose"]) == {"scale", "floor", "clip"}
    assert set(bare["rewards"][0]) == {"name", "kind", "weight", "only", "transform", "config"}
    used = without_later(config({"required": True}, combine="each", missing=0.5).plain())
    assert used["rewards"][0]["required"] is True and used["compose"]["missing"] == 0.5
    assert files.fingerprint(used) != files.fingerprint(bare)


def test_fingerprints_are_those_of_the_first_versions() -> None:
    """Written down before composition had more settings: such a checkpoint still goes on."""
    old = {
        "rewards": [
            {"name": "a", "kind": "saturation", "weight": 1.0, "only": "", "transform": "none",
             "config": {}}
        ],
        "watch": [],
        "compose": {"scale": "batch", "floor": 0.001, "clip": 5.0},
    }  # fmt: skip
    now = {
        "rewards": [RewardTerm(name="a", kind="saturation").plain()],
        "watch": [],
        "compose": Compose().plain(),
    }
    assert files.fingerprint(without_later(now)) == files.fingerprint(old)


@pytest.mark.parametrize(
    ("terms", "compose", "field", "why"),
    [
        ([{"transform": "log-sigmoid"}], {"scale": "group"}, "compose.scale", "divides that"),
        ([{"role": "gate"}, {}], {}, "rewards.0.thresholds", "needs a threshold"),
        ([{"thresholds": [0.5]}], {}, "rewards.0.thresholds", "nothing reads"),
        (
            [{"transform": "threshold", "thresholds": [0.9, 0.5]}],
            {},
            "rewards.0.thresholds",
            "rising order",
        ),
        ([{"stage": 1}], {}, "rewards", "without a gap"),
        ([{}], {"combine": "pareto"}, "compose.combine", "1 reward in the sum"),
    ],
)
def test_what_cannot_be_composed_is_refused_at_its_setting(
    terms: list[dict[str, Any]], compose: dict[str, Any], field: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        config(*terms, **compose)
    assert caught.value.field == field


def test_a_reward_that_compares_inside_a_group_has_no_value_on_the_base() -> None:
    read = config({"scale": "frozen"})
    with pytest.raises(ConfigError, match="no reference"):
        Composition(read, {"r0": True})


# --- what changes on the way --------------------------------------------------------------------


def test_a_threshold_rises_with_the_run(shape: Shape) -> None:
    made = composition(config({"transform": "threshold", "thresholds": [0.2, 0.6]}))
    assert [made.terms(at)[0].threshold for at in (0, 4, 5, 9)] == [0.2, 0.2, 0.6, 0.6]
    assert step(made, shape, 5, r0=noise(0))["threshold/r0"] == 0.6


def test_the_base_is_the_reference(shape: Shape) -> None:
    made = composition(config({"scale": "frozen"}))
    assert made.needs_base and not composition(config({})).needs_base
    with pytest.raises(RewardError, match="evaluate the base first"):
        step(made, shape, 0, r0=noise(0))
    made.base = {"r0": [1.0, None, 3.0]}
    assert made.terms(0)[0].base == (1.0, 3.0)
    step(made, shape, 0, r0=noise(0))


def test_floors_are_measured_once_and_kept(shape: Shape) -> None:
    """Half the median spread in a group, at least the repeat noise; one of its own stands."""
    made = composition(config({}, {"noise": 9.0}, {"floor": 0.25}, measure_floors=True, floor=1e-9))
    wide = np.tile([0.0, 1.0, 2.0, 3.0], 3)  # s = 1.2910
    told = step(made, shape, 0, r0=wide, r1=wide, r2=wide)
    assert told["floor/r0"] == pytest.approx(0.6455, abs=1e-4) and told["floor/r1"] == 9.0
    assert step(made, shape, 1, r0=wide / 99, r1=wide, r2=wide)["floor/r0"] == told["floor/r0"]
    assert made._floor() == pytest.approx({"r0": 0.6455, "r1": 9.0, "r2": 0.25}, abs=1e-4)
    again = composition(made.config)
    again.load(made.state())
    assert again._floor() == made._floor()


def test_a_stage_opens_only_on_a_plateau_and_stays_open(shape: Shape) -> None:
    made = composition(config({}, {"stage": 1}, plateau=3))
    for number in range(12):  # rising
        told = step(made, shape, number, r0=noise(2.0 * number), r1=noise(0))
        assert told["stage"] == 0 and "influence/r1" not in told
    number = 12
    while made.stage == 0 and number < 60:  # level
        step(made, shape, number, r0=noise(24.0), r1=noise(0))
        number += 1
    assert made.stage == 1 and 15 <= number < 60
    assert made.news() == ["the rewards have levelled off; 'r1' count now."] and not made.news()
    told = step(made, shape, number, r0=noise(-9.0), r1=noise(0))  # worse again: no way back
    assert told["stage"] == 1 and told["influence/r1"] > 0.1
    again = composition(made.config)
    again.load(made.state())
    assert again.stage == 1 and [t.active for t in again.terms(0)] == [True, True]


def test_a_weight_follows_its_target_from_a_checkpoint_as_without_one(shape: Shape) -> None:
    made = composition(config({"target": 5.0, "weight": 2.0}, {}))
    made.base = {"r0": [0.0, 2.0]}
    values = [{"r0": noise(0), "r1": noise(0)} for _ in range(8)]
    for number in range(4):
        told = step(made, shape, number, **values[number])
    assert 2.0 < told["weight/r0"] <= 2.0 * 1.1**3 + 1e-9
    again = composition(made.config)
    again.base, _ = made.base, again.load(made.state())
    for number in range(4, 8):
        mine = step(made, shape, number, **values[number])
        assert step(again, shape, number, **values[number]) == mine


def test_doubt_is_the_deviation_that_a_reward_gives(shape: Shape) -> None:
    made = composition(config({"doubtful": True}))
    sure, unsure = np.zeros(12), np.ones(12)
    unsure[:6] = 0.0
    value = np.tile([0.0, 1.0, 2.0, 3.0], 3)
    said = {"r0": Scores.of(value, {"sd": sure})}
    blank = np.full(len(shape), np.nan)
    plain = made.assign(shape, said, made.terms(0), Credit("tree"), blank).composed.total
    said = {"r0": Scores.of(value, {"sd": unsure})}
    less = made.assign(shape, said, made.terms(0), Credit("tree"), blank).composed.total
    assert np.abs(less[:4]) == pytest.approx(np.abs(plain[:4]))
    assert np.abs(less[8:]) == pytest.approx(np.abs(plain[8:]) / 3)  # ū² = ½, so 1/(1 + 2)
    told = step(made, shape, 0, r0=Scores.of(value, {"sd": np.exp(value)}))
    assert told["doubt_bias/r0"] == pytest.approx(1) and told["doubt/r0"] > 1
    with pytest.raises(RewardError, match="gives no deviation"):
        step(made, shape, 0, r0=value)


# --- failures -----------------------------------------------------------------------------------


def test_three_updates_with_failures_running_are_too_many(shape: Shape) -> None:
    made = composition(config({}))
    ill = noise(0)
    ill[0] = np.nan  # one of twelve, 8 %
    for number, value in enumerate([ill, ill, noise(0), ill, ill]):
        step(made, shape, number, r0=value)
        assert made.lacking(number) == ""
    step(made, shape, 5, r0=ill)
    assert "more than 5% of the pictures in 3 updates running" in made.lacking(6)


@pytest.mark.parametrize("status", ["n/a", "abstain"])
def test_abstaining_and_not_applying_are_no_failures(shape: Shape, status: str) -> None:
    made = composition(config({}))
    said = Scores.of(noise(0))
    said.values[:6], said.status[:6] = np.nan, [status] * 6
    for number in range(4):
        step(made, shape, number, r0=said)
    assert not made.lacking(4)


def test_failures_at_random_do_not_shift_what_is_learned() -> None:
    """The same eight pictures in 4,000 groups, one reward failing on 20 % of them. What is left
    has the advantages of a run without failures, up to one factor for all (n siblings instead of
    G have (1 − 1/n) of the pull instead of (1 − 1/G)). Counted as 0, failures would shift it."""
    rng, times, size = np.random.default_rng(2), 4000, 8
    one, two = 5 + rng.normal(size=size), rng.normal(size=size)
    group = np.repeat(np.arange(times), size)
    value = np.tile(one, times)
    failed = rng.random(times * size) < 0.2
    terms = [Term("one", required=True), Term("two")]

    def pulls(said: np.ndarray) -> np.ndarray:
        both = {"one": said, "two": np.tile(two, times)}
        found = compose(both, group, terms, clip=99.0)
        return np.where(found.used, found.total, np.nan).reshape(times, size)

    whole = pulls(value)[0]
    kept = pulls(np.where(failed, np.nan, value))
    mean, error = np.nanmean(kept, axis=0), np.nanstd(kept, axis=0) / np.sqrt(0.8 * times)
    factor = (mean * whole).sum() / (whole**2).sum()
    assert 0.94 < factor < 1.0
    assert (np.abs(mean - factor * whole) < 4 * error).all()
    spoilt = pulls(np.where(failed, 0.0, value)).mean(axis=0)
    assert np.abs(spoilt / whole - factor).max() > 0.3


def test_a_run_pauses_where_a_reward_fails_too_often(tiny_sd3: Path) -> None:
    """Every picture of one prompt fails; the log says why, and the checkpoint is there."""

    def half(images: np.ndarray) -> np.ndarray:
        value = images.mean(axis=(1, 2, 3), dtype=np.float64)
        value[: len(value) // 8] = np.nan
        return value

    memory = Memory()
    read = settings(tiny_sd3, num_steps=8)
    result = run(tiny_sd3, read, memory, rewards={"saturation": Fixed(half)})
    assert result.status == "paused" and result.lacking and result.step == 3
    assert memory.checkpoints[-1].step == 3
    assert any(level == "warning" and "Mend the reward" in text for level, text in memory.logs)
    calm = settings(tiny_sd3, num_steps=4, compose={"missing": 1.0})
    assert run(tiny_sd3, calm, Memory(), rewards={"saturation": Fixed(half)}).status == "done"


def test_a_run_with_every_operator_adds_up_and_resumes_as_if_it_had_not_ended(
    tiny_sd3: Path,
) -> None:
    terms = [
        {"name": "a", "kind": "saturation", "transform": "log-sigmoid", "target": 9.0},
        {"name": "b", "kind": "brightness", "scale": "frozen", "stage": 1},
        {"name": "g", "kind": "brightness", "role": "gate", "thresholds": [0.0, 0.01]},
    ]
    read = settings(
        tiny_sd3,
        num_steps=6,
        rewards=terms,
        compose={"measure_floors": True, "plateau": 2, "plateau_margin": 9.0, "difficulty": "peak"},
    )
    whole, first, second = Memory(), Memory(pause_after=3), Memory()
    run(tiny_sd3, read, whole)
    run(tiny_sd3, read, first)
    run(tiny_sd3, read, second, resume=first.checkpoints[-1])
    for one, other in zip(whole.iterations[3:], second.iterations, strict=True):
        assert one.metrics == other.metrics
    assert whole.iterations[-1].metrics["stage"] == 1.0
    for record in whole.iterations:
        for group in record.groups:
            assert set(group.detail["floors"]) == {"a", "b", "g"}
            for node in group.nodes:
                if node.kind == "leaf" and node.advantage is not None and group.kept:
                    shares = [part["share"] or 0.0 for part in node.rewards.values()]
                    assert sum(shares) == pytest.approx(node.advantage, abs=1e-6)
