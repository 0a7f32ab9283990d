"""Directional likeness: nothing at b = 0, a planted taste found, the same bits loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.errors import ConfigError, InputError, RewardError
from backend.pocket import near, world
from backend.rewards import _direction, _encoders, directional, learn
from backend.rewards.interface import checked

NUM, EACH = 40, 6
"""Prompts, and pictures of each."""


def pictures() -> tuple[np.ndarray, list[str]]:
    """Of every prompt three right pictures and three with a word wrong, under changing light."""
    rng, images, prompts = np.random.default_rng(0), [], []
    for prompt in world.draw(NUM, 5):
        wrong = [other for _, others in near.one_word_changed(prompt) for other in others]
        for number in range(EACH):
            shown = prompt if number < EACH // 2 else wrong[rng.integers(len(wrong))]
            picture = world.render(world.parse(shown), int(rng.integers(2**30)))
            images.append(np.clip(picture * rng.uniform(0.6, 1) + rng.uniform(0, 40), 0, 255))
            prompts.append(prompt)
    return np.stack(images).astype(np.uint8), prompts


IMAGES, PROMPTS = pictures()


@pytest.fixture(scope="module")
def taste() -> np.ndarray:
    """A direction in which pictures of one prompt differ: what the planted person likes."""
    rows = _encoders.load("pocket").image(IMAGES).reshape(NUM, EACH, -1)
    rest = (rows - rows.mean(axis=1, keepdims=True)).reshape(NUM * EACH, -1)
    vectors = np.linalg.eigh((rest.T @ rest).astype(np.float64))[1]
    return 0.5 * vectors[:, -1] + 0.4 * vectors[:, -3]


def judged(utility: np.ndarray, num: int) -> learn.PairData:
    """Noisy answers of someone with this utility, who leans to the left."""
    rng, answers = np.random.default_rng(1), []
    for _ in range(num):
        first = int(rng.integers(NUM)) * EACH
        a, b = (first + rng.choice(EACH, 2, replace=False)).tolist()
        side = "a" if rng.random() < 0.5 else "b"
        felt = utility[a] - utility[b] + (0.4 if side == "a" else -0.4) + rng.logistic()
        seen = "left" if (felt > 0) == (side == "a") else "right"
        answers.append(learn.Answer(a, b, "tie" if abs(felt) < 0.3 else seen, side))
    return learn.PairData.of(IMAGES, PROMPTS, answers)


@pytest.fixture(scope="module")
def fitted(taste: np.ndarray) -> tuple[directional.Directional, directional.Figures]:
    utility = 25 * directional.Directional(taste).score(IMAGES, PROMPTS).values
    return directional.fit_direction(judged(utility, 300), seed=0)


def test_no_direction_is_plain_likeness_to_the_bit() -> None:
    encoder = _encoders.load("pocket")
    scores = directional.Directional(np.zeros(96)).score(IMAGES, PROMPTS)
    picture, text = encoder.image(IMAGES).astype(float), encoder.text(PROMPTS).astype(float)
    assert scores.values.tobytes() == (picture * text).sum(axis=1).tobytes()
    assert not scores.parts["direction"].any()


def test_a_corrected_text_by_hand() -> None:
    """e = (1, 0), b = (0, 1): e± = (1, ±1)/√2, e* = e₋ + 1.5·(0, √2) = (1, 2)/√2."""
    star = _direction.corrected(np.array([[1.0, 0.0]]), np.array([0.0, 1.0]), 1.5)
    assert star[0] == pytest.approx(np.array([1.0, 2.0]) / np.sqrt(2))


def test_a_long_direction_leaves_nothing_of_the_prompt() -> None:
    text = np.eye(3)
    star = _direction.corrected(text, np.array([0.0, 0.0, 1e6]), 1.5)
    assert star == pytest.approx(np.tile([0.0, 0.0, 2.0], (3, 1)), abs=1e-5)


def test_the_slope_is_that_of_the_corrected_likeness() -> None:
    rng, h = np.random.default_rng(0), 1e-6
    apart, text, b = rng.normal(size=(5, 4)), rng.normal(size=(5, 4)), rng.normal(size=4)
    slope = _direction.slope(apart, text, b, 1.5)
    for axis in range(4):
        up, down = (
            (apart * _direction.corrected(text, b + step * np.eye(4)[axis], 1.5)).sum(axis=1)
            for step in (h, -h)
        )
        assert slope[:, axis] == pytest.approx((up - down) / (2 * h), abs=1e-6)


def test_a_planted_taste_raises_the_held_out_agreement(
    fitted: tuple[directional.Directional, directional.Figures], taste: np.ndarray
) -> None:
    reward, figures = fitted
    assert figures.usable and figures.low > figures.baseline["high"]
    assert figures.accuracy > figures.baseline["accuracy"] + 0.05
    assert figures.side_bias == pytest.approx(0.4, abs=0.35)
    found = reward.direction @ taste / np.linalg.norm(reward.direction) / np.linalg.norm(taste)
    assert found > 0.7


def test_without_any_taste_it_does_not_pretend_to_one() -> None:
    _, figures = directional.fit_direction(judged(np.zeros(len(IMAGES)), 200), seed=0)
    assert not figures.usable and figures.length < 0.3


def test_saved_and_loaded_it_gives_the_same_bits(
    fitted: tuple[directional.Directional, directional.Figures], tmp_path: Path
) -> None:
    reward, path = fitted[0], tmp_path / "direction.safetensors"
    path.write_bytes(reward.to_bytes())
    again = directional.load(directional.Config(weights="hash"), lambda name: {"hash": path}[name])
    ours, theirs = (r.score(IMAGES[:9], PROMPTS[:9]).values.tobytes() for r in (reward, again))
    assert ours == theirs and again.to_bytes() == reward.to_bytes()
    assert checked(again, "directional").score(IMAGES[:3], PROMPTS[:3]).status == ["ok"] * 3


def test_a_file_that_is_no_direction_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(RewardError, match="not a direction"):
        directional.from_file(path)
    with pytest.raises(RewardError, match="cannot be read"):
        directional.from_file(tmp_path / "absent.safetensors")
    with pytest.raises(ConfigError, match="learn one from labels first"):
        directional.load(directional.Config())


def test_pairs_that_cannot_teach_are_refused() -> None:
    with pytest.raises(InputError, match="too few"):
        directional.fit_direction(judged(np.zeros(len(IMAGES)), 8), seed=0)
