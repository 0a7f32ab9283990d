"""What is measured of a learned reward, and how it is shown. Pure numpy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np

from backend.preferences.intervals import Share, wilson
from backend.rewards._posterior import FOLDS, Held, Labels, sureness, temperature_of
from backend.rewards.interface import Bools, Floats, Ints

NORMAL_95: Final = 1.959964
STEP: Final = 0.01
"""A rise of the accuracy that is worth labelling for."""


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
    better: bool
    """Whether it agrees more than the stock reward on the same pairs, beyond the interval."""
    difference: dict[str, float]
    """Accuracy minus that of the stock reward, pair by pair: value, low, high."""
    log_loss: float
    log_loss_guessing: float
    calibration: list[dict[str, float | None]]
    """Five bins of confidence .5 to 1: predicted, observed, low, high, num."""
    ece: float
    """Expected calibration error: |predicted − observed|, bins weighted by their pairs."""
    temperature: float
    """By which confidence was divided, found on the same left-out pairs."""
    curve: list[dict[str, float]]
    """Accuracy by number of pairs learned from: pairs, accuracy, low, high."""
    baseline: dict[str, Any]
    """The stock reward alone, on the same pairs: name, accuracy, low, high."""
    ceiling: dict[str, float] | None
    """How often two answers to one pair agree, and what no reward can exceed: accuracy, low, high,
    pairs, best. None where no pair was answered twice."""
    next: dict[str, Any]
    """The next useful step: why ("better", "rise" or "level"), and the labels it takes."""
    head: str
    side_bias: float
    """Fitted pull to the left picture, in units of choice noise."""
    tie: float
    """Fitted tie parameter ln k."""
    encoder: str
    seed: int
    seconds: float

    def plain(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def measure(
    held: Held,
    labels: Labels,
    *,
    stock: Floats,
    curve: Sequence[tuple[int, Share]] = (),
    weight: Floats | None = None,
    ceiling: dict[str, float] | None = None,
) -> dict[str, Any]:
    """All of `Figures` that comes from left-out predictions.

    stock: Δ of the stock reward. curve: accuracy after fewer labels.
    """
    decided = labels.outcome != 0
    won = labels.outcome[decided] > 0
    weights = np.ones(len(won)) if weight is None else weight[decided]
    kept, alone = held.take(decided), stock[decided]
    share, plainly = agreement(kept.delta, won, weights), agreement(alone, won, weights)
    temperature = temperature_of(kept, won, weights) if len(won) else 1.0
    sure = sureness(kept, temperature)
    chance = np.clip(np.where(won, sure, 1 - sure), 1e-6, 1)
    bins, ece = calibration(sure, won, weights)
    apart = difference(right(kept.delta, won), right(alone, won), weights)
    points = [*curve, (round(len(labels.outcome) * (1 - 1 / FOLDS)), share)]
    return {
        **plain(share),
        "pairs": int(decided.sum()),
        "ties": int((~decided).sum()),
        "prompts": len(np.unique(labels.prompt)),
        "usable": share.low > 0.5,
        "better": apart["low"] > 0,
        "difference": apart,
        "log_loss": float(-np.average(np.log(chance), weights=weights)) if len(won) else 0.0,
        "log_loss_guessing": float(np.log(2)),
        "calibration": bins,
        "ece": ece,
        "temperature": temperature,
        "curve": [{"pairs": num, **plain(point)} for num, point in points],
        "baseline": {"name": "stock reward: the encoder's likeness", **plain(plainly)},
        "ceiling": ceiling,
        "next": next_step(len(labels.outcome), apart, [(n, p.value) for n, p in points]),
    }


def right(delta: Floats, won: Bools) -> Floats:
    """1 where the higher value was preferred, ½ at an exact draw. (M,)"""
    return np.where(delta == 0, 0.5, (delta > 0) == won)


def difference(one: Floats, other: Floats, weight: Floats) -> dict[str, float]:
    """Mean of one − other, pair by pair, ± 1.96 standard errors: value, low, high."""
    if not len(one):
        return {"value": 0.0, "low": -1.0, "high": 1.0}
    apart = one - other
    mean = float(np.average(apart, weights=weight))
    num = weight.sum() ** 2 / (weight**2).sum()
    error = np.sqrt(np.average((apart - mean) ** 2, weights=weight) / max(num - 1, 1))
    half = float(NORMAL_95 * error)
    return {"value": mean, "low": mean - half, "high": mean + half}


def repeats(a: Ints, b: Ints, outcome: Ints) -> dict[str, float] | None:
    """How far two answers to one pair agree, ties left out, and what follows for any reward.

    If answers to a pair fall on its better picture with chance c, two agree with chance
    q = c² + (1 − c)². Over pairs q ≥ that of the mean c, so no reward agrees with one answer more
    often than c = (1 + √(2q − 1)) / 2 on average. Pairs are weighed alike, whatever their answers.
    Example: q = .82 → at most .9.
    """
    said: dict[tuple[int, int], list[int]] = defaultdict(list)
    for first, second, won in zip(a.tolist(), b.tolist(), outcome.tolist(), strict=True):
        if won:
            turned = first > second
            said[(min(first, second), max(first, second))].append(-won if turned else won)
    twice = [answers for answers in said.values() if len(answers) > 1]
    if not twice:
        return None
    same = [np.mean([x == y for x, y in combinations(answers, 2)]) for answers in twice]
    share = wilson(float(np.sum(same)), len(same))
    best = (1 + np.sqrt(max(2 * share.value - 1, 0.0))) / 2
    return {**plain(share), "pairs": len(same), "best": float(best)}


def next_step(
    labels: int, apart: dict[str, float], points: Sequence[tuple[int, float]]
) -> dict[str, Any]:
    """What more labels would bring: {why, labels}, `labels` being how many more.

    "better": to be told from the stock reward, at the present difference d and half-width h, which
    shrinks with 1/√n: n ((h / d)² − 1). Otherwise a − b/√n is fitted to the learning curve, and
    "rise" says when it will stand `STEP` higher; "level", with None, that it never will, or that
    the difference to the stock reward is too small to wait for.
    """
    value, half = apart["value"], (apart["high"] - apart["low"]) / 2
    if 0 < value <= half:
        more = labels * ((half / value) ** 2 - 1)
        if more <= 10 * labels:
            return {"why": "better", "labels": max(int(np.ceil(more)), 1)}
    if len(points) >= 3 and value > 0:
        num, accuracy = np.array(points, dtype=np.float64).T
        design = np.stack([np.ones(len(num)), -1 / np.sqrt(num)], axis=1)
        (top, slope), *_ = np.linalg.lstsq(design, accuracy, rcond=None)
        now = top - slope / np.sqrt(num[-1])
        room = top - now - STEP
        if room > 1e-3 and slope > 0:
            more = (slope / room) ** 2 / (1 - 1 / FOLDS) - labels
            if more <= 20 * labels:
                return {"why": "rise", "labels": max(int(np.ceil(more)), 1)}
    return {"why": "level", "labels": None}


def agreement(delta: Floats, won: Any, weight: Floats | None = None) -> Share:
    """Share of decided pairs in which the higher value was preferred; an exact draw counts half."""
    return weighted(right(delta, won), np.ones(len(delta)) if weight is None else weight)


def weighted(hits: Floats, weight: Floats) -> Share:
    """A weighted share; its interval is that of as many equal pairs, n = (Σw)² / Σw² (Kish 1965).

    Example: weights 4, 1, 1 are 36/18 = 2 pairs.
    """
    whole = float(weight.sum())
    if whole == 0:
        return wilson(0, 0)
    num = whole**2 / float((weight**2).sum())
    return wilson(min(float((weight * hits).sum()) / whole, 1.0) * num, num)


def calibration(
    sure: Floats, won: Any, weight: Floats | None = None
) -> tuple[list[dict[str, float | None]], float]:
    """Five bins of the confidence in the favoured side, and their expected calibration error."""
    weight = np.ones(len(sure)) if weight is None else weight
    confidence = np.maximum(sure, 1 - sure)
    hits = ((sure > 0.5) == won).astype(np.float64)
    slot = np.clip(((confidence - 0.5) * 10).astype(int), 0, 4)
    bins: list[dict[str, float | None]] = []
    ece = 0.0
    for i in range(5):
        inside = slot == i
        share = weighted(hits[inside], weight[inside])
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
