"""What is measured of a learned reward, and how it is shown. Pure numpy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from backend.preferences.intervals import Share, wilson
from backend.rewards.interface import Floats


@dataclass(frozen=True)
class Figures:
    """How good a learned reward is, measured on prompts that its fit did not see."""

    accuracy: float
    low: float
    high: float
    pairs: int
    """Decided pairs, on which accuracy is measured; `ties` come on top."""
    ties: int
    prompts: int
    usable: bool
    """Whether the interval lies above one half, that is above guessing."""
    log_loss: float
    log_loss_guessing: float
    calibration: list[dict[str, float | None]]
    """Five bins of confidence .5 to 1: predicted, observed, low, high, num."""
    ece: float
    """Expected calibration error: |predicted − observed|, bins weighted by their pairs."""
    curve: list[dict[str, float]]
    """Accuracy by number of pairs learned from: pairs, accuracy, low, high."""
    baseline: dict[str, Any]
    """The encoder's cosine alone on the same pairs: name, accuracy, low, high."""
    side_bias: float
    """Fitted pull to the left picture, in units of choice noise."""
    tie: float
    """Fitted tie parameter ln k."""
    members: int
    encoder: str
    seed: int
    seconds: float

    def plain(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def agreement(delta: Floats, won: Any, weight: Floats | None = None) -> Share:
    """Share of decided pairs in which the higher value was preferred; an exact draw counts half."""
    right = np.where(delta == 0, 0.5, (delta > 0) == won)
    return weighted(right, np.ones(len(right)) if weight is None else weight)


def weighted(right: Floats, weight: Floats) -> Share:
    """A weighted share; its interval is that of as many equal pairs, n = (Σw)² / Σw² (Kish 1965).

    Example: weights 4, 1, 1 are 36/18 = 2 pairs.
    """
    whole = float(weight.sum())
    if whole == 0:
        return wilson(0, 0)
    num = whole**2 / float((weight**2).sum())
    return wilson(min(float((weight * right).sum()) / whole, 1.0) * num, num)


def calibration(
    sure: Floats, won: Any, weight: Floats | None = None
) -> tuple[list[dict[str, float | None]], float]:
    """Five bins of the confidence in the favoured side, and their expected calibration error."""
    weight = np.ones(len(sure)) if weight is None else weight
    confidence = np.maximum(sure, 1 - sure)
    right = (sure > 0.5) == won
    slot = np.clip(((confidence - 0.5) * 10).astype(int), 0, 4)
    bins: list[dict[str, float | None]] = []
    ece = 0.0
    for i in range(5):
        inside = slot == i
        share = weighted(right[inside].astype(np.float64), weight[inside])
        mean = np.average(confidence[inside], weights=weight[inside]) if inside.any() else None
        predicted = 0.55 + 0.1 * i if mean is None else float(mean)
        observed = share.value if inside.any() else None
        if observed is not None:
            ece += weight[inside].sum() / weight.sum() * abs(predicted - observed)
        row = {"predicted": predicted, "observed": observed, "low": share.low, "high": share.high}
        bins.append({**row, "num": share.num})
    return bins, float(ece)


def plain(share: Share) -> dict[str, float]:
    """A share as the accuracy it is."""
    return {"accuracy": share.value, "low": share.low, "high": share.high}
