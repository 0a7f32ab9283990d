"""Intervals for what was counted or measured. Numbers on a page come with one of these.

Pure functions; 95 % throughout, z = 1.959964 unless told otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.errors import InputError

Z95: Final = 1.959963984540054
"""Two-sided 95 % point of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of trials with its interval, all 0 to 1."""

    value: float
    low: float
    high: float
    num: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean paired difference with its standard error, in the unit of the values."""

    mean: float
    se: float
    num: int

    @property
    def z(self) -> float:
        """The mean in standard errors; infinite when every pair differs by the same amount."""
        if self.se > 0:
            return self.mean / self.se
        return 0.0 if self.mean == 0 else math.copysign(math.inf, self.mean)


def wilson(successes: float, num: float, z: float = Z95) -> Share:
    """Wilson's score interval for a share; `successes` may hold halves (ties).

    centre = (k + z²/2) / (n + z²),  half-width = z/(n + z²) · √(k(n − k)/n + z²/4).
    With no trials nothing is known: value NaN, interval 0 to 1.
    Source: Wilson 1927. Example: 8 of 10 → .80, .490 to .943.
    """
    if num < 0 or not 0 <= successes <= num:
        raise InputError(f"{successes} successes of {num} trials cannot be; check the counts.")
    if num == 0:
        return Share(math.nan, 0.0, 1.0, 0)
    whole = num + z * z
    centre = (successes + z * z / 2) / whole
    half = z / whole * math.sqrt(successes * (num - successes) / num + z * z / 4)
    return Share(successes / num, max(centre - half, 0.0), min(centre + half, 1.0), round(num))


def win_rate(wins: int, losses: int, ties: int = 0, z: float = Z95) -> Share:
    """How often the first of two is preferred, a tie counting half for each side."""
    return wilson(wins + 0.5 * ties, wins + losses + ties, z)


def mean_se(values: Sequence[float] | NDArray[np.float64]) -> Difference:
    """Mean of the known values with its standard error; both NaN where they are not defined.

    se = s / √n with s the standard deviation (n − 1). Of paired differences: 1, 2, 3 → 2, 4, 6 are
    1, 2, 3 apart, mean 2, s = 1, se = .577.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    num = int(known.size)
    mean = float(known.mean()) if num else math.nan
    se = float(known.std(ddof=1) / math.sqrt(num)) if num > 1 else math.nan
    return Difference(mean, se, num)


def wilson_of(
    successes: NDArray[np.float64], num: NDArray[np.float64], z: float = Z95
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """`wilson` of arrays: share, low and high. The numbers may be effective ones, not whole."""
    k, n = np.asarray(successes, dtype=np.float64), np.asarray(num, dtype=np.float64)
    known = n > 0
    safe = np.where(known, n, 1.0)
    whole = safe + z * z
    half = z / whole * np.sqrt(np.maximum(k * (safe - k) / safe, 0.0) + z * z / 4)
    centre = (k + z * z / 2) / whole
    low, high = np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
    return (
        np.where(known, k / safe, math.nan),
        np.where(known, low, 0.0),
        np.where(known, high, 1.0),
    )
