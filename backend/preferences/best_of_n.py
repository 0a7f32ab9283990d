"""Best-of-N: what is gained by drawing N pictures a prompt and keeping the one a reward likes best.

Of n pictures that were drawn, every choice of N is a fair try. The mean over all of them has a
closed form: with the pictures in rising order of the selecting reward, the i-th (from 1) is the
best of a random N with probability

    w_i = C(i − 1, N − 1) / C(n, N),

so Σ w_i x_i is the unbiased estimate of x of the picked picture, for any x: the selecting reward
itself, another reward, or what people said. For N = 1 it is the mean; for the selecting reward it
never falls with N. Pictures that tie share their weights.

Source: the order statistics behind pass@k (Chen et al. 2021, appendix A) and best-of-n (Stiennon
et al. 2020, figure 5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.errors import InputError
from backend.preferences.intervals import Z95, Difference, mean_se

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """An estimate with its 95 % interval over prompts; NaN where nothing is known."""

    value: float
    low: float
    high: float


def weights(selecting: Sequence[float] | Floats, num: int) -> Floats:
    """How likely each picture is the best of a random `num` of them; ties share. (n,), sum 1.

    Example: rewards 1, 3, 2 with num 2 → 0, 2/3, 1/3.
    """
    values = np.asarray(selecting, dtype=np.float64)
    total = len(values)
    if not 1 <= num <= total:
        raise InputError(f"The best of {num} of {total} pictures cannot be; draw more.")
    if not np.isfinite(values).all():
        raise InputError("A picture without a value cannot be ranked; leave it out.")
    order = np.argsort(values, kind="stable")
    rank = np.arange(total)
    whole = math.comb(total, num)
    of_rank = np.array([math.comb(int(i), num - 1) / whole for i in rank])
    _values, group = np.unique(values[order], return_inverse=True)
    shared = np.bincount(group, of_rank) / np.bincount(group)
    found = np.empty(total)
    found[order] = shared[group]
    return found


def curve(prompts: Sequence[tuple[Floats, Floats]], depth: int, z: float = Z95) -> list[Point]:
    """What the picked picture is worth for N = 1 … `depth`: one point each.

    Each prompt is (selecting values, values of the picked thing), NaN where the latter is not
    known: such pictures count for nothing, as if the pick were asked about only where an answer
    is. The estimate is a ratio of sums over prompts, its error by linearisation.
    """
    return [_point(prompts, num, z) for num in range(1, depth + 1)]


def gains(prompts: Sequence[tuple[Floats, Floats]], depth: int) -> list[Difference]:
    """What the best of N is worth more than one picture, N = 1 … `depth`, paired by prompt.

    Only prompts all of whose values are known count.
    """
    whole = [one for one in prompts if np.isfinite(one[1]).all()]
    firsts = [float(values.mean()) for _selecting, values in whole]
    return [
        mean_se(
            [
                float(weights(selecting, num) @ values) - first
                for (selecting, values), first in zip(whole, firsts, strict=True)
            ]
        )
        for num in range(1, depth + 1)
    ]


def depth_of(counts: Sequence[int]) -> int:
    """The N up to which a curve is drawn: that which uses most pictures, prompts with fewer left
    out.

    Example: 4, 4, 4, 9 → 4 (16 pictures), not 9 (9 pictures).
    """
    if not counts:
        return 0
    ways = sorted(set(counts))
    return max(ways, key=lambda n: (n * sum(count >= n for count in counts), n))


def picked(selecting: Sequence[float], num: int) -> int:
    """Which of the first `num` pictures, in the order they were drawn, is kept."""
    return int(np.argmax(np.asarray(selecting[:num], dtype=np.float64)))


def equal_n(training_calls: float, pictures: int, calls_per_picture: float) -> int:
    """The N at which best-of-N costs as much as training did, when `pictures` are drawn afterwards.

    A trained model draws each once, best-of-N draws each N times:
    N · pictures · calls = training + pictures · calls.
    """
    if pictures <= 0 or calls_per_picture <= 0:
        raise InputError("Equal calls need at least one picture that costs something.")
    return max(1, math.floor(1 + training_calls / (pictures * calls_per_picture)))


def _point(prompts: Sequence[tuple[Floats, Floats]], num: int, z: float) -> Point:
    said, asked = [], []
    for selecting, values in prompts:
        share = weights(selecting, num)
        known = np.isfinite(values)
        said.append(float((share[known] * values[known]).sum()))
        asked.append(float(share[known].sum()))
    top, bottom = np.array(said), np.array(asked)
    if bottom.sum() <= 0:
        return Point(math.nan, math.nan, math.nan)
    value = float(top.sum() / bottom.sum())
    count = int((bottom > 0).sum())
    if count < 2:
        return Point(value, math.nan, math.nan)
    rest = top - value * bottom
    se = math.sqrt(float((rest**2).sum()) * count / (count - 1)) / float(bottom.sum())
    return Point(value, value - z * se, value + z * se)
