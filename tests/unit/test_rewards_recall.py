"""A reward that remembers is asked about a picture and prompt once, and says the same again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from backend.registry import rewards
from backend.rewards import _hub, _recall
from backend.rewards._recall import recalled
from backend.rewards.interface import Images, Scores

PICTURES = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)
SHARED = ("clip-score", "pick-score", "hps-v2", "laion-aesthetic", "dino")
"""These remember what their encoder made of a picture, which several heads use."""


class Counted:
    """Says nothing of red; remembers which pictures it was asked about."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    @recalled
    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        self.asked.append(len(images))
        silent = np.array([prompt == "red" for prompt in prompts])
        status = ["n/a" if one else "ok" for one in silent]
        whole = images.sum(axis=(1, 2, 3)) * 1.0
        return Scores(np.where(silent, np.nan, whole / 2), status, {"sum": whole})


def test_each_picture_and_prompt_is_asked_about_once() -> None:
    reward, prompts = Counted(), ["a", "b", "red", "a"]
    first = reward.score(PICTURES, prompts)
    again = reward.score(PICTURES[::-1], prompts[::-1])
    assert reward.asked == [4]
    np.testing.assert_array_equal(again.values[::-1], first.values)
    np.testing.assert_array_equal(again.parts["sum"], PICTURES[::-1].sum(axis=(1, 2, 3)))
    assert again.status[::-1] == first.status == ["ok", "ok", "n/a", "ok"]
    reward.score(PICTURES, ["a", "c", "c", "a"])  # two new prompts of known pictures
    reward.score(np.concatenate([PICTURES[:1] + 1] * 3), ["a"] * 3)  # one new picture, three times
    assert reward.asked == [4, 2, 1]
    other = Counted()
    other.score(PICTURES, prompts)
    assert other.asked == [4]


def test_what_is_raised_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    reward = Counted()
    monkeypatch.setattr(reward, "asked", None)  # `append` raises
    with pytest.raises(AttributeError):
        reward.score(PICTURES, ["a"] * 4)
    monkeypatch.setattr(reward, "asked", [])
    assert reward.score(PICTURES, ["a"] * 4).status == ["ok"] * 4 and reward.asked == [4]


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_recall, "KEPT", 3)
    reward = Counted()
    reward.score(PICTURES, ["a"] * 4)
    reward.score(PICTURES[1:], ["a"] * 3)
    reward.score(PICTURES[:1], ["a"])
    assert reward.asked == [4, 1]


@pytest.mark.parametrize("kind", sorted(set(_hub.STOCK) - set(SHARED)))
def test_stock_rewards_without_a_shared_encoder_remember_values(kind: str) -> None:
    module = rewards.get(kind)
    here = [
        one for one in vars(module).values() if getattr(one, "__module__", "") == module.__name__
    ]
    (scorer,) = (one for one in here if hasattr(one, "score"))
    assert hasattr(scorer.score, "__wrapped__")
