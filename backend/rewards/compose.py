"""Several rewards become one advantage per sample. Pure numpy, no state, every stage returned.

The order is fixed:

    missing → transform → normalise with floor → weight → combine → gate → centre → clip

    raw_k(i)     what reward k said of sample i; NaN means it said nothing
    shaped_k(i)  = f_k(raw_k(i)), the term's transform
    z_k(i)       = (shaped_k(i) − mean of the group) / divisor_k            (see `normalise`)
    weight_k(i)  = w_k / Σ |w| over the rewards present on sample i
    factor_k(i)  soft gates × confidence × difficulty; a gate that is shut leaves the sample out
    share_k(i)   = weight·z·factor − mean over the group of the same        (centred contribution)
    total(i)     = clip(Σ_k share_k(i), ±clip)

So the shares of a sample add up to its advantage before the clip, and sum to zero in each group.

`combine` says where the sum stands: "each" normalises every reward and adds them up; "sum" adds up
in the rewards' own units and divides the sums; "pareto" asks only who beats whom in everything.
`refuse` says which settings cannot stand together, and why. The operators are in `_operators`.

Letters: N samples of a batch, k rewards. A group is the set of samples that share a group id:
siblings of one prompt (and fork, and stride). Standard deviations divide by n − 1.
Sources: Shao et al. 2024 (arXiv 2402.03300) for group normalisation; GDPO (2601.05242) for one
normalisation per reward before the sum; Flow-GRPO (2505.05470) for the batch's standard deviation;
Dr. GRPO (2503.20783) for no division. The floor and the missing values are our own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.rewards import _operators
from backend.rewards._groups import TINY, centred, ranked, slots, spread
from backend.rewards._groups import mean as group_mean
from backend.rewards._groups import std as group_std
from backend.rewards._terms import PLAIN as PLAIN
from backend.rewards._terms import Combine, check
from backend.rewards._terms import Manner as Manner
from backend.rewards._terms import Scale as Scale
from backend.rewards._terms import Term as Term
from backend.rewards._terms import needs_base as needs_base
from backend.rewards._terms import refuse as refuse

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

CLIP: Final = 5.0
"""Largest absolute advantage by default (Flow-GRPO)."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What became of one reward's values; all arrays (N,), NaN where the reward said nothing."""

    raw: Floats
    shaped: Floats
    z: Floats
    weight: Floats
    share: Floats
    factor: Floats | None = None
    """Gates, confidence and difficulty; of a gate itself what it let through. None: all ones."""


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
    gated: Bools | None = None
    """(N,) samples that a gate left out; None without gates."""
    floors: dict[str, float] = field(default_factory=dict)
    """Reward → the spread below which it says nothing."""


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
    slot, num = slots(group_N)
    z = values_N - group_mean(values_N, slot, num)[slot]
    if scale == "none" or relative:
        return z
    if scale == "group":
        return np.asarray(z / np.maximum(group_std(values_N, slot, num), max(floor, TINY))[slot])
    return np.asarray(z / max(spread(values_N), floor, TINY))


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
    slot, num = slots(group_N)
    found: dict[str, float] = {}
    for name, value_N in values.items():
        inside = group_std(np.asarray(value_N, dtype=np.float64), slot, num)
        middle = float(np.median(inside[np.isfinite(inside)])) if np.isfinite(inside).any() else 0.0
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
    manner: Manner = PLAIN,
) -> Composed:
    """Advantages of a batch from several rewards, some of which may be missing.

    values:  reward → (N,) raw values, NaN where missing; a term without values is an error.
    group_N: (N,) any integers; equal ids are siblings.
    floor:   in the reward's own unit, one for all or one per reward. It bounds the divisor from
             below, and a group in which every reward spreads less than its floor is skipped.
    clip:    largest absolute advantage.
    renormalise: divide the sum by its standard deviation over the batch (GDPO's second step), so
             that its size does not depend on how many rewards there are.
    manner:  fronts, difficulty, doubt.

    Raises ConfigError on impossible terms, RewardError on values of the wrong length.
    """
    group_N = np.asarray(group_N, dtype=np.int64)
    check(values, group_N, terms)
    combine = manner.combine
    refuse(terms, scale, combine, renormalise=renormalise)
    slot, num = slots(group_N)
    ids = np.unique(group_N)
    floor_of = {t.name: floor if isinstance(floor, int | float) else floor[t.name] for t in terms}
    summed = [term for term in terms if term.role == "sum" and term.active]
    gates = [term for term in terms if term.role != "sum" and term.active]
    raw = {term.name: _clean(values[term.name]) for term in terms}
    shaped = _shapes(raw, summed, group_N, manner.success)

    present = np.stack([np.isfinite(shaped[term.name]) for term in summed])
    usable: Bools = np.asarray(present.any(axis=0))
    for term, has in zip(summed, present, strict=True):
        usable = usable & (has | (not term.required))
    for gate in gates:
        usable = usable & np.isfinite(raw[gate.name])  # a check that failed lets nobody through
    count = np.bincount(slot[usable], minlength=num)
    for name, value in shaped.items():
        value = np.where(usable, value, np.nan)  # who is out of the game must not move the mean,
        alone = np.bincount(slot[np.isfinite(value)], minlength=num) < 2
        shaped[name] = np.where(alone[slot], np.nan, value)  # and one value alone compares nothing
    present = np.stack([np.isfinite(shaped[term.name]) for term in summed])
    usable = np.asarray(present.any(axis=0))
    inside = {name: group_std(value, slot, num) for name, value in shaped.items()}
    reasons = _reasons(count, inside, floor_of, ids)
    kept = np.array([int(g) not in reasons for g in ids], dtype=bool)
    used = usable & kept[slot]

    if combine == "pareto":
        z, weight = _pareto(shaped, group_N, summed, floor_of)
    else:
        z = {t.name: _normal(shaped[t.name], group_N, t, scale, floor_of, combine) for t in summed}
        weight = _weights(summed, present)
    factor, gated = _factors(raw, group_N, summed, gates, manner)
    if gated is not None:
        gated &= used
        used = used & ~gated
        lonely = np.bincount(slot[used], minlength=num) < 2
        for g in np.flatnonzero(lonely & kept):
            reasons[int(ids[g])] = "fewer than two samples pass the gates: nothing to compare"
        kept &= ~lonely
        used = used & kept[slot]
    voice = {n: w * z[n] if n not in factor else w * z[n] * factor[n] for n, w in weight.items()}
    share = {n: centred(np.where(used, value, np.nan), slot, num) for n, value in voice.items()}
    total = np.where(used, np.nansum(np.stack(list(share.values())), axis=0), 0.0)
    if combine == "sum" and scale != "none":
        size = _sizes(total, used, slot, num, scale, _joint(summed, floor_of))
        total, share = total / size, {name: value / size for name, value in share.items()}
    if renormalise and used.sum() > 1:
        whole = max(float(total[used].std(ddof=1)), TINY)
        total, share = total / whole, {name: value / whole for name, value in share.items()}
    cut = np.clip(total, -clip, clip)
    nothing = np.full(len(group_N), np.nan)
    return Composed(
        total=cut,
        used=used,
        stages={
            n: Stage(raw[n], shaped[n], z[n], weight[n], share[n], factor.get(n))
            if n in shaped
            else Stage(raw[n], nothing, nothing, nothing, nothing, factor.get(n))
            for n in raw
        },
        kept_groups=[int(g) for g in ids[kept]],
        reasons=reasons,
        spread={
            name: {int(g): float(s) for g, s in zip(ids, value, strict=True)}
            for name, value in inside.items()
        },
        missing={name: float(np.isnan(value).mean()) for name, value in raw.items()},
        clipped=float((np.abs(total[used]) > clip).mean()) if used.any() else 0.0,
        gated=gated,
        floors=floor_of,
    )


# ---------------------------------------------------------------- stages


def _clean(value_N: Floats) -> Floats:
    """A copy in float64 with infinities turned into missing values."""
    value = np.array(value_N, dtype=np.float64)
    value[~np.isfinite(value)] = np.nan
    return value


def _shapes(
    raw: Mapping[str, Floats], summed: Sequence[Term], group_N: Ints, success: float
) -> dict[str, Floats]:
    """The rewards of the sum after their transforms; those of the process know who succeeded."""
    slot, num = slots(group_N)
    shaped = {term.name: _shape(raw[term.name], term, slot, num) for term in summed}
    for term in summed:
        if term.process:
            first = raw[summed[0].name]
            succeeds = np.where(np.isnan(first), np.nan, (first >= success) * 1.0)
            shaped[term.name] = _operators.process_outcome(shaped[term.name], succeeds, group_N)
    return shaped


def _shape(value_N: Floats, term: Term, slot: Ints, num: int) -> Floats:
    if term.transform == "log":
        return np.asarray(np.log1p(np.maximum(value_N, 0.0)))
    if term.transform == "sign":
        return np.asarray(np.sign(value_N))
    if term.transform == "rank":
        return ranked(value_N, slot, num)
    if term.transform == "threshold":
        return _operators.partial(value_N, term.threshold)
    if term.transform == "log-sigmoid":
        reference = float(np.quantile(term.base, term.quantile))
        return _operators.log_sigmoid(value_N, reference, _temperature(term))
    return value_N.copy()


def _temperature(term: Term) -> float:
    return term.temperature or spread(np.array(term.base))


def _normal(
    value_N: Floats,
    group_N: Ints,
    term: Term,
    scale: Scale,
    floor: Mapping[str, float],
    combine: Combine,
) -> Floats:
    """One reward's z; where the sum is normalised, the reward is only centred."""
    if combine == "sum":
        return normalise(value_N, group_N, scale="none")
    if term.scale == "frozen":
        base = np.array(term.base)
        slot = np.zeros(len(base), dtype=np.int64)
        return _operators.frozen(value_N, _shape(base, term, slot, 1), floor[term.name])
    own = scale if term.scale == "run" else term.scale
    return normalise(value_N, group_N, scale=own, floor=floor[term.name], relative=term.relative)


def _pareto(
    shaped: Mapping[str, Floats], group_N: Ints, terms: Sequence[Term], floor: Mapping[str, float]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """The front's value and an equal part of it for every reward that is present: (z, weight)."""
    live = [term for term in terms if term.weight]
    value_KN = np.stack([np.sign(term.weight) * shaped[term.name] for term in live])
    tolerance_K = np.array([floor[term.name] for term in live])
    value = _operators.pareto(value_KN, group_N, tolerance_K)
    has = {t.name: np.isfinite(shaped[t.name]) & bool(t.weight) for t in terms}
    num = np.maximum(np.sum(list(has.values()), axis=0), 1)
    z = {name: np.where(there, value, np.nan) for name, there in has.items()}
    return z, {name: np.where(there, 1.0 / num, np.nan) for name, there in has.items()}


def _weights(terms: Sequence[Term], present_KN: Bools) -> dict[str, Floats]:
    """Weights over the rewards present on each sample, sizes summing to 1; NaN where absent."""
    size_KN = np.array([abs(term.weight) for term in terms])[:, None] * present_KN
    whole_N = np.maximum(size_KN.sum(axis=0), TINY)
    return {
        term.name: np.where(has, term.weight / whole_N, np.nan)
        for term, has in zip(terms, present_KN, strict=True)
    }


def _factors(
    raw: Mapping[str, Floats],
    group_N: Ints,
    summed: Sequence[Term],
    gates: Sequence[Term],
    manner: Manner,
) -> tuple[dict[str, Floats], Bools | None]:
    """What the shares are multiplied by, by reward, and who is left out; nothing where nobody
    asked for it, so that a plain sum stays what it is to the bit."""
    own: dict[str, Floats] = {}
    gated: Bools | None = None
    common: list[Floats] = []
    for gate in gates:
        value = raw[gate.name]
        if gate.role == "gate":
            own[gate.name] = np.where(np.isnan(value), np.nan, (value >= gate.threshold) * 1.0)
            shut = value < gate.threshold
            gated = shut if gated is None else gated | shut
        else:
            own[gate.name] = _operators.soft_gate(value, gate.threshold, _temperature(gate))
            common.append(own[gate.name])
    if manner.difficulty != "none":
        first, band = raw[summed[0].name], manner.difficulty == "band"
        common.append(_operators.difficulty(first, group_N, manner.success, band=band))
    for term in summed:
        mine = list(common)
        if term.name in manner.doubt:
            mine.append(_operators.confidence(manner.doubt[term.name]))
        if mine:
            own[term.name] = np.prod(mine, axis=0)
    return own, gated


def _joint(terms: Sequence[Term], floor: Mapping[str, float]) -> float:
    """The floor of a weighted sum in the rewards' own units."""
    whole = max(sum(abs(term.weight) for term in terms), TINY)
    return sum(abs(term.weight) * floor[term.name] for term in terms) / whole


def _sizes(total: Floats, used: Bools, slot: Ints, num: int, scale: Scale, floor: float) -> Floats:
    """What the sums are divided by: their spread in the group or in the batch, at least `floor`."""
    value = np.where(used, total, np.nan)
    inside = group_std(value, slot, num)[slot] if scale == "group" else spread(value)
    return np.maximum(np.nan_to_num(inside, nan=1.0), max(floor, TINY)) * np.ones(len(total))


def _reasons(
    count: Ints, inside: Mapping[str, Floats], floor: Mapping[str, float], ids: Ints
) -> dict[int, str]:
    """Why each skipped group is skipped."""
    reasons: dict[int, str] = {}
    for g, group in enumerate(ids):
        if count[g] < 2:
            reasons[int(group)] = f"only {int(count[g])} usable value(s): nothing to compare"
            continue
        live = [k for k in inside if inside[k][g] > max(floor[k], TINY)]
        if not live:
            facts = ", ".join(f"{k} {_or_zero(inside[k][g]):.3g}" for k in inside)
            reasons[int(group)] = f"spread under the floor of every reward ({facts})"
    return reasons


def _or_zero(value: float) -> float:
    return float(value) if np.isfinite(value) else 0.0
