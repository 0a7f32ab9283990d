"""What each reward is in the sum, and which settings cannot stand together. Pure numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from backend.errors import ConfigError, RewardError
from backend.rewards._groups import Floats, Ints

Scale = Literal["batch", "group", "none"]
OwnScale = Literal["run", "batch", "group", "none", "frozen"]
Transform = Literal["none", "log", "rank", "sign", "log-sigmoid", "threshold"]
Role = Literal["sum", "gate", "soft-gate"]
Combine = Literal["each", "sum", "pareto"]
Difficulty = Literal["none", "peak", "band"]


@dataclass(frozen=True, slots=True)
class Term:
    """One reward's part."""

    name: str
    weight: float = 1.0
    """Relative weight; a negative one punishes."""
    transform: Transform = "none"
    """Applied to the raw value: log(1 + max(x, 0)), the sign, the rank in the group (0 to 1),
    ln σ((x − reference)/T), or the value from `threshold` on and 0 below it."""
    required: bool = False
    """A sample that lacks a required reward leaves its group."""
    relative: bool = False
    """Values compare inside the group only (win rates, ranks): centred, never divided again."""
    role: Role = "sum"
    """"gate": samples under `threshold` are left out; "soft-gate": weighed by σ((x − τ)/T)."""
    scale: OwnScale = "run"
    """Its own divisor; "frozen" is the base's mean and deviation, "run" that of all others."""
    base: tuple[float, ...] = ()
    """What it said of the base policy's pictures: the reference of "frozen" and "log-sigmoid"."""
    quantile: float = 0.5
    """The reference of "log-sigmoid" as a quantile of `base`."""
    temperature: float = 0.0
    """T of "log-sigmoid" and of a soft gate, in its unit; 0 takes the deviation of `base`."""
    threshold: float = 0.0
    """τ of a gate and of the transform "threshold", in the reward's unit."""
    process: bool = False
    """How a sample came about: among those that fail by the first reward it is centred to mean 0,
    so that a fluent failure earns nothing against a success."""
    active: bool = True
    """Whether it counts already; a reward of a later stage is only recorded."""


@dataclass(frozen=True)
class Manner:
    """What composition does besides adding up normalised rewards; the default is nothing."""

    combine: Combine = "each"
    """Normalise each reward and add up, add up and normalise the sum, or Pareto fronts."""
    difficulty: Difficulty = "none"
    """Groups count by p, the share of the first reward's values that succeed: "peak" 4p(1 − p),
    "band" only those with .2 ≤ p ≤ .8."""
    success: float = 1.0
    """Value of the first reward from which a sample counts as a success."""
    doubt: Mapping[str, Floats] = field(default_factory=dict)
    """Reward → (N,) standard deviation of its values; their shares shrink by 1/(1 + u²/ū²)."""


PLAIN = Manner()


def refuse(
    terms: Sequence[Term], scale: Scale, combine: Combine, *, renormalise: bool = False
) -> None:
    """Raise ConfigError with the reason where these settings cannot stand together."""
    for term in terms:
        own = scale if term.scale == "run" else term.scale
        if term.transform == "log-sigmoid" and own == "group":
            raise ConfigError(
                f"Reward '{term.name}' is saturated by a log-sigmoid, and the spread of its group "
                "divides that saturation away again: where all are good, small differences would "
                "count in full. Scale it by the batch or by the base ('frozen').",
                field="compose.scale",
            )
        if term.relative and (term.transform == "log-sigmoid" or term.scale == "frozen"):
            raise ConfigError(
                f"Reward '{term.name}' compares inside a group only, so its values on the base's "
                "pictures are no reference; choose another transform and scale for it.",
                field="rewards",
            )
        if term.transform == "rank" and term.scale == "frozen":
            raise ConfigError(
                f"Reward '{term.name}' is turned into its rank in the group, and ranks of the base "
                "are no reference; scale it by the batch, the group, or not.",
                field="rewards",
            )
        if combine != "each" and term.scale != "run":
            what = "the sum is normalised" if combine == "sum" else "only who beats whom counts"
            raise ConfigError(
                f"Reward '{term.name}' has a scale of its own, but {what} (combine '{combine}'); "
                "take it away, or normalise each reward.",
                field="compose.combine",
            )
    summed = [term for term in terms if term.role == "sum"]
    if summed and summed[0].process:
        raise ConfigError(
            f"Reward '{summed[0].name}' is of the process, but it is the first of the sum, which "
            "says what succeeded; put the reward of the outcome before it.",
            field="rewards",
        )
    if not any(term.weight for term in summed):
        raise ConfigError(
            "All rewards of this run are gates or have weight 0, so nothing would be learned; add "
            "a reward to the sum.",
            field="rewards",
        )
    if combine == "pareto" and (len(summed) < 2 or renormalise):
        why = "divided again, fronts that differ by a tie-break would count in full"
        why = why if renormalise else f"there is {len(summed)} reward in the sum"
        raise ConfigError(
            f"Pareto fronts compare two or more rewards and are not normalised again: {why}.",
            field="compose.combine",
        )


def needs_base(term: Term) -> bool:
    """Whether the term is told by what it said of the base's pictures."""
    soft = term.role == "soft-gate" and term.temperature == 0
    return term.transform == "log-sigmoid" or term.scale == "frozen" or soft


def check(values: Mapping[str, Floats], group_N: Ints, terms: Sequence[Term]) -> None:
    """Raise ConfigError on terms that are no sum, RewardError on values that are not theirs."""
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
        if needs_base(term) and len(term.base) < 2:
            raise RewardError(
                f"Reward '{term.name}' is measured against what it said of the base's pictures, "
                f"and there are {len(term.base)} such values; evaluate the base first, on at least "
                "two held-out prompts that the reward applies to."
            )
