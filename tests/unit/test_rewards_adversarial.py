"""The adversarial reward: learns what gives the policy's pictures away, and resumes to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.errors import RewardError
from backend.pocket import world
from backend.rewards import _encoders, _references, _weights, adversarial
from backend.rewards._critic import Critic
from backend.rewards.interface import Checked, checked

PROMPTS = [prompt for prompt in world.draw(6, 3) for _ in range(4)]
HELD = [prompt for prompt in world.draw(8, 7, "heldout") for _ in range(4)]


def saturated(images: np.ndarray, strength: float = 1.6) -> np.ndarray:
    """The same pictures further from grey; below strength 1, nearer to it."""
    grey = images.mean(axis=-1, keepdims=True)
    return np.clip(grey + strength * (images - grey), 0, 255).astype(np.uint8)


def fresh(**config: object) -> Checked:
    return checked(adversarial.load(adversarial.Config.read(config)), "adversarial")


def made(step: int, strength: float = 1.6) -> np.ndarray:
    """What an over-saturating policy draws at an update."""
    return saturated(world.render_many(PROMPTS, 10_000 + 100 * step), strength)


# ---------------------------------------------------------------- the critic


def test_the_critics_slopes_are_those_of_its_loss() -> None:
    rng, h = np.random.default_rng(0), 1e-6
    good, bad = rng.normal(size=(7, 5)), rng.normal(size=(9, 5))
    critic = Critic([0])
    for _ in range(30):
        critic.learn(good, bad, 0.02)

    def loss() -> float:
        up, down = critic.value(good), critic.value(bad)
        return float(np.maximum(0, 1 - up).mean() + np.maximum(0, 1 + down).mean()) / 2

    sign = np.concatenate(
        [(critic.value(good) < 1) / (-2 * len(good)), (critic.value(bad) > -1) / (2 * len(bad))]
    )
    slopes = critic._slopes(np.concatenate([good, bad]), sign)
    for name, slope in slopes.items():
        for place in list(np.ndindex(slope.shape))[:6]:
            before, ends = critic.arrays[name].copy(), []
            for change in (h, -h):
                critic.arrays[name] = before.copy()
                critic.arrays[name][place] += change
                ends.append(loss())
            critic.arrays[name] = before
            assert slope[place] == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=1e-6), name


def test_a_critic_that_learned_nothing_finds_everything_equal_and_its_first_loss_is_one() -> None:
    critic, rows = Critic([0]), np.random.default_rng(0).normal(size=(4, 5))
    assert not critic.value(rows).any() and critic.value(rows[None]).shape == (1, 4)
    assert critic.learn(rows, rows, 0.1) == 1.0


# ---------------------------------------------------------------- the reward


def test_it_tells_references_from_a_saturated_copy_after_a_few_lessons() -> None:
    scorer = fresh()
    figures = [scorer.observe(made(step), PROMPTS, step) for step in range(3)]
    assert figures[0]["updates"] == 10 and figures[0]["told_apart"] == 0.5
    assert figures[-1]["told_apart"] > 0.6
    true, false = world.render_many(HELD, 1), saturated(world.render_many(HELD, 2))
    wanted, unwanted = (scorer.score(images, HELD).values for images in (true, false))
    assert (wanted[:, None] > unwanted[None, :]).mean() > 0.6


def test_it_rests_while_it_is_not_fooled_and_learns_when_it_is() -> None:
    """First the pictures are too saturated; then so grey that it likes them better."""
    scorer = fresh()
    scorer.observe(made(0), PROMPTS, 0)
    before = {name: array.tobytes() for name, array in scorer.state().items()}
    rested = scorer.observe(made(1), PROMPTS, 1)
    assert rested["updates"] == 0 and rested["generated"] < rested["reference"]
    assert {name: array.tobytes() for name, array in scorer.state().items()} == before
    fooled = scorer.observe(made(2, 0.4), PROMPTS, 2)
    assert fooled["updates"] == 10 and fooled["generated"] > fooled["reference"]


def test_scoring_teaches_it_nothing_and_a_value_does_not_hang_on_company() -> None:
    scorer = fresh()
    scorer.observe(made(0), PROMPTS, 0)
    together = scorer.score(made(1), PROMPTS).values
    assert scorer.score(made(1), PROMPTS).values.tobytes() == together.tobytes()
    assert scorer.score(made(1)[:3], PROMPTS[:3]).values == pytest.approx(together[:3], abs=1e-6)


def test_resumed_from_its_state_it_goes_on_with_the_same_bits() -> None:
    whole, resumed = fresh(seed=3), fresh(seed=3)
    whole.observe(made(0), PROMPTS, 0)
    assert all(array.ndim for array in whole.state().values())
    kept = _weights.pack(whole.state(), {"format": "test"})  # as a checkpoint would
    resumed.load_state(_weights.unpack(kept, "test", "")[0])
    for scorer in (whole, resumed):
        assert scorer.observe(made(1, 0.4), PROMPTS, 1)["updates"] == 10
    ours, theirs = (scorer.score(made(2), PROMPTS).values for scorer in (whole, resumed))
    assert ours.tobytes() == theirs.tobytes() and ours.any()
    untouched = fresh(seed=3)
    untouched.load_state(fresh(seed=3).state())
    assert untouched.learns and untouched.state() == {}


def test_the_same_seed_learns_the_same_and_another_something_else() -> None:
    values = []
    for seed in (1, 1, 2):
        scorer = fresh(seed=seed)
        scorer.observe(made(0), PROMPTS, 0)
        values.append(scorer.score(made(1), PROMPTS).values.tobytes())
    assert values[0] == values[1] != values[2]


def test_the_weights_mix_the_whole_and_the_places() -> None:
    scorer = fresh(weight_global=2.0, weight_local=0.5)
    scorer.observe(made(0), PROMPTS, 0)
    scores = scorer.score(made(1), PROMPTS)
    mixed = 2 * scores.parts["whole"] + 0.5 * scores.parts["places"]
    assert scores.values == pytest.approx(mixed) and scores.parts["places"].any()


def test_a_state_of_another_reward_is_refused() -> None:
    with pytest.raises(RewardError, match="no part of an adversarial reward"):
        fresh().load_state({"head/weight": np.zeros(3)})


# ---------------------------------------------------------------- references


def test_stored_references_are_taken_by_prompt_or_else_from_all(tmp_path: Path) -> None:
    path, pictures = tmp_path / "references.safetensors", world.render_many(PROMPTS, 0)
    path.write_bytes(_references.pack(pictures, PROMPTS))
    stored = _references.read(path)
    own = stored.draw([PROMPTS[4]] * 3, 8, [0, 1])
    assert sorted(row.tobytes() for row in own) == sorted(row.tobytes() for row in pictures[4:8])
    other = stored.draw(["a cat"], 2, [0, 1])
    assert other.shape == (2, 64, 64, 3)
    assert other.tobytes() == stored.draw(["a cat"], 2, [0, 1]).tobytes()
    config = adversarial.Config.read({"references": "hash"})
    scorer = checked(adversarial.load(config, lambda name: {"hash": path}[name]), "adversarial")
    assert scorer.observe(made(0), PROMPTS, 0)["updates"] == 10


def test_pocket_references_are_renders_of_each_prompt_once_over() -> None:
    drawn = _references.PocketReferences().draw(PROMPTS, 2, [0, 5])
    assert drawn.shape == (12, 64, 64, 3)
    assert drawn.tobytes() != _references.PocketReferences().draw(PROMPTS, 2, [0, 6]).tobytes()


def test_a_file_without_references_and_a_prompt_without_a_render_are_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(_references.pack(world.render_many(PROMPTS[:2], 0), PROMPTS[:1]))
    with pytest.raises(RewardError, match="holds no reference pictures"):
        _references.read(path)
    with pytest.raises(RewardError, match="cannot be looked up here"):
        adversarial.load(adversarial.Config(references="hash"))
    with pytest.raises(RewardError, match="could not learn"):
        fresh().observe(made(0)[:1], ["a cat"], 0)


def test_the_pocket_encoder_sees_places() -> None:
    patches = _encoders.load("pocket").patches(made(0)[:3])
    assert patches.shape == (3, 16, 224)
    assert np.linalg.norm(patches, axis=-1) == pytest.approx(1, abs=1e-5)
