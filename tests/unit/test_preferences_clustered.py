"""Intervals over prompts against a bootstrap written out, and ranks and correlations by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backend.preferences import clustered
from backend.rewards._prompt_kinds import PLAIN, kinds_of

RNG = np.random.default_rng(5)
PROMPT = np.repeat(np.arange(40), 4)
TASTE = np.repeat(RNG.random(40), 4)
HIT = (RNG.random(160) < 0.4 + 0.5 * TASTE).astype(np.float64)


def by_hand(statistic, draws: int = 4000) -> tuple[float, float]:
    """Whole prompts with replacement, one draw after the other."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(draws):
        rows = np.concatenate([np.flatnonzero(p == PROMPT) for p in rng.integers(0, 40, 40)])
        found.append(statistic(rows))
    return tuple(np.quantile(found, (0.025, 0.975)))


def test_the_interval_of_a_share_is_that_of_a_bootstrap_over_prompts() -> None:
    found = clustered.share(HIT, PROMPT)
    low, high = by_hand(lambda rows: HIT[rows].mean(), 2000)
    assert found.value == HIT.mean() and found.num == 160
    assert found.low == pytest.approx(low, abs=0.012) and found.high == pytest.approx(
        high, abs=0.012
    )
    assert clustered.share(HIT, PROMPT) == found  # the draws are fixed
    naive = clustered.share(HIT, np.arange(160))
    assert found.high - found.low > naive.high - naive.low  # siblings are no independent witnesses


def test_few_or_no_prompts_say_little() -> None:
    nothing = clustered.share(np.zeros(0), np.zeros(0, dtype=np.int64))
    assert math.isnan(nothing.value) and (nothing.low, nothing.high) == (0.0, 1.0)
    one = clustered.share(np.ones(5), np.zeros(5, dtype=np.int64))
    assert (one.value, one.low, one.high) == (1.0, 0.0, 1.0)


def test_correlations_are_those_of_numpy_with_a_bootstrap_over_prompts() -> None:
    x = TASTE + 0.3 * RNG.normal(size=160)
    y = TASTE - 0.5 * (x - TASTE) + 0.1 * RNG.normal(size=160)
    ranks = [clustered.mean_ranks(v) for v in (x, y)]
    found = clustered.spearman(x, y, PROMPT)
    assert found.value == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-9)
    low, high = by_hand(lambda rows: np.corrcoef(ranks[0][rows], ranks[1][rows])[0, 1], 1000)
    assert (found.low, found.high) == (pytest.approx(low, abs=0.05), pytest.approx(high, abs=0.05))
    centred = [v - np.repeat(v.reshape(40, 4).mean(axis=1), 4) for v in (x, y)]
    within = clustered.inside(x, y, PROMPT)
    assert within.value == pytest.approx(np.corrcoef(*centred)[0, 1], abs=1e-9)
    assert within.high < 0 < found.low  # across prompts they agree, among siblings they do not


def test_ties_share_their_rank_and_what_does_not_vary_has_no_correlation() -> None:
    assert clustered.mean_ranks(np.array([3.0, 1.0, 3.0])).tolist() == [1.5, 0.0, 1.5]
    same = clustered.spearman(np.ones(8), np.arange(8.0), np.arange(8))
    assert math.isnan(same.value) and same.num == 8
    gaps = clustered.spearman(np.array([1, np.nan, 2, 3]), np.array([1, 5, 2, 3.0]), np.arange(4))
    assert gaps.num == 3 and gaps.value == pytest.approx(1.0)


def test_kinds_of_prompts_follow_their_words() -> None:
    assert kinds_of("two red circles above a small square") == ("counting", "colour", "position")
    assert kinds_of("a shop front that says 'open'") == ("writing",)
    assert kinds_of("a portrait of a fisherman") == (PLAIN,)
    assert kinds_of("a redwood") == (PLAIN,)  # a colour inside a word is none
