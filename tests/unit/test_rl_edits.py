"""Edit leverage: what a cheap edit does to a reward, against numbers known beforehand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from backend.pocket import world
from backend.registry import rewards
from backend.rewards._edits import PROBES
from backend.rewards.interface import Scores, checked
from backend.rl import edits

PROMPTS = [prompt for prompt in world.draw(6, 0) for _ in range(2)]
PICTURES = world.render_many(PROMPTS, 0)


class Light:
    """Mean light, 0 to 255, but it cannot see pictures whose first pixel is marked."""

    shape = "pointwise"

    def score(self, images: np.ndarray, prompts: Sequence[str]) -> Scores:
        value = images.mean(axis=(1, 2, 3))
        return Scores.of(np.where((images[:, 0, 0] == 255).all(axis=1), np.nan, value))


def light() -> object:
    return checked(Light(), "light")


@pytest.mark.parametrize("edit", list(PROBES))
def test_an_edit_changes_the_picture_and_not_its_size(edit: str) -> None:
    after = edits.edited(edit, PICTURES, PROMPTS)
    assert after.shape == PICTURES.shape and after.dtype == np.uint8
    assert (after != PICTURES).any(axis=(1, 2, 3)).all()
    assert (edits.edited(edit, PICTURES, PROMPTS) == after).all()


def test_the_change_is_that_of_the_values_and_its_error_is_by_prompt() -> None:
    reward = light()
    value = reward.score(PICTURES, PROMPTS).values
    (found,) = edits.levers(reward, PICTURES, PROMPTS, value, edits=["brightness"])
    after = reward.score(edits.edited("brightness", PICTURES, PROMPTS), PROMPTS).values
    assert found.change_B == pytest.approx(after - value, abs=1e-12)
    assert found.mean.mean == pytest.approx((after - value).mean())
    means = (after - value).reshape(6, 2).mean(axis=1)
    assert found.mean.se == pytest.approx(means.std(ddof=1) / math.sqrt(6)) and found.mean.num == 6
    assert found.raised.value == 1.0 and found.raised.low < 1
    inside = value.reshape(6, 2).std(axis=1, ddof=1).mean()
    assert found.leverage == pytest.approx((after - value).mean() / inside)


def test_a_value_that_is_missing_stays_missing_and_the_rest_counts() -> None:
    pictures = PICTURES.copy()
    pictures[3, 0, 0] = 255
    reward = light()
    value = reward.score(pictures, PROMPTS).values
    (found,) = edits.levers(reward, pictures, PROMPTS, value, edits=["border"])
    assert np.isnan(found.change_B).tolist() == [i == 3 for i in range(12)]
    assert found.raised.num == 11 and found.mean.mean < 0 and found.leverage < 0


def test_a_reward_that_likes_colour_is_bought_by_saturation_and_a_judge_is_not_asked() -> None:
    kind = rewards.get("saturation")
    colour = checked(kind.load(kind.Config()), "colour")
    values = colour.score(PICTURES, PROMPTS).values
    win_rate = rewards.get("win-rate")
    judged = checked(win_rate.load(win_rate.Config()), "judged")
    asked = {"colour": colour, "judged": judged}
    told = {"colour": values, "judged": values}
    found = edits.edit_leverage(asked, told, PICTURES, PROMPTS)
    assert set(found) == {"leverage/colour"} | {f"leverage/colour/{edit}" for edit in PROBES}
    assert found["leverage/colour"] == found["leverage/colour/saturation"] > 0
    assert found["leverage/colour/blur"] < found["leverage/colour/saturation"]


def test_where_nothing_differs_nothing_is_said() -> None:
    same = np.repeat(PICTURES[:1], 4, axis=0)
    reward = light()
    value = reward.score(same, PROMPTS[:1] * 4).values
    assert edits.edit_leverage({"light": reward}, {"light": value}, same, PROMPTS[:1] * 4) == {}
