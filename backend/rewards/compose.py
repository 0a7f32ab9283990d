"""Several rewards become one advantage per sample. Pure numpy, no state, every stage returned.

The order is fixed:

    missing → transform → normalise with floor → weight → combine → centre → clip

    raw_k(i)     what reward k said of sample i; NaN means it said nothing
    shaped_k(i)  = f_k(raw_k(i)), the term's transform
    z_k(i)       = (shaped_k(i) − mean of the group) / divisor_k            (see `normalise`)
    weight_k(i)  = w_k / Σ |w| over the rewards present on sample i
    share_k(i)   = weight_k(i) · z_k(i) − mean over the group of the same   (centred contribution)
    total(i)     = clip(Σ_k share_k(i), ±clip)

So the shares of a sample add up to its advantage before the clip, and sum to zero in each group.

Letters: N samples of a batch, k rewards. A group is the set of samples that share a group id:
siblings of one prompt (and fork, and stride). Standard deviations divide by n − 1.
Sources: Shao et al. 2024 (arXiv 2402.03300) for group normalisation; GDPO (2601.05242) for one
normalisation per reward before the sum; Flow-GRPO (2505.05470) for the batch's standard deviation;
Dr. GRPO (2503.20783) for no division. The floor and the missing values are our own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from backend.errors import ConfigError, RewardError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Scale = Literal["batch", "group", "none"]
Transform = Literal["none", "log", "rank", "sign"]

CLIP: Final = 5.0
"""Largest absolute advantage by default (Flow-GRPO)."""

_TINY: Final = 1e-12
"""Keeps a division by a spread of exactly nothing finite; far below any reward's noise."""


@dataclass(frozen=True, slots=True)
class Term:
    """One reward's part in the sum."""

    name: str
    weight: float = 1.0
    """Relative weight; a negative one punishes."""
    transform: Transform = "none"
    """Applied to the raw value: log(1 + max(x, 0)), the sign, or the rank in the group (0 to 1)."""
    required: bool = False
    """A sample that lacks a required reward leaves its group."""
    relative: bool = False
    """Values compare inside the group only (win rates, ranks): centred, never divided again."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What became of one reward's values; all arrays (N,), NaN where the reward said nothing."""

    raw: Floats
    shaped: Floats
    z: Floats
    weight: Floats
    share: Floats


@dataclass(frozen=True, slots=True)
class Composed:
    """The advantages of a batch and how they came about."""

    total: Floats
    """(N,) advantages after the clip; 0 where `used` is False, which is not a judgement."""
    used: Bools
    """(N,) whether the sample may be trained on: it has a value and its group was kept."""
    stages: dict[str, Stage]
    kept_groups: list[int]
    reasons: dict[int, str]
    """Skipped group id → why, as a sentence."""
    spread: dict[str, dict[int, float]]
    """Reward → group id → standard deviation of its shaped values inside the group."""
    missing: dict[str, float]
    """Reward → share of the batch it said nothing about, 0 to 1."""
    clipped: float
    """Share of used samples whose advantage was cut."""


def normalise(
    values_N: Floats,
    group_N: Ints,
    *,
    scale: Scale = "batch",
    floor: float = 0.0,
    relative: bool = False,
) -> Floats:
    """Values relative to their group, over a divisor that never falls under `floor`.

    z = (r − mean_group r) / max(s, floor), where s is
      group: the group's own standard deviation; small spreads are enlarged, so give it a floor;
      batch: that of all values of the batch, so groups of little spread stay quiet (Flow-GRPO);
      none:  1 (Dr. GRPO): z keeps the reward's unit.
    `relative` centres only, whatever the scale. Missing values (NaN) stay NaN and count nowhere.
    Shapes: (N,), (N,) → (N,). The z of each group sum to 0.

    Example: values 1, 3, 5 in one group, scale "group": mean 3, s = 2, z = −1, 0, 1.
    """
    slot, num = _slots(group_N)
    z = values_N - _mean(values_N, slot, num)[slot]
    if scale == "none" or relative:
        return z
    if scale == "group":
        return np.asarray(z / np.maximum(_std(values_N, slot, num), max(floor, _TINY))[slot])
    present = values_N[np.isfinite(values_N)]
    spread = float(present.std(ddof=1)) if present.size > 1 else 0.0
    return np.asarray(z / max(spread, floor, _TINY))


def floors(
    values: Mapping[str, Floats],
    group_N: Ints,
    *,
    noise: Mapping[str, float] | None = None,
    fraction: float = 0.5,
) -> dict[str, float]:
    """Each reward's floor: max(its repeat noise, `fraction` × its median group spread).

    Without it a reward whose spread is mere noise gets a full voice. Take it from the first batches
    of a run and keep it: a floor that follows a vanishing spread down protects from nothing.
    """
    slot, num = _slots(group_N)
    found: dict[str, float] = {}
    for name, value_N in values.items():
        spread = _std(np.asarray(value_N, dtype=np.float64), slot, num)
        middle = float(np.median(spread[np.isfinite(spread)])) if np.isfinite(spread).any() else 0.0
        found[name] = max((noise or {}).get(name, 0.0), fraction * middle)
    return found


def compose(
    values: Mapping[str, Floats],
    group_N: Ints,
    terms: Sequence[Term],
    *,
    scale: Scale = "batch",
    floor: float | Mapping[str, float] = 0.0,
    clip: float = CLIP,
    renormalise: bool = False,
) -> Composed:
    """Advantages of a batch from several rewards, some of which may be missing.

    values:  reward → (N,) raw values, NaN where missing; a term without values is an error.
    group_N: (N,) any integers; equal ids are siblings.
    floor:   in the reward's own unit, one for all or one per reward. It bounds the divisor from
             below, and a group in which every reward spreads less than its floor is skipped.
    clip:    largest absolute advantage.
    renormalise: divide the sum by its standard deviation over the batch (GDPO's second step), so
             that its size does not depend on how many rewards there are.

    Raises ConfigError on impossible terms, RewardError on values of the wrong length.
    """
    group_N = np.asarray(group_N, dtype=np.int64)
    _check(values, group_N, terms)
    slot, num = _slots(group_N)
    ids = np.unique(group_N)
    raw = {term.name: _clean(values[term.name]) for term in terms}
    shaped = {term.name: _shape(raw[term.name], term.transform, slot, num) for term in terms}

    present = np.stack([np.isfinite(shaped[term.name]) for term in terms])
    usable: Bools = np.asarray(present.any(axis=0))
    for term, has in zip(terms, present, strict=True):
        usable = usable & (has | (not term.required))
    count = np.bincount(slot[usable], minlength=num)
    for name, value in shaped.items():
        value = np.where(usable, value, np.nan)  # who is out of the game must not move the mean,
        alone = np.bincount(slot[np.isfinite(value)], minlength=num) < 2
        shaped[name] = np.where(alone[slot], np.nan, value)  # and one value alone compares nothing
    present = np.stack([np.isfinite(shaped[term.name]) for term in terms])
    usable = np.asarray(present.any(axis=0))
    floor_of = {t.name: floor if isinstance(floor, int | float) else floor[t.name] for t in terms}
    spread = {name: _std(value, slot, num) for name, value in shaped.items()}
    reasons = _reasons(count, spread, floor_of, ids)
    kept = np.array([int(g) not in reasons for g in ids], dtype=bool)
    used = usable & kept[slot]

    z = {
        t.name: normalise(
            shaped[t.name],
            group_N,
            scale=scale,
            floor=floor_of[t.name],
            relative=t.relative,
        )
        for t in terms
    }
    weight = _weights(terms, present)
    share = {
        t.name: _centred(np.where(used, weight[t.name] * z[t.name], np.nan), slot, num)
        for t in terms
    }
    total = np.where(used, np.nansum(np.stack(list(share.values())), axis=0), 0.0)
    if renormalise and used.sum() > 1:
        size = max(float(total[used].std(ddof=1)), _TINY)
        total, share = total / size, {name: value / size for name, value in share.items()}
    cut = np.clip(total, -clip, clip)
    return Composed(
        total=cut,
        used=used,
        stages={n: Stage(raw[n], shaped[n], z[n], weight[n], share[n]) for n in raw},
        kept_groups=[int(g) for g in ids[kept]],
        reasons=reasons,
        spread={
            name: {int(g): float(s) for g, s in zip(ids, value, strict=True)}
            for name, value in spread.items()
        },
        missing={name: float(np.isnan(value).mean()) for name, value in raw.items()},
        clipped=float((np.abs(total[used]) > clip).mean()) if used.any() else 0.0,
    )


# ---------------------------------------------------------------- stages


def _check(values: Mapping[str, Floats], group_N: Ints, terms: Sequence[Term]) -> None:
    names = [term.name for term in terms]
    if not terms or not any(term.weight for term in terms):
        raise ConfigError(
            "A run needs at least one reward with a weight other than 0; add one.", field="rewards"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(
            f"Two rewards are called '{twice}'; give each its own name.", field="rewards"
        )
    for term in terms:
        if term.name not in values:
            raise RewardError(f"Reward '{term.name}' is part of the sum but gave no values.")
        if len(values[term.name]) != len(group_N):
            raise RewardError(
                f"Reward '{term.name}' has {len(values[term.name])} values for {len(group_N)} "
                f"samples; a reward must give one per sample, NaN where it has none."
            )


def _clean(value_N: Floats) -> Floats:
    """A copy in float64 with infinities turned into missing values."""
    value = np.array(value_N, dtype=np.float64)
    value[~np.isfinite(value)] = np.nan
    return value


def _shape(value_N: Floats, transform: Transform, slot: Ints, num: int) -> Floats:
    if transform == "log":
        return np.asarray(np.log1p(np.maximum(value_N, 0.0)))
    if transform == "sign":
        return np.asarray(np.sign(value_N))
    if transform == "rank":
        shaped = np.full_like(value_N, np.nan)
        for g in range(num):
            inside = np.flatnonzero((slot == g) & np.isfinite(value_N))
            shaped[inside] = _ranks(value_N[inside])
        return shaped
    return value_N.copy()


def _ranks(value: Floats) -> Floats:
    """Share of the others that each value beats, a tie counting half: 0 (worst) to 1 (best)."""
    if value.size < 2:
        return np.full_like(value, 0.5)
    wins = (value[:, None] > value[None, :]).sum(axis=1)
    ties = (value[:, None] == value[None, :]).sum(axis=1) - 1
    return np.asarray((wins + 0.5 * ties) / (value.size - 1))


def _weights(terms: Sequence[Term], present_KN: Bools) -> dict[str, Floats]:
    """Weights over the rewards present on each sample, sizes summing to 1; NaN where absent."""
    size_KN = np.array([abs(term.weight) for term in terms])[:, None] * present_KN
    whole_N = np.maximum(size_KN.sum(axis=0), _TINY)
    return {
        term.name: np.where(has, term.weight / whole_N, np.nan)
        for term, has in zip(terms, present_KN, strict=True)
    }


def _reasons(
    count: Ints, spread: Mapping[str, Floats], floor: Mapping[str, float], ids: Ints
) -> dict[int, str]:
    """Why each skipped group is skipped."""
    reasons: dict[int, str] = {}
    for g, group in enumerate(ids):
        if count[g] < 2:
            reasons[int(group)] = f"only {int(count[g])} usable value(s): nothing to compare"
            continue
        live = [k for k in spread if spread[k][g] > max(floor[k], _TINY)]
        if not live:
            facts = ", ".join(f"{k} {_or_zero(spread[k][g]):.3g}" for k in spread)
            reasons[int(group)] = f"spread under the floor of every reward ({facts})"
    return reasons


def _or_zero(value: float) -> float:
    return float(value) if np.isfinite(value) else 0.0


# ---------------------------------------------------------------- group statistics


def _slots(group_N: Ints) -> tuple[Ints, int]:
    """Group ids as positions 0 … num − 1 in rising order of id."""
    ids, slot = np.unique(np.asarray(group_N), return_inverse=True)
    return slot.astype(np.int64), len(ids)


def _mean(value_N: Floats, slot: Ints, num: int) -> Floats:
    """Mean of the present values of each group; NaN for an empty one."""
    has = np.isfinite(value_N)
    total = np.bincount(slot[has], weights=value_N[has], minlength=num)
    count = np.bincount(slot[has], minlength=num)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _std(value_N: Floats, slot: Ints, num: int) -> Floats:
    """Standard deviation (n − 1) of the present values of each group; NaN under two of them."""
    rest = value_N - _mean(value_N, slot, num)[slot]
    has = np.isfinite(rest)
    square = np.bincount(slot[has], weights=rest[has] ** 2, minlength=num)
    count = np.bincount(slot[has], minlength=num)
    return np.where(count > 1, np.sqrt(square / np.maximum(count - 1, 1)), np.nan)


def _centred(value_N: Floats, slot: Ints, num: int) -> Floats:
    """Value minus its mean over the siblings that have it.

    With a reward missing on some siblings the weights differ and the shares would not sum to zero;
    each reward is centred over the siblings it judged, so a missing value pulls nobody up or down.
    """
    return np.asarray(value_N - _mean(value_N, slot, num)[slot])
