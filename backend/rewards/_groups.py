"""Statistics inside groups: means, spreads and ranks of siblings, missing values left out.

A group is the set of samples with one id. Standard deviations divide by n − 1. Missing is NaN and
counts nowhere. Letters: N samples, `num` groups, `slot_N` the position of each sample's group.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

TINY: Final = 1e-12
"""Keeps a division by a spread of exactly nothing finite; far below any reward's noise."""


def slots(group_N: Ints) -> tuple[Ints, int]:
    """Group ids as positions 0 … num − 1 in rising order of id."""
    ids, slot = np.unique(np.asarray(group_N), return_inverse=True)
    return slot.astype(np.int64), len(ids)


def mean(value_N: Floats, slot: Ints, num: int) -> Floats:
    """Mean of the present values of each group; NaN for an empty one."""
    has = np.isfinite(value_N)
    total = np.bincount(slot[has], weights=value_N[has], minlength=num)
    count = np.bincount(slot[has], minlength=num)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def std(value_N: Floats, slot: Ints, num: int) -> Floats:
    """Standard deviation (n − 1) of the present values of each group; NaN under two of them."""
    rest = value_N - mean(value_N, slot, num)[slot]
    has = np.isfinite(rest)
    square = np.bincount(slot[has], weights=rest[has] ** 2, minlength=num)
    count = np.bincount(slot[has], minlength=num)
    return np.where(count > 1, np.sqrt(square / np.maximum(count - 1, 1)), np.nan)


def spread(value_N: Floats) -> float:
    """Standard deviation of all present values; 0 under two of them."""
    present = value_N[np.isfinite(value_N)]
    return float(present.std(ddof=1)) if present.size > 1 else 0.0


def centred(value_N: Floats, slot: Ints, num: int) -> Floats:
    """Value minus its mean over the siblings that have it.

    With a reward missing on some siblings the weights differ and the shares would not sum to zero;
    each reward is centred over the siblings it judged, so a missing value pulls nobody up or down.
    """
    return np.asarray(value_N - mean(value_N, slot, num)[slot])


def ranks(value: Floats) -> Floats:
    """Share of the others that each value beats, a tie counting half: 0 (worst) to 1 (best)."""
    if value.size < 2:
        return np.full_like(value, 0.5)
    wins = (value[:, None] > value[None, :]).sum(axis=1)
    ties = (value[:, None] == value[None, :]).sum(axis=1) - 1
    return np.asarray((wins + 0.5 * ties) / (value.size - 1))


def ranked(value_N: Floats, slot: Ints, num: int) -> Floats:
    """`ranks` inside each group."""
    shaped = np.full_like(value_N, np.nan)
    for g in range(num):
        inside = np.flatnonzero((slot == g) & np.isfinite(value_N))
        shaped[inside] = ranks(value_N[inside])
    return shaped
