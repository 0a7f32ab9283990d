"""A direction in the space of texts that bends every prompt the same way: its formula and its fit.

    e± = e ± b, at the length of e          e* = e₋ + ω (e₊ − e₋)

b = 0 leaves e as it is, to the bit; a b much longer than e leaves only the direction itself. ω = 1
moves a prompt along b; ω = 1.5 goes half the way from e₋ to e₊ further, as guidance does.

Letters: B texts, M pairs, E width of the encoder. numpy and scipy only.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from backend.rewards.interface import Floats

LENGTH: Final = 1.0
"""How long b is expected to be, in lengths of an embedding: the spread of its Gaussian prior."""

SCALE: Final = 3.0
"""ln of how many units of choice noise a likeness of 1 is expected to be worth; its spread is 1."""


def corrected(text_BE: Floats, direction_E: Floats, omega: float) -> Floats:
    """e* of each text, (B, E)."""
    plus = _sized(text_BE + direction_E, text_BE)
    minus = _sized(text_BE - direction_E, text_BE)
    return minus + omega * (plus - minus)


def slope(apart_ME: Floats, text_ME: Floats, direction_E: Floats, omega: float) -> Floats:
    """d (x · e*) / db of each row x of `apart`, (M, E)."""

    def through(moved_ME: Floats) -> Floats:
        """x · d (moved at the length of e) / d moved."""
        size = _length(moved_ME)
        unit = moved_ME / size
        across = apart_ME - (apart_ME * unit).sum(axis=1, keepdims=True) * unit
        return np.asarray(across * _length(text_ME) / size)

    plus, minus = through(text_ME + direction_E), through(text_ME - direction_E)
    return omega * plus - (1 - omega) * minus


def fit(
    apart_ME: Floats, text_ME: Floats, prefer_M: Floats, side_M: Floats, omega: float
) -> tuple[Floats, float]:
    """The direction under which preferred pictures are the likelier ones, and the pull to the left.

    P(a preferred) = σ(Δ), Δ = s · (x_a − x_b)·e* + δ · side, with b, the scale s and the side bias
    δ by maximum a posteriori; a tie is half a win for each. Priors: b ~ N(0, LENGTH²/E) in every
    component, ln s ~ N(SCALE, 1), δ ~ N(0, 1).

    apart: x_a − x_b; prefer: 1, ½ or 0; side: +1 where a stood on the left, −1 where b did.
    """
    from scipy.optimize import minimize

    width = apart_ME.shape[1]
    centre = np.append(np.zeros(width), (SCALE, 0.0))
    precision = np.append(np.full(width, width / LENGTH**2), (1.0, 1.0))

    def loss(theta: Floats) -> tuple[float, Floats]:
        direction, scale, lean = theta[:width], np.exp(theta[width]), theta[width + 1]
        felt = scale * (apart_ME * corrected(text_ME, direction, omega)).sum(axis=1)
        delta = felt + lean * side_M
        away = theta - centre
        cost = (np.logaddexp(0, delta) - prefer_M * delta).sum() + (precision * away**2).sum() / 2
        surprise = (1 + np.tanh(delta / 2)) / 2 - prefer_M
        pull = scale * surprise @ slope(apart_ME, text_ME, direction, omega)
        rest = (surprise @ felt, surprise @ side_M)
        return float(cost), np.append(pull, rest) + precision * away

    theta: Floats = minimize(loss, centre, jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
    return theta[:width], float(theta[width + 1])


def _sized(x: Floats, like: Floats) -> Floats:
    """Each row of x at the length of the same row of `like`."""
    return x * (_length(like) / _length(x))


def _length(x: Floats) -> Floats:
    return np.asarray(np.linalg.norm(x, axis=1, keepdims=True))
