"""Which model is better, and when we do not know: rankings from judgements, with intervals.

    tally = Tally.of(answers)                    sums per two models; the rest needs nothing else
    board = rank(tally, method="davidson")       strengths, intervals, brackets, votes needed
    cells = win_matrix(tally)

Each judgement weighs 1 / propensity, so that pairs that were chosen more often because of how they
look count no more than others. The unit that is drawn is the pair of pictures: all answers about
one pair stand or fall together in the errors (cluster-robust sandwich), however many people gave
them. Both bad is no win, no loss and no tie: it is left out and its share is shown beside it.

    bradley-terry, davidson    strengths θ (`strengths`)
    plain   share of wins, ties as halves, over all judgements with the model

Letters as there: K models, E couples of models that met.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from backend.errors import InputError
from backend.preferences.intervals import Z95, wilson_of
from backend.preferences.ledger import Ints
from backend.preferences.strengths import Tally, fit

Floats = NDArray[np.float64]
Method = Literal["plain", "bradley-terry", "davidson"]

METHODS: Final[tuple[Method, ...]] = ("bradley-terry", "davidson", "plain")
POWER: Final = 0.8
MANY: Final = 1_000_000_000
"""Votes that nobody will give: these two are even."""
MAX_MODELS: Final = 4000


@dataclass(frozen=True, slots=True)
class Standing:
    """One model on the board."""

    model: int
    """Its id."""
    rank: int
    """From 1 in the order of the strength."""
    strength: float
    """θ, or the share of wins."""
    low: float
    high: float
    votes: int
    wins: float
    """Unweighted, ties as halves."""
    both_bad: float
    """Share of the judgements of its pairs that said both bad."""
    tops: int
    """How many models are surely better."""
    needed: int | None
    """Further votes between it and the next one to tell them apart (`votes_needed`); None where
    that is so already, or where there is no next one."""


@dataclass(frozen=True)
class Board:
    """A ranking."""

    method: Method
    standings: list[Standing]
    """Best first."""
    brackets: list[tuple[int, int]]
    """Places (from 0, both included) of models among which none is separable from any other."""
    separable: NDArray[np.bool_]
    """(K, K) in the order of the standings."""
    covariance: Floats
    """(K, K) of the strengths, in the order of the standings."""
    tie: float | None
    """ν of Davidson."""
    anchored: bool
    """Whether a prior was needed: someone never lost, never won, or met nobody of the others."""


@dataclass(frozen=True, slots=True)
class Cell:
    """How often one model is preferred to another."""

    model: int
    other: int
    share: float
    low: float
    high: float
    wins: int
    ties: int
    losses: int
    pairs: int


# ---------------------------------------------------------------- ranking


def rank(tally: Tally, method: Method = "bradley-terry", *, level: float = 0.95) -> Board:
    """Order the models, best first.

    Intervals are at `level` each. Two models are separable where their difference is larger than
    z standard errors, with z for all K(K − 1)/2 comparisons together (Šidák): with the chance of
    `level` no two models of equal strength are called separable, in the whole board.
    """
    if method not in METHODS:
        raise InputError(f"There is no ranking '{method}'; choose {', '.join(METHODS)}.")
    if tally.size > MAX_MODELS:
        raise InputError(
            f"{tally.size} models are too many to rank at once; filter them to {MAX_MODELS}."
        )
    if tally.size < 2:
        return Board(method, [], [], np.zeros((0, 0), bool), np.zeros((0, 0)), None, False)
    if method == "plain":
        strength, covariance, tie, anchored = (*_plain(tally), None, False)
    else:
        fitted = fit(tally, ties=method == "davidson")
        strength, covariance = fitted.strength, fitted.covariance
        tie, anchored = fitted.tie, fitted.anchored
    order = np.argsort(-strength, kind="stable")
    strength, covariance = strength[order], covariance[np.ix_(order, order)]
    z = _z(level, tally.size)
    apart = _separable(strength, covariance, z)
    standings = _standings(tally, order, strength, covariance, apart, method, z)
    return Board(method, standings, _brackets(apart), apart, covariance, tie, anchored)


def win_matrix(tally: Tally, *, level: float = 0.95) -> list[Cell]:
    """Every model against every other it met, ties as halves, with Wilson intervals.

    The interval is of as many independent votes as would have the same error: with one answer a
    pair and no weights their number itself.
    """
    z = NormalDist().inv_cdf(0.5 + level / 2)
    half = np.array([1.0, 0.5, 0.0])
    num = tally.sums.sum(axis=1)
    share = tally.sums @ half / num
    equal = num**2 / tally.squares.sum(axis=(1, 2))
    effective = _effective(share, _ratio_variance(tally, share), tally.votes.sum(axis=1), equal)
    value, low, high = wilson_of(share * effective, effective, z)
    cells = []
    for e in range(len(num)):
        i, j = int(tally.models[tally.first[e]]), int(tally.models[tally.second[e]])
        wins, ties, losses = (int(n) for n in tally.votes[e])
        one = (float(value[e]), float(low[e]), float(high[e]))
        pairs = int(tally.pairs[e])
        cells.append(Cell(i, j, *one, wins, ties, losses, pairs))
        other = (1 - one[0], 1 - one[2], 1 - one[1])
        cells.append(Cell(j, i, *other, losses, ties, wins, pairs))
    return cells


def votes_needed(
    difference: float, variance: float, information: float, *, power: float = POWER, z: float = Z95
) -> int | None:
    """Votes between two models until their difference can be told from 0; None if it can already.

    n = (1/v* − 1/v) / I,   v* = (Δ / (z + z_power))²

    I is the information of one vote about Δ: ¼ between equals without ties. For a difference with
    no votes yet this is Noether's (1987) number for the sign test, (z + z_power)² / (4 (p − ½)²),
    where p − ½ ≈ Δ/4. It takes the present estimate for the truth: an order of
    magnitude, no promise.
    Example: Δ = .4 (p = .6), no votes, z = 1.96, power .8: (2.8 / .4)² / ¼ = 196.
    """
    if abs(difference) > z * math.sqrt(variance):
        return None
    wanted = (difference / (z + NormalDist().inv_cdf(power))) ** 2
    if wanted * information < 1 / MANY:
        return MANY
    return min(max(math.ceil((1 / wanted - 1 / variance) / information), 1), MANY)


# ---------------------------------------------------------------- parts


def _plain(tally: Tally) -> tuple[Floats, Floats]:
    """Share of wins of each model (K,) and the covariance of the shares (K, K)."""
    size, half = tally.size, np.array([1.0, 0.5, 0.0])
    num_E = tally.sums.sum(axis=1)
    num = np.bincount(tally.first, num_E, size) + np.bincount(tally.second, num_E, size)
    one, other = tally.sums @ half, tally.sums @ half[::-1]
    wins = np.bincount(tally.first, one, size) + np.bincount(tally.second, other, size)
    share = wins / num
    # A pair of pictures moves the share of its first by cᵀ(h − p_i)/n_i, of its second by
    # cᵀ(1 − h − p_j)/n_j; the squares of both sum up to the covariance.
    first = (half - share[tally.first, None]) / num[tally.first, None]
    second = (1 - half - share[tally.second, None]) / num[tally.second, None]
    covariance = np.zeros((size, size))

    def moved(x: Floats, y: Floats) -> Floats:
        return np.asarray(np.einsum("ex,exy,ey->e", x, tally.squares, y))

    cross = moved(first, second)
    covariance[tally.first, tally.second] = covariance[tally.second, tally.first] = cross
    own = np.bincount(tally.first, moved(first, first), size)
    own += np.bincount(tally.second, moved(second, second), size)
    covariance[np.arange(size), np.arange(size)] = own
    return share, covariance


def _ratio_variance(tally: Tally, share: Floats) -> Floats:
    """Variance of each couple's share, pairs of pictures being what is drawn. (E,)"""
    away = np.array([1.0, 0.5, 0.0]) - share[:, None]
    spread = np.einsum("ex,exy,ey->e", away, tally.squares, away)
    return np.asarray(spread / tally.sums.sum(axis=1) ** 2)


def _effective(share: Floats, variance: Floats, votes: Ints, pairs: Floats) -> Floats:
    """Independent votes with this variance, p(1 − p)/n, at most those there are.

    Where all said the same the variance says nothing, and it is the (effective) number of pairs.
    """
    inside = (share > 0) & (share < 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(variance > 0, share * (1 - share) / variance, math.inf)
    return np.where(inside, np.minimum(found, votes), pairs)


def _z(level: float, size: int) -> float:
    """Two-sided point for all comparisons of `size` models together (Šidák 1967)."""
    return NormalDist().inv_cdf(0.5 + level ** (2 / (size * (size - 1))) / 2)


def _separable(strength: Floats, covariance: Floats, z: float) -> NDArray[np.bool_]:
    own = np.diag(covariance)
    error = np.sqrt(np.maximum(own[:, None] + own[None] - 2 * covariance, 0.0))
    return np.asarray(np.abs(strength[:, None] - strength[None]) > z * error)


def _brackets(separable: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The longest runs of places in which no two are separable, of two models or more.

    Example: places 0 and 1 alike, 1 and 2 alike, 0 and 2 not: (0, 1) and (1, 2).
    """
    size, end = len(separable), 0
    found: list[tuple[int, int]] = []
    for start in range(size):
        end = max(start, end)  # what holds from `start - 1` on holds from `start` on
        while end + 1 < size and not separable[start : end + 1, end + 1].any():
            end += 1
        if end > start and (not found or end > found[-1][1]):
            found.append((start, end))
    return found


def _standings(
    tally: Tally,
    order: Ints,
    strength: Floats,
    covariance: Floats,
    apart: NDArray[np.bool_],
    method: Method,
    z: float,
) -> list[Standing]:
    half = np.array([1.0, 0.5, 0.0])
    size, num_E = tally.size, tally.votes.sum(axis=1)
    votes = np.bincount(tally.first, num_E, size) + np.bincount(tally.second, num_E, size)
    ties = min(float(tally.sums[:, 1].sum() / tally.sums.sum()), 0.95)
    wins = np.bincount(tally.first, tally.votes @ half, size)
    wins += np.bincount(tally.second, tally.votes @ half[::-1], size)
    error = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    low, high = strength - Z95 * error, strength + Z95 * error
    if method == "plain":
        pairs = np.bincount(tally.first, tally.pairs, size).astype(np.float64)
        pairs += np.bincount(tally.second, tally.pairs, size)
        effective = _effective(strength, error**2, votes[order].astype(np.int64), pairs[order])
        _, low, high = wilson_of(strength * effective, effective)
    return [
        Standing(
            model=int(tally.models[k]),
            rank=place + 1,
            strength=float(strength[place]),
            low=float(low[place]),
            high=float(high[place]),
            votes=int(votes[k]),
            wins=float(wins[k]),
            both_bad=float(tally.both_bad[k] / tally.judged[k]),
            tops=int(apart[place, :place].sum()),
            needed=_needed(ties, strength, covariance, place, method, z),
        )
        for place, k in enumerate(order)
    ]


def _needed(
    ties: float, strength: Floats, covariance: Floats, place: int, method: Method, z: float
) -> int | None:
    if place + 1 >= len(strength):
        return None
    delta = float(strength[place] - strength[place + 1])
    pair = covariance[place : place + 2, place : place + 2]
    variance = float(pair[0, 0] + pair[1, 1] - 2 * pair[0, 1])
    if method == "plain":
        # A vote moves both shares: their difference has the variance 4 p(1 − p)/n after n.
        information = 1.0 / (1 - ties)
    else:
        chance = 1 / (1 + math.exp(-delta))
        information = chance * (1 - chance) * (1 - ties if method == "davidson" else 1 / (1 - ties))
    return votes_needed(delta, variance, information, z=z)
