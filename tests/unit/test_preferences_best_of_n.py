"""Best-of-N by order statistics: against every choice of N there is, and what must hold always."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from backend.errors import InputError
from backend.preferences.best_of_n import curve, depth_of, equal_n, gains, picked, weights


def test_weights_are_those_of_all_choices() -> None:
    values = np.array([0.4, 0.9, 0.1, 0.7, 0.3, 0.8])
    gold = np.array([5.0, 1.0, 2.0, 7.0, 3.0, 4.0])
    for num in range(1, 7):
        tries = [
            max(some, key=lambda i: values[i]) for some in itertools.combinations(range(6), num)
        ]
        assert weights(values, num) @ gold == pytest.approx(np.mean([gold[i] for i in tries]))
    assert weights([1, 3, 2], 2).tolist() == pytest.approx([0, 2 / 3, 1 / 3])


def test_ties_share_their_weight() -> None:
    assert weights([1.0, 1.0, 0.0], 2).tolist() == pytest.approx([0.5, 0.5, 0.0])
    assert weights([1.0, 1.0, 1.0], 3).tolist() == pytest.approx([1 / 3] * 3)


def test_the_curve_starts_at_the_mean_and_never_falls_for_the_selecting_reward() -> None:
    rng = np.random.default_rng(0)
    prompts = [(v := rng.normal(size=12), v) for _ in range(9)]
    points = curve(prompts, 12)
    assert points[0].value == pytest.approx(np.mean([v.mean() for v, _ in prompts]))
    assert points[-1].value == pytest.approx(np.mean([v.max() for v, _ in prompts]))
    values = [point.value for point in points]
    assert all(a <= b for a, b in itertools.pairwise(values))
    assert all(point.low < point.value < point.high for point in points)
    rest = gains(prompts, 12)
    assert rest[0].mean == pytest.approx(0) and rest[3].mean == pytest.approx(values[3] - values[0])


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Best of 4 standard normal draws is 1.0294 on average."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        prompts = [(v := rng.normal(size=8), v) for _ in range(30)]
        point = curve(prompts, 4)[3]
        held += point.low <= 1.02937 <= point.high
    assert 0.90 <= held / 300 <= 0.985


def test_a_gold_that_disagrees_turns_down_while_the_selecting_reward_rises() -> None:
    rng = np.random.default_rng(2)
    prompts = [(v := rng.normal(size=10), -v) for _ in range(5)]
    gold = [point.value for point in curve(prompts, 10)]
    assert all(a > b for a, b in itertools.pairwise(gold))


def test_pictures_that_nobody_judged_count_for_nothing() -> None:
    selecting = np.array([0.0, 1.0, 2.0, 3.0])
    verdicts = np.array([0.0, math.nan, math.nan, 1.0])
    points = curve([(selecting, verdicts), (selecting, verdicts)], 4)
    assert points[0].value == pytest.approx(0.5) and points[3].value == pytest.approx(1.0)
    assert math.isnan(curve([(selecting, np.full(4, math.nan))], 1)[0].value)


def test_depth_uses_most_pictures_and_equal_calls_are_counted() -> None:
    assert depth_of([4, 4, 4, 9]) == 4 and depth_of([8, 8, 2]) == 8 and depth_of([]) == 0
    assert picked([0.1, 0.9, 2.0], 2) == 1 and picked([0.1, 0.9, 2.0], 3) == 2
    assert equal_n(1_000, 100, 10) == 2 and equal_n(999, 100, 10) == 1 and equal_n(0, 1, 1) == 1


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be"):
        weights([1.0, 2.0], 3)
    with pytest.raises(InputError, match="without a value"):
        weights([1.0, math.nan], 1)
