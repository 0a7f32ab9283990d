"""A small critic that learns to tell two kinds of feature rows apart. Pure numpy.

    r(x) = v · tanh(W x + c) + v₀
    loss = ½ mean max(0, 1 − r(wanted)) + ½ mean max(0, 1 + r(unwanted))          (hinge)

The hidden layer starts at random and v at 0, so a critic that has learned nothing finds everything
equally good. Its steps are Adam's (Kingma & Ba, arXiv 1412.6980), in float64.

Letters: N rows, E features, H hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backend.rewards.interface import Floats

HIDDEN: Final = 64
_BETAS: Final = (0.9, 0.999)
_TINY: Final = 1e-8
_NAMES: Final = ("inner", "inner_bias", "outer", "outer_bias")


class Critic:
    """The critic's numbers, drawn from `seed` when it first learns."""

    def __init__(self, seed: Sequence[int]) -> None:
        self.seed = tuple(seed)
        self.arrays: dict[str, NDArray[Any]] = {}
        """Parameters, Adam's two moments of each, and the count of its steps; empty at first."""

    def value(self, rows: Floats) -> Floats:
        """r of each row, (..., E) → (...); 0 before it has learned."""
        if not self.arrays:
            return np.zeros(rows.shape[:-1])
        inner, inner_bias, outer, outer_bias = (self.arrays[name] for name in _NAMES)
        return np.asarray(np.tanh(rows @ inner + inner_bias) @ outer + outer_bias)

    def learn(self, wanted: Floats, unwanted: Floats, rate: float) -> float:
        """One step on rows (N, E) of either kind; returns the loss before it."""
        if not self.arrays:
            self._begin(wanted.shape[1])
        good, bad = self.value(wanted), self.value(unwanted)
        slope_N = np.concatenate([(good < 1) / (-2 * len(good)), (bad > -1) / (2 * len(bad))])
        self._step(self._slopes(np.concatenate([wanted, unwanted]), slope_N), rate)
        return float(np.maximum(0, 1 - good).mean() + np.maximum(0, 1 + bad).mean()) / 2

    def _begin(self, width: int) -> None:
        rng = np.random.default_rng(self.seed)
        first = {
            "inner": rng.standard_normal((width, HIDDEN)) / np.sqrt(width),
            "inner_bias": np.zeros(HIDDEN),
            "outer": np.zeros(HIDDEN),
            "outer_bias": np.zeros(1),
        }
        moments = {f"{name}.{nth}": np.zeros_like(first[name]) for name in _NAMES for nth in "12"}
        self.arrays = {**first, **moments, "count": np.zeros(1, dtype=np.int64)}

    def _slopes(self, rows_NE: Floats, slope_N: Floats) -> dict[str, Floats]:
        """d loss / d parameter, from d loss / d r of each row."""
        hidden = np.tanh(rows_NE @ self.arrays["inner"] + self.arrays["inner_bias"])
        behind = slope_N[:, None] * self.arrays["outer"] * (1 - hidden**2)
        return {
            "inner": rows_NE.T @ behind,
            "inner_bias": behind.sum(axis=0),
            "outer": slope_N @ hidden,
            "outer_bias": slope_N.sum(keepdims=True),
        }

    def _step(self, slopes: dict[str, Floats], rate: float) -> None:
        now = self.arrays
        now["count"] = now["count"] + 1
        unbiased = [1 - beta ** int(now["count"][0]) for beta in _BETAS]
        for name, slope in slopes.items():
            for nth, beta, power in zip("12", _BETAS, (1, 2), strict=True):
                now[f"{name}.{nth}"] = beta * now[f"{name}.{nth}"] + (1 - beta) * slope**power
            mean, square = (
                now[f"{name}.{nth}"] / part for nth, part in zip("12", unbiased, strict=True)
            )
            now[name] = now[name] - rate * mean / (np.sqrt(square) + _TINY)
