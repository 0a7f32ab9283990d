"""The operators that rewards are composed of, each a formula and when to use it. Pure numpy.

    log_sigmoid   u = ln σ((r − ref)/T)          good enough is good enough: more gains ever less
    frozen        (r − m)/t, m and t of the base  honest curves; the same number means the same
    fronts        0 for what nothing beats, …     no exchange rate between two or three rewards
    soft_gate     σ((g − τ)/T)                    a precondition that fades
    confidence    1/(1 + u²/ū²)                   sampled judges, learned heads
    difficulty    4p(1 − p)                       prompts neither solved nor hopeless teach most
    adapted       base · shortfall · presence     weights that follow what is still missing
    rising        τ of this part of the run       partial credit that asks for more and more
    process_outcome                               fluent errors earn nothing
    influence     w·s as a share                  what a weight comes to

Values are missing as NaN and stay so. Letters: N samples, K rewards.
Sources: log-sigmoid Wang et al. 2024 (arXiv 2402.00742); fronts Parrot (2401.05675), after
NSGA-II; gate PEARL; threshold V-Triune (2505.18129); process and outcome PROGRS. Frozen scale and
adaptive weights are named in Quark; the formulas and bounds here are our own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from backend.rewards import _groups
from backend.rewards._groups import TINY, Floats, Ints

FROZEN_CLIP: Final = 5.0
"""A reward that drifts far from its base is cut at so many of the base's deviations."""
EXPLORED: Final = 0.05
"""Weight that a solved or hopeless prompt keeps, so that it is noticed when that changes."""
LOW, HIGH = 0.2, 0.8
"""Share of successes between which a prompt counts in full."""
KEEP: Final = 0.9
"""Share of its old value that an adaptive weight keeps in an update."""
CHANGE: Final = 0.1
"""Largest relative change of an adaptive weight in an update."""
BOUNDS: Final = (0.25, 4.0)
"""An adaptive weight stays within these multiples of the weight that people gave it."""


def log_sigmoid(value_N: Floats, reference: float, temperature: float) -> Floats:
    """ln σ((r − ref)/T); the slope in (r − ref)/T is .98 at −4, .5 at 0, .02 at +4.

    Several of them add up to the log of the probability that all are good, if each σ is one.
    """
    with np.errstate(invalid="ignore"):  # a missing value stays one
        return np.asarray(-np.logaddexp(0.0, -(value_N - reference) / max(temperature, TINY)))


def frozen(value_N: Floats, base: Floats, floor: float) -> Floats:
    """(r − m)/max(t, floor) with mean m and deviation t of the base, cut at ±FROZEN_CLIP."""
    present = base[np.isfinite(base)]
    z = (value_N - present.mean()) / max(_groups.spread(present), floor, TINY)
    return np.asarray(np.clip(z, -FROZEN_CLIP, FROZEN_CLIP))


def rising(thresholds: Sequence[float], share: float) -> float:
    """The threshold that holds when `share` (0 to 1) of the run is done: equal parts, in order."""
    return thresholds[min(int(share * len(thresholds)), len(thresholds) - 1)]


def partial(value_N: Floats, threshold: float) -> Floats:
    """The value where it reaches the threshold, 0 below it; a missing one stays missing."""
    return np.where(value_N < threshold, 0.0, value_N)


def soft_gate(value_N: Floats, threshold: float, softness: float) -> Floats:
    """σ((g − τ)/T), 0 to 1."""
    return np.asarray(np.exp(log_sigmoid(value_N, threshold, softness)))


def confidence(doubt_N: Floats) -> Floats:
    """1/(1 + u²/ū²), ū² the batch's mean of u²; a sample of unknown doubt counts as the mean."""
    known = np.isfinite(doubt_N)
    usual = float((doubt_N[known] ** 2).mean()) if known.any() else 0.0
    if usual <= TINY:
        return np.ones_like(doubt_N)
    return np.asarray(1.0 / (1.0 + np.where(known, doubt_N**2, usual) / usual))


def difficulty(value_N: Floats, group_N: Ints, success: float, *, band: bool = False) -> Floats:
    """How much each sample's group teaches, by its share p of values that reach `success`. (N,)

    4p(1 − p), or with `band` 1 for LOW ≤ p ≤ HIGH; never under EXPLORED. A group of which nothing
    is known counts in full.
    """
    slot, num = _groups.slots(group_N)
    hit = np.where(np.isfinite(value_N), (value_N >= success).astype(np.float64), np.nan)
    p = _groups.mean(hit, slot, num)
    inside = (p > LOW - TINY) & (p < HIGH + TINY)
    weight = inside.astype(np.float64) if band else 4 * p * (1 - p)
    return np.where(np.isnan(p), 1.0, np.maximum(weight, EXPLORED))[slot]


def fronts(value_KN: Floats, tolerance_K: Floats) -> Ints:
    """Non-dominated fronts of one group: 0 for those that nobody beats, 1 for those only 0 does …

    a beats b where no reward prefers b by more than its tolerance and one prefers a by more.
    Rewards that one of the two lacks are left out. Tolerances can make beating go round in a
    circle; then all that are left share a front. Shapes (K, N), (K,) → (N,).
    """
    gap = value_KN[:, :, None] - value_KN[:, None, :]
    over = np.nan_to_num(gap, nan=0.0) > tolerance_K[:, None, None]
    better = np.asarray(over.any(axis=0))
    beats = better & ~better.T
    front, left = np.zeros(value_KN.shape[1], dtype=np.int64), np.arange(value_KN.shape[1])
    level = 0
    while left.size:
        free = ~beats[np.ix_(left, left)].any(axis=0)
        now = left[free] if free.any() else left
        front[now], level = level, level + 1
        left = np.setdiff1d(left, now)
    return front


def pareto(value_KN: Floats, group_N: Ints, tolerance_K: Floats) -> Floats:
    """−front of each sample inside its group, and among equals up to ½ more for standing apart.

    Standing apart is the crowding distance: how far the neighbours in the front are, in each
    reward as a share of the front's width. Shapes (K, N), (N,), (K,) → (N,); NaN without a value.
    """
    found = np.full(value_KN.shape[1], np.nan)
    known = np.isfinite(value_KN).any(axis=0)
    for group in np.unique(group_N[known]):
        inside = np.flatnonzero((group_N == group) & known)
        front = fronts(value_KN[:, inside], tolerance_K)
        for level in np.unique(front):
            mine = inside[front == level]
            apart = _groups.ranks(_crowding(value_KN[:, mine])) if len(mine) > 1 else 0.5
            found[mine] = -level + 0.5 * np.asarray(apart)
    return found


def _crowding(value_KN: Floats) -> Floats:
    """Crowding distance of the members of one front; the ends of a reward are infinitely apart."""
    total = np.zeros(value_KN.shape[1])
    for value in value_KN:
        order = np.flatnonzero(np.isfinite(value))
        order = order[np.argsort(value[order], kind="stable")]
        width = value[order[-1]] - value[order[0]] if len(order) > 1 else 0.0
        if width <= TINY:
            continue
        total[order[0]] = total[order[-1]] = np.inf
        total[order[1:-1]] += (value[order[2:]] - value[order[:-2]]) / width
    return total


def process_outcome(process_N: Floats, success_N: Floats, group_N: Ints) -> Floats:
    """Values of a process, those of failed samples centred to mean 0 inside their group.

    So being fluent earns a failed sample something against other failures and nothing against a
    success. `success_N`: 1, 0, or NaN where unknown, which leaves the sample out.
    """
    slot, num = _groups.slots(group_N)
    failed = success_N == 0
    below = _groups.mean(np.where(failed, process_N, np.nan), slot, num)[slot]
    centred = np.where(failed, process_N - below, process_N)
    return np.where(np.isfinite(success_N), centred, np.nan)


def adapted(
    weight: Mapping[str, float],
    base: Mapping[str, float],
    target: Mapping[str, float],
    mean: Mapping[str, float],
    spread: Mapping[str, float],
    missing: Mapping[str, float],
) -> dict[str, float]:
    """The next weights of rewards that have a target, from where they stand now.

    wanted = base · (target − mean)₊/t · (1 − missing), t the base's spread; base itself once every
    target is met. The weight moves a tenth of the way there, changes by at most CHANGE and stays
    within BOUNDS of its base. A reward without a mean keeps its weight.
    """
    known = [name for name in target if np.isfinite(mean.get(name, np.nan))]
    met = all(mean[name] >= target[name] for name in known)
    moved = dict(weight)
    for name in known:
        short = max(target[name] - mean[name], 0.0) / max(spread.get(name, 1.0), TINY)
        wanted = base[name] * (1.0 if met else short * (1.0 - missing.get(name, 0.0)))
        now = weight[name]
        most = CHANGE * abs(now)
        step = min(max((1 - KEEP) * (wanted - now), -most), most)
        low, high = sorted(limit * base[name] for limit in BOUNDS)
        moved[name] = min(max(now + step, low), high)
    return moved


def influence(share: Mapping[str, Floats]) -> dict[str, float]:
    """Each reward's part in what separates samples: spread of its shares over the sum of spreads.

    For a plain weighted sum that is |w|·s / Σ |w|·s. 0 throughout where nothing differs.
    """
    size = {name: _groups.spread(value) for name, value in share.items()}
    whole = sum(size.values())
    return {name: value / whole if whole > TINY else 0.0 for name, value in size.items()}
