"""Intervals over prompts: pairs and pictures of one prompt are no independent witnesses.

Prompts are drawn again with replacement, each with all that belongs to it, and the middle 95 % of
what comes out is the interval (Efron 1979; by clusters, Field and Welsh 2007). The draws come from
a fixed seed, so the same values always have the same interval. Letters: M values, G clusters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.preferences.intervals import Share

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DRAWS: Final = 1000
ENDS: Final = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Correlation:
    """A correlation, −1 to 1, with its interval; NaN throughout where nothing varies."""

    value: float
    low: float
    high: float
    num: int


def share(hit_M: Floats, cluster_M: Ints, draws: int = DRAWS) -> Share:
    """Mean of hits (0 to 1, ½ for a draw) with its interval; with one cluster that is 0 to 1.

    Example: 2 of 2 in one prompt and 0 of 2 in another → .5, 0 to 1.
    """
    num = len(hit_M)
    if num == 0:
        return Share(math.nan, 0.0, 1.0, 0)
    slot, groups = _slots(cluster_M)
    if groups < 2:
        return Share(float(hit_M.mean()), 0.0, 1.0, num)
    sums = np.bincount(slot, weights=hit_M, minlength=groups)
    count = np.bincount(slot, minlength=groups)
    times = _times(groups, draws)
    low, high = np.quantile((times @ sums) / (times @ count), ENDS)
    return Share(float(hit_M.mean()), float(low), float(high), num)


def spearman(x_M: Floats, y_M: Floats, cluster_M: Ints, draws: int = DRAWS) -> Correlation:
    """Rank correlation, ties sharing their mean rank; values that either lacks are left out."""
    known = np.isfinite(x_M) & np.isfinite(y_M)
    x, y = mean_ranks(x_M[known]), mean_ranks(y_M[known])
    return _pearson(x, y, cluster_M[known], draws)


def inside(x_M: Floats, y_M: Floats, cluster_M: Ints, draws: int = DRAWS) -> Correlation:
    """Correlation of what is left of both after each cluster's mean is taken off: whether the
    siblings that one prefers are those that the other prefers."""
    known = np.isfinite(x_M) & np.isfinite(y_M)
    slot, groups = _slots(cluster_M[known])
    count = np.maximum(np.bincount(slot, minlength=groups), 1)

    def centred(value: Floats) -> Floats:
        mean = np.bincount(slot, weights=value, minlength=groups) / count
        return np.asarray(value - mean[slot])

    return _pearson(centred(x_M[known]), centred(y_M[known]), cluster_M[known], draws)


def mean_ranks(value_M: Floats) -> Floats:
    """Ranks from 0, ties sharing their mean. Example: 3, 1, 3 → 1.5, 0, 1.5."""
    _, slot, count = np.unique(value_M, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count + 1) / 2)[slot], dtype=np.float64)


def _pearson(x: Floats, y: Floats, cluster_M: Ints, draws: int) -> Correlation:
    nothing = Correlation(math.nan, math.nan, math.nan, len(x))
    if len(x) < 3 or np.ptp(x) < 1e-12 or np.ptp(y) < 1e-12:
        return nothing
    slot, groups = _slots(cluster_M)
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    each = np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y])
    sums = np.stack([np.bincount(slot, weights=row, minlength=groups) for row in each])
    value = float(_of_sums(sums.sum(axis=1)[:, None])[0])
    if groups < 2:
        return Correlation(value, -1.0, 1.0, len(x))
    found = _of_sums(sums @ _times(groups, draws).T)
    found = found[np.isfinite(found)]
    low, high = np.quantile(found, ENDS) if len(found) else (-1.0, 1.0)
    return Correlation(value, float(low), float(high), len(x))


def _of_sums(sums: Floats) -> Floats:
    """Correlations from sums of 1, x, y, x², y², xy, (6, draws)."""
    num, x, y, xx, yy, xy = sums
    across = (xx - x * x / num) * (yy - y * y / num)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            np.where(across > 1e-18, (xy - x * y / num) / np.sqrt(np.maximum(across, 0)), np.nan)
        )


def _slots(cluster_M: Ints) -> tuple[Ints, int]:
    ids, slot = np.unique(cluster_M, return_inverse=True)
    return slot.astype(np.int64), len(ids)


def _times(groups: int, draws: int) -> Floats:
    """How often each cluster is drawn, (draws, groups)."""
    rng = np.random.default_rng(0)
    return rng.multinomial(groups, np.full(groups, 1 / groups), size=draws).astype(np.float64)
