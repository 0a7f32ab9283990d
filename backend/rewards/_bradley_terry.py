"""Bradley–Terry with ties, fitted as a Bayesian logistic regression on differences. Pure numpy.

With Δ = θ·(x_a − x_b) + δ·side and the tie parameter l = ln k ≥ 0 (Rao and Kupper 1967):

    P(a) = σ(Δ − l)     P(b) = σ(−Δ − l)     P(tie) = (e^{2l} − 1) σ(Δ − l) σ(−Δ − l)

A tie at Δ = 0 pulls to neither side; l is fitted, not assumed. θ has a Gaussian prior with one
precision per block of features, found by maximising the evidence (MacKay 1992). The mode is found
by damped Newton: undamped it diverges on separable data.

Letters: M pairs, D features (the last is the side, +1 where a stood on the left, −1 where b did).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.rewards.interface import Floats, Ints

A, TIE, B = 1, 0, -1
"""Outcomes of a pair."""

_PRECISIONS: Final = (0.05, 500.0)
"""Bounds of a block's prior precision: weights of about 4.5 down to .045."""
Before = tuple[float, float]
"""What is thought of a block's precision before any pair: a Gamma's shape and mean."""
NOTHING: Final[Before] = (0.0, 2.0)
CAREFUL: Final[Before] = (0.5, 30.0)
"""Weights of about .2, so that few pairs bend the prior mean little; one well-determined weight
already outvotes it."""


@dataclass(frozen=True, slots=True)
class Posterior:
    """What the pairs say of θ: its mode, its covariance, the tie parameter, the precisions."""

    theta: Floats
    covariance: Floats
    tie: float
    precision: Floats
    """(D,), each feature's prior precision."""


def log_likelihood(delta_M: Floats, outcome_M: Ints, tie: float) -> Floats:
    """ln P(outcome) of each pair, (M,)."""
    a, b = _log_sigmoid(delta_M - tie), _log_sigmoid(-delta_M - tie)
    room = np.log(max(np.expm1(2 * tie), 1e-300))
    return np.where(outcome_M == A, a, np.where(outcome_M == B, b, room + a + b))


def gradient(delta_M: Floats, outcome_M: Ints, tie: float) -> Floats:
    """d ln P / dΔ of each pair: positive pulls towards a; 0 for a tie at Δ = 0. (M,)"""
    a, b = 1 - _sigmoid(delta_M - tie), 1 - _sigmoid(-delta_M - tie)
    return np.where(outcome_M == A, a, np.where(outcome_M == B, -b, a - b))


def curvature(delta_M: Floats, outcome_M: Ints, tie: float) -> Floats:
    """−d² ln P / dΔ² of each pair, above 0. (M,)"""
    a, b = _sigmoid(delta_M - tie), _sigmoid(-delta_M - tie)
    return np.asarray((outcome_M != B) * a * (1 - a) + (outcome_M != A) * b * (1 - b))


def probabilities(delta_M: Floats, tie: float) -> tuple[Floats, Floats, Floats]:
    """P(a), P(tie), P(b) of each pair; they sum to 1."""
    a, b = _sigmoid(delta_M - tie), _sigmoid(-delta_M - tie)
    return a, 1 - a - b, b


def fit(
    x_MD: Floats,
    outcome_M: Ints,
    block_D: Ints,
    *,
    mean_D: Floats | None = None,
    weight_M: Floats | None = None,
    start: Posterior | None = None,
    before: Before = NOTHING,
    rounds: int = 8,
) -> Posterior:
    """θ by maximum a posteriori, its blocks' precisions by the evidence, l by maximum likelihood.

    x_MD:    differences x_a − x_b, side last.
    block_D: which block each feature belongs to; a block shares one prior precision.
    mean_D:  prior mean of θ, 0 by default.
    start:   a fit of nearly the same pairs, from which to go on.
    """
    num_features = x_MD.shape[1]
    mean = np.zeros(num_features) if mean_D is None else mean_D
    weight = np.ones(len(x_MD)) if weight_M is None else weight_M
    num_ties = float(weight[outcome_M == TIE].sum())
    precision = np.full(num_features, before[1])
    theta, tie = mean.copy(), 0.3 if num_ties else 0.0
    if start is not None:
        precision, theta, tie = start.precision, start.theta, start.tie or tie
    covariance = np.eye(num_features)
    for _ in range(rounds):
        theta, covariance = mode(x_MD, outcome_M, precision, mean, theta, tie, weight)
        if num_ties:
            tie = fit_tie(x_MD @ theta, outcome_M, weight)
        fresh = evidence_step(theta - mean, covariance, precision, block_D, before)
        done = np.max(np.abs(np.log(fresh / precision))) < 0.05
        precision = fresh
        if done:
            break
    theta, covariance = mode(x_MD, outcome_M, precision, mean, theta, tie, weight)
    return Posterior(theta, covariance, tie, precision)


def mode(
    x_MD: Floats,
    outcome_M: Ints,
    precision_D: Floats,
    mean_D: Floats,
    start_D: Floats,
    tie: float,
    weight_M: Floats,
) -> tuple[Floats, Floats]:
    """Posterior mode and inverse Hessian for fixed precisions and tie, by damped Newton."""
    theta = start_D.copy()

    def loss(candidate: Floats) -> float:
        fit_ = (weight_M * log_likelihood(x_MD @ candidate, outcome_M, tie)).sum()
        return float(-fit_ + 0.5 * (precision_D * (candidate - mean_D) ** 2).sum())

    here = loss(theta)
    for _ in range(50):
        delta = x_MD @ theta
        slope = x_MD.T @ (weight_M * gradient(delta, outcome_M, tie))
        slope -= precision_D * (theta - mean_D)
        step = np.linalg.solve(_hessian(x_MD, delta, outcome_M, tie, precision_D, weight_M), slope)
        size = 1.0
        while size > 1e-6 and loss(theta + size * step) > here:
            size /= 2
        there = loss(theta + size * step)
        gained = here - there
        if gained <= 0:
            break
        theta, here = theta + size * step, there
        if gained < 1e-7 * (1 + abs(here)):
            break
    hessian = _hessian(x_MD, x_MD @ theta, outcome_M, tie, precision_D, weight_M)
    return theta, np.asarray(np.linalg.inv(hessian), dtype=np.float64)


# ---------------------------------------------------------------- parts


def _hessian(
    x_MD: Floats,
    delta_M: Floats,
    outcome_M: Ints,
    tie: float,
    precision_D: Floats,
    weight_M: Floats,
) -> Floats:
    """Negative second derivative of the log posterior, (D, D); positive definite."""
    curve = weight_M * curvature(delta_M, outcome_M, tie)
    return np.asarray((x_MD * curve[:, None]).T @ x_MD + np.diag(precision_D))


def fit_tie(delta_M: Floats, outcome_M: Ints, weight_M: Floats) -> float:
    """The tie parameter of greatest likelihood in [.01, 4], by golden section (it is unimodal)."""
    low, high, golden = 0.01, 4.0, (5**0.5 - 1) / 2

    def loss(tie: float) -> float:
        return float(-(weight_M * log_likelihood(delta_M, outcome_M, tie)).sum())

    for _ in range(24):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return (low + high) / 2


def evidence_step(
    away_D: Floats, covariance: Floats, precision_D: Floats, block_D: Ints, before: Before
) -> Floats:
    """MacKay's update of each block's precision, (γ + 2s) / (|θ − θ₀|² + 2s/m).

    γ is the number of well-determined weights, s and m the shape and mean of `before`.
    """
    shape, middle = before
    fresh = precision_D.copy()
    certain = 1 - precision_D * np.diag(covariance)
    for block in np.unique(block_D):
        inside = block_D == block
        known = max(float(certain[inside].sum()), 1e-3) + 2 * shape
        away = max(float((away_D[inside] ** 2).sum()) + 2 * shape / middle, 1e-9)
        fresh[inside] = np.clip(known / away, *_PRECISIONS)
    return fresh


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(np.exp(_log_sigmoid(x)))


def _log_sigmoid(x: Floats | NDArray[np.float64]) -> Floats:
    return np.asarray(-np.logaddexp(0.0, -x))
