"""Strengths of models from judgements: the sums they need, and the two fits.

    bradley-terry    P(i beats j) = σ(θ_i − θ_j), a tie as half a win for each (Bradley, Terry 1952)
    davidson     P(i) : P(tie) : P(j) = e^{θ_i} : ν e^{(θ_i + θ_j) / 2} : e^{θ_j} (Davidson 1970)

Strengths θ are in natural logarithms of odds and sum to 0. Judgements are reduced to sums of each
two models first, so the fit of a million takes as long as that of a thousand. What is drawn is the
pair of pictures: all answers about one pair stand or fall together in the errors, however many
people gave them.

Letters: K models, E couples of models that met (the smaller index first), C pairs of pictures, D
parameters of a couple's outcome.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.preferences.ledger import BOTH_BAD, Answers, Ints

Floats = NDArray[np.float64]

PRIOR: Final = 0.25
"""Precision of strengths where the votes alone leave one infinite: e.g. who never lost."""
DIRECT: Final = 400
"""Up to so many parameters a Newton step is solved directly, beyond by conjugate gradients."""
_ROUNDS: Final = 100


@dataclass(frozen=True)
class Tally:
    """All that a ranking needs of the judgements. First and second are of the couple."""

    models: Ints
    """(K,) their ids."""
    first: Ints
    """(E,) index of the couple's one model."""
    second: Ints
    sums: Floats
    """(E, 3) Σ of weights: first preferred, tie, second preferred."""
    squares: Floats
    """(E, 3, 3) Σ over pairs of pictures of c cᵀ, c their (3,) weights."""
    pairs: Ints
    """(E,) pairs of pictures."""
    votes: Ints
    """(E, 3) judgements, unweighted."""
    both_bad: Ints
    """(K,) judgements of the model's pairs that said both bad, and (K,) all of them."""
    judged: Ints

    @classmethod
    def of(cls, answers: Answers, *, weighted: bool = True) -> Tally:
        """Of judgements sorted by pair; those of two pictures of one model say nothing of models.

        weighted: by 1 / propensity, scaled to a mean of 1.
        """
        answers = answers.where(answers.a != answers.b)
        present = np.bincount(np.concatenate([answers.a, answers.b])) > 0
        place = np.cumsum(present) - 1
        models = np.flatnonzero(present)
        a, b = place[answers.a], place[answers.b]
        bad = answers.choice == BOTH_BAD
        size = len(models)
        judged = np.bincount(a, minlength=size) + np.bincount(b, minlength=size)
        both_bad = np.bincount(a[bad], minlength=size) + np.bincount(b[bad], minlength=size)
        weight = answers.weight.astype(np.float64) if weighted else np.ones(len(a))
        keep = ~bad
        found = _couples(a[keep], b[keep], answers.choice[keep], answers.pair[keep], weight[keep])
        return cls(answers.source_ids[models], *found, both_bad, judged)

    @property
    def size(self) -> int:
        """K, the number of models."""
        return len(self.models)


# ---------------------------------------------------------------- fitting


@dataclass(frozen=True)
class Fitted:
    """Strengths θ (K,) that sum to 0, their covariance (K, K), Davidson's ν."""

    strength: Floats
    covariance: Floats
    tie: float | None
    anchored: bool


def fit(tally: Tally, *, ties: bool) -> Fitted:
    """Strengths of greatest likelihood with the cluster-robust covariance, by damped Newton.

    Both models are exponential families in η = (θ_i − θ_j, ln ν) with statistics T of the outcomes
    first, tie, second: (½, 0), (0, 1), (−½, 0) for Davidson; Bradley–Terry has no tie, and a tie is
    half of each. Gradient of a couple: Σ c·T − n E T; curvature: n Cov T. The covariance is
    H⁻¹ G H⁻¹ · C/(C − 1), G the sum over pairs of pictures of their gradient's square (Huber 1967).

    Where somebody never lost or never won against the rest, θ would be infinite: then, and only
    then, each strength has a normal prior with precision `PRIOR`, and the covariance is H⁻¹.
    """
    ties = ties and bool(tally.votes[:, 1].sum())
    anchored = not _connected(tally)
    problem = _Problem(tally, ties, PRIOR if anchored else 0.0)
    value = problem.solve()
    inverse = problem.inverse(value)
    covariance = inverse if anchored else inverse @ problem.scatter(value) @ inverse
    size = tally.size
    centre = np.eye(size) - 1 / size
    covariance = centre @ covariance[:size, :size] @ centre
    strength = value[:size] - value[:size].mean()
    return Fitted(strength, covariance, math.exp(value[size]) if ties else None, anchored)


class _Problem:
    """The likelihood of strengths, and of ln ν behind them where ties have a part of their own."""

    def __init__(self, tally: Tally, ties: bool, prior: float) -> None:
        self.tally, self.ties, self.prior = tally, ties, prior
        self.sums = tally.sums
        self.num = self.sums.sum(axis=1)
        half = np.array([[0.5, 0.0], [0.0, 1.0], [-0.5, 0.0]])
        self.stat = half if ties else half[:, :1]
        """(3, 1 or 2) T of each outcome; a tie of Bradley–Terry is half of each: 0."""

    def solve(self) -> Floats:
        """The mode, found by Newton with steps halved until the likelihood rises."""
        value = np.zeros(self.tally.size + self.ties)
        here = self.loss(value)
        for _ in range(_ROUNDS):
            slope = self.slope(value)
            step = _solve(self.hessian(value), slope)
            size = 1.0
            while size > 1e-8 and self.loss(value + size * step) > here + 1e-12 * abs(here):
                size /= 2
            value = value + size * step
            here = self.loss(value)
            if np.abs(size * step).max() < 1e-9:
                break
        return value

    def loss(self, value: Floats) -> float:
        eta, log_whole = self._eta(value)
        seen = self.sums @ self.stat
        fit = (seen * eta).sum() - (self.num * log_whole).sum()
        return float(-fit + 0.5 * self.prior * (value[: self.tally.size] ** 2).sum())

    def slope(self, value: Floats) -> Floats:
        """Gradient of the log posterior, (K [+ 1],)."""
        mean, _ = self._moments(value)
        found = self._scatter_add(self.sums @ self.stat - self.num[:, None] * mean)
        found[: self.tally.size] -= self.prior * value[: self.tally.size]
        return found

    def hessian(self, value: Floats) -> Floats:
        """Negative second derivative; a unit in the direction that shifts all strengths."""
        _, spread = self._moments(value)
        found = self._blocks(self.num[:, None, None] * spread)
        size = self.tally.size
        found[:size, :size] += 1 / size
        found[np.arange(size), np.arange(size)] += self.prior
        return found

    def inverse(self, value: Floats) -> Floats:
        return np.asarray(np.linalg.inv(self.hessian(value)))

    def scatter(self, value: Floats) -> Floats:
        """Sum over pairs of pictures of the square of their gradient, times C / (C − 1)."""
        mean, _ = self._moments(value)
        away = self.stat[None] - mean[:, None]  # (E, 3, D): a gradient is cᵀ away
        inner = np.einsum("exd,exy,eyf->edf", away, self.tally.squares, away)
        pairs = int(self.tally.pairs.sum())
        return self._blocks(inner) * (pairs / max(pairs - 1, 1))

    def _eta(self, value: Floats) -> tuple[Floats, Floats]:
        """Natural parameters (E, D) and the log of the normalising sum (E,)."""
        delta = value[self.tally.first] - value[self.tally.second]
        parts = [delta / 2, -delta / 2]
        if not self.ties:
            return delta[:, None], np.logaddexp(*parts)
        log_tie = np.full(len(delta), value[-1])
        whole = np.logaddexp(np.logaddexp(*parts), log_tie)
        return np.stack([delta, log_tie], axis=1), whole

    def _moments(self, value: Floats) -> tuple[Floats, Floats]:
        """E T (E, D) and Cov T (E, D, D) of each couple."""
        eta, log_whole = self._eta(value)
        outcomes = self.stat if self.ties else self.stat[[0, 2]]
        chance = np.exp(eta @ outcomes.T - log_whole[:, None])
        mean = chance @ outcomes
        second = np.einsum("ex,xd,xf->edf", chance, outcomes, outcomes)
        return mean, second - mean[:, :, None] * mean[:, None, :]

    def _scatter_add(self, couple: Floats) -> Floats:
        """From the couples' (E, D) to the parameters'."""
        first, second, size = self.tally.first, self.tally.second, self.tally.size
        found = np.bincount(first, couple[:, 0], size) - np.bincount(second, couple[:, 0], size)
        return np.append(found, couple[:, 1].sum() if self.ties else [])

    def _blocks(self, couple: Floats) -> Floats:
        """From the couples' (E, D, D) to the parameters' matrix."""
        first, second, size = self.tally.first, self.tally.second, self.tally.size
        found = np.zeros((size + self.ties, size + self.ties))
        square = couple[:, 0, 0]
        # Couples are distinct, so plain assignment adds each once.
        found[first, second] -= square
        found[second, first] -= square
        diagonal = np.bincount(first, square, size) + np.bincount(second, square, size)
        found[np.arange(size), np.arange(size)] += diagonal
        if self.ties:
            cross = np.bincount(first, couple[:, 0, 1], size)
            cross -= np.bincount(second, couple[:, 0, 1], size)
            found[:size, size] = found[size, :size] = cross
            found[size, size] = couple[:, 1, 1].sum()
        return found


# ---------------------------------------------------------------- parts


def _couples(
    a: Ints, b: Ints, choice: NDArray[np.int8], pair: NDArray[np.int32], weight: Floats
) -> tuple[Ints, Ints, Floats, Floats, Ints, Ints]:
    """first, second, sums, squares, pairs, votes of `Tally`."""
    if not len(a):
        none, three = np.zeros(0, dtype=np.int64), np.zeros((0, 3))
        return none, none, three, np.zeros((0, 3, 3)), none, three.astype(np.int64)
    weight = weight / weight.mean()
    new_pair = np.append(True, pair[1:] != pair[:-1])
    cluster = np.cumsum(new_pair) - 1
    flip = a > b
    outcome = np.array([[0, 2, 1], [2, 0, 1]])[flip.astype(int), choice]  # first, tie, second
    cell = cluster * 3 + outcome
    clusters = int(cluster[-1]) + 1
    of_pair = np.bincount(cell, weight, clusters * 3).reshape(clusters, 3)
    votes = np.bincount(cell, minlength=clusters * 3).reshape(clusters, 3)
    low, high = np.minimum(a, b)[new_pair], np.maximum(a, b)[new_pair]
    base = int(high.max()) + 1
    couples, which = np.unique(low * base + high, return_inverse=True)
    size = len(couples)
    sums = np.stack([np.bincount(which, of_pair[:, x], size) for x in range(3)], axis=1)
    squares = np.empty((size, 3, 3))
    for x in range(3):
        for y in range(x + 1):
            product = np.bincount(which, of_pair[:, x] * of_pair[:, y], size)
            squares[:, x, y] = squares[:, y, x] = product
    counted = np.stack([np.bincount(which, votes[:, x], size) for x in range(3)], axis=1)
    first, second = couples // base, couples % base
    pairs: Ints = np.bincount(which, minlength=size).astype(np.int64)
    return (
        first.astype(np.int64),
        second.astype(np.int64),
        sums.astype(np.float64),
        squares,
        pairs,
        counted.astype(np.int64),
    )


def _connected(tally: Tally) -> bool:
    """Whether a chain of wins leads from every model to every other (Ford 1957); a tie is one."""
    wins = np.concatenate([tally.first, tally.second])
    loses = np.concatenate([tally.second, tally.first])
    half = tally.sums[:, 1] > 0
    is_won = np.concatenate([(tally.sums[:, 0] > 0) | half, (tally.sums[:, 2] > 0) | half])
    edges = wins[is_won], loses[is_won]
    return _reaches_all(*edges, tally.size) and _reaches_all(*edges[::-1], tally.size)


def _reaches_all(start: Ints, end: Ints, size: int) -> bool:
    seen = np.zeros(size, dtype=np.bool_)
    seen[0] = True
    known = 0
    while known < seen.sum():
        known = int(seen.sum())
        seen[end[seen[start]]] = True
    return bool(seen.all())


def _solve(matrix: Floats, right: Floats) -> Floats:
    """x with matrix · x = right, of a positive definite matrix."""
    if len(right) <= DIRECT:
        return np.asarray(np.linalg.solve(matrix, right))
    scale = 1 / np.diag(matrix)
    x, rest = np.zeros_like(right), right.copy()
    step = scale * rest
    size = rest @ step
    for _ in range(len(right)):
        bent = matrix @ step
        length = size / (step @ bent)
        x, rest = x + length * step, rest - length * bent
        if np.abs(rest).max() <= 1e-10 * np.abs(right).max():
            break
        fresh = rest @ (scale * rest)
        step, size = scale * rest + fresh / size * step, fresh
    return x
