"""Who of a group meets whom, and what the bouts say of each: the win rate's mathematics.

Pairings are drawn up round by round by the circle method: one sits still, the others move on one
seat, and each meets whoever sits opposite. In a round everybody has one bout; of an odd group one
rests. G − 1 rounds (G of an odd group) are all pairs. Two rounds in a row already join everybody
by some chain of bouts, so that any two of the group can be compared.

A bout's verdict p is how likely the first is the better one: 1, 0, ½ for a tie, or between. From
all pairs the win rate is their plain mean. From fewer, by whom one was beaten must count:

    θ = argmax Σ p ln σ(θ_i − θ_j) + (1 − p) ln σ(θ_j − θ_i) − λ/2 |θ|²
    w_i = mean over the others j of σ(θ_i − θ_j)

The objective is strictly concave, so the fit is one, finite, and independent of the bouts' order.
Sources: Bradley and Terry 1952, a tie being half a win for each; Pref-GRPO (arXiv 2508.20751) for
the plain mean over all pairs.

Letters: G pictures of a group, M bouts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

from backend.rewards import _bradley_terry as bt
from backend.rewards.interface import Bools, Floats, Ints

PRIOR: Final = 0.25
"""λ: strengths of about ±2 are expected before any bout. Simulated with 12 pictures, 4 rounds and
judges from noisy to perfect, the rates then spread .75 to 1.13 times as wide as the true ones; with
λ = 1 it is .51 to .73, which would shrink every advantage."""


COINS: Final = 100
"""Coins that are thrown for the mark of a schedule with fewer rounds."""


def num_bouts(sizes: Ints, rounds: int) -> Ints:
    """Bouts of groups of these sizes in so many rounds; 0 rounds are all pairs."""
    every = sizes + sizes % 2 - 1
    return np.asarray(np.minimum(rounds or every, every) * (sizes // 2))


def schedule(num: int, rounds: int) -> tuple[Ints, Ints]:
    """The bouts of `num` seats in so many rounds, 0 for all pairs, as two index arrays (M,).

    Example: 4 seats, 2 rounds: 0–3, 1–2 and 1–3, 2–0.
    """
    seats = num + num % 2
    every = seats - 1
    turn = np.arange(min(rounds or every, every))[:, None]
    away = np.arange(seats // 2)[None, :]
    one = ((turn + away) % every).ravel()
    other = np.where(away == 0, every, (turn - away) % every).ravel()
    seated = np.maximum(one, other) < num  # whoever is opposite the empty seat rests
    return one[seated], other[seated]


def rates(first: Ints, second: Ints, beats: Floats, num: int) -> tuple[Floats, Ints]:
    """Win rate of each of a group, and the bouts it rests on; NaN where there is none.

    first, second: (M,) who met whom; beats: (M,) verdicts for the first, NaN where missing.
    """
    complete = len(first) == num * (num - 1) // 2
    known = np.isfinite(beats)
    first, second, beats = first[known], second[known], beats[known]
    bouts = np.bincount(first, minlength=num) + np.bincount(second, minlength=num)
    if complete:
        wins = np.bincount(first, beats, num) + np.bincount(second, 1 - beats, num)
        rate = wins / np.maximum(bouts, 1)
    else:
        rate = _expected(strengths(first, second, beats, num), bouts > 0)
    return np.where(bouts > 0, rate, np.nan), bouts.astype(np.int64)


def spread(first: Ints, second: Ints, beats: Floats, num: int) -> float:
    """Standard deviation of the group's rates under plain verdicts: 1, 0, or ½ for a tie."""
    plain = np.where(np.isnan(beats), np.nan, (1 + np.sign(np.round(beats - 0.5, 9))) / 2)
    rate, _ = rates(first, second, plain, num)
    known = rate[np.isfinite(rate)]
    return float(known.std()) if len(known) > 1 else 0.0


@lru_cache(maxsize=256)
def coin_mark(num: int, rounds: int) -> float:
    """The `spread` that a coin seldom reaches: 1.3 √(.25/(G − 1)) over all pairs, one coin in
    twenty or fewer; with fewer rounds, whose rates come from a fit, what one in ten exceeds.

    There 1.3 times a coin would be out of reach: of 12 in 4 rounds a coin spreads .187 and a
    perfect order .235.
    """
    first, second = schedule(num, rounds)
    if len(first) == num * (num - 1) // 2:
        return float(1.3 * np.sqrt(0.25 / max(num - 1, 1)))
    rng = np.random.default_rng([num, rounds])
    drawn = rng.integers(0, 2, (COINS, len(first))).astype(np.float64)
    return float(np.quantile([spread(first, second, one, num) for one in drawn], 0.9))


def strengths(
    first: Ints, second: Ints, beats: Floats, num: int, *, prior: float = PRIOR
) -> Floats:
    """θ of each of a group by Bradley–Terry; 0 for whoever had no bout. (G,)"""
    return strengths_and_deviations(first, second, beats, num, prior=prior)[0]


def strengths_and_deviations(
    first: Ints, second: Ints, beats: Floats, num: int, *, prior: float = PRIOR
) -> tuple[Floats, Floats]:
    """θ of each of a group and its posterior standard deviation by Laplace. (G,) each"""
    row = np.arange(len(first))
    x_MG = np.zeros((len(first), num))
    x_MG[row, first], x_MG[row, second] = 1.0, -1.0
    outcome = np.repeat(np.array([bt.A, bt.B], dtype=np.int64), len(first))
    nothing = np.zeros(num)
    theta, covariance = bt.mode(
        np.concatenate([x_MG, x_MG]),
        outcome,
        np.full(num, prior),
        nothing,
        nothing,
        0.0,
        np.concatenate([beats, 1 - beats]),  # both win their part of a bout
    )
    return theta, np.sqrt(np.diag(covariance))


def _expected(theta: Floats, met: Bools) -> Floats:
    """Mean of σ(θ_i − θ_j) over the others who had a bout. (G,)"""
    chance = (1 + np.tanh((theta[:, None] - theta[None, :]) / 2)) / 2
    against = met[None, :] & ~np.eye(len(theta), dtype=bool)
    return np.asarray((chance * against).sum(axis=1) / np.maximum(against.sum(axis=1), 1))
