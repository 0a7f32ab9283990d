"""Settings of how rewards are composed: one object a reward, and one for all of them together.

What each operator does, when it helps and what it costs: docs/rewards.md, "Several together".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import Field

from backend.config import Config
from backend.errors import ConfigError
from backend.rewards.compose import Term, refuse


class RewardTerm(Config):
    """One reward in the sum that is trained, or one that is only watched."""

    name: str
    """Name in charts and tables; once in a run."""
    kind: str
    """Key of a file in backend/rewards."""
    weight: float = 1.0
    """Weight in the sum of normalised rewards; negative turns a reward into a penalty."""
    only: str = ""
    """Only prompts that contain these words are asked about; empty asks about all of them."""
    transform: Literal["none", "log", "rank", "sign", "log-sigmoid", "threshold"] = "none"
    """Applied to the raw value before it is normalised. "log-sigmoid" saturates: once a picture is
    better than the base's, more counts ever less. "threshold" pays nothing below a threshold."""
    config: dict[str, Any] = Field(default_factory=dict)
    """The reward's own settings."""
    role: Literal["sum", "gate", "soft-gate"] = "sum"
    """Part of the sum; or a precondition: samples below the threshold are left out ("gate"), or
    count the less the further they are below it ("soft-gate")."""
    scale: Literal["run", "batch", "group", "none", "frozen"] = "run"
    """What its values are divided by: "run" as all others; "frozen" is the spread that the base's
    pictures had, so that a value means the same from beginning to end."""
    quantile: float = Field(0.5, gt=0, lt=1)
    """For "log-sigmoid": the reference, as a quantile of the base's values on held-out prompts."""
    temperature: float = Field(0.0, ge=0)
    """For "log-sigmoid" and "soft-gate": the difference that matters, in the reward's unit; 0 takes
    the base's spread."""
    thresholds: list[float] = Field(default_factory=list)
    """For gates and "threshold", in the reward's unit; several rise through the run, each holding
    for an equal part of it."""
    required: bool = False
    """A picture without a value of this reward leaves its group."""
    floor: float | None = Field(None, ge=0)
    """Spread below which this reward says nothing, in its own unit; empty takes that of all."""
    noise: float = Field(0.0, ge=0)
    """Spread of its values when the same picture is judged again; measured floors are no less."""
    doubtful: bool = False
    """Shrink its shares where it is unsure, by the deviation ("sd") that it gives with a value."""
    process: bool = False
    """How a picture came about, not what came of it: among pictures that fail by the first reward
    (under "success") it is centred to 0, so that a fluent failure earns nothing."""
    target: float | None = None
    """Mean to reach; the weight then follows what is missing, within a quarter and four times."""
    stage: int = Field(0, ge=0, le=9)
    """Joins the sum when the rewards of the stage before have levelled off; 0 is there at once."""


class Compose(Config):
    """How rewards are normalised in their group and added up."""

    scale: Literal["batch", "group", "none"] = "batch"
    """Divide by the spread of the whole batch (survives vanishing groups), of the group, or not."""
    floor: float = Field(1e-3, ge=0)
    """A group whose spread is below this teaches nothing: it is skipped and counted."""
    clip: float = Field(5.0, gt=0)
    """Advantages are cut at plus and minus this."""
    combine: Literal["each", "sum", "pareto"] = "each"
    """Normalise every reward and add up; add up in the rewards' own units and normalise the sum; or
    ask only who beats whom in everything ("pareto", for two or three rewards)."""
    renormalise: bool = False
    """Divide the sum by its own spread, so that its size does not depend on the number of
    rewards."""
    measure_floors: bool = False
    """Take each reward's floor from the first update: half its median spread in a group, or its
    noise, whichever is more."""
    difficulty: Literal["none", "peak", "band"] = "none"
    """Prompts count by how many of their pictures succeed, p: "peak" by 4p(1 − p), "band" in full
    from p = 0.2 to 0.8; others keep 5 %."""
    success: float = 1.0
    """Value of the first reward from which a picture is a success, for the difficulty and for
    rewards of the process."""
    plateau: int = Field(10, ge=2, json_schema_extra={"unit": "updates"})
    """With stages: a stage ends when its mean of so many updates is no higher than before."""
    plateau_margin: float = Field(1.0, ge=0, json_schema_extra={"unit": "standard errors"})
    """How much higher it must be to count as rising still."""
    missing: float = Field(0.05, ge=0, le=1)
    """The run pauses when a reward fails on more than this share of pictures, three updates in a
    row; 1 never pauses."""


LATER: Final = {
    "term": frozenset(RewardTerm.model_fields)
    - {"name", "kind", "weight", "only", "transform", "config"},
    "compose": frozenset(Compose.model_fields) - {"scale", "floor", "clip"},
}
"""Settings that came after the first checkpoints: at their default they are no part of what a
checkpoint means, so that those of earlier versions go on."""


def without_later(settings: dict[str, Any]) -> dict[str, Any]:
    """A run's plain settings without later ones at their default."""
    plain = dict(settings)
    plain["compose"] = _bare(plain["compose"], Compose(), LATER["compose"])
    blank = RewardTerm(name="", kind="")
    for part in ("rewards", "watch"):
        plain[part] = [_bare(term, blank, LATER["term"]) for term in plain[part]]
    return plain


def _bare(given: Mapping[str, Any], blank: Config, later: frozenset[str]) -> dict[str, Any]:
    default = blank.plain()
    return {k: v for k, v in given.items() if k not in later or v != default[k]}


def as_term(term: RewardTerm, *, relative: bool = False) -> Term:
    """The reward's part in composition, as it stands at the beginning of a run."""
    return Term(
        term.name,
        term.weight,
        term.transform,
        required=term.required,
        relative=relative,
        role=term.role,
        scale=term.scale,
        quantile=term.quantile,
        temperature=term.temperature,
        threshold=term.thresholds[0] if term.thresholds else 0.0,
        process=term.process,
        active=term.stage == 0,
    )


def check_compose(terms: Sequence[RewardTerm], compose: Compose) -> None:
    """Raise ConfigError, with the setting at fault, on what cannot be composed."""
    if not terms:
        return
    for number, term in enumerate(terms):
        asks = term.role != "sum" or term.transform == "threshold"
        if asks != bool(term.thresholds):
            told = "needs a threshold" if asks else "has thresholds that nothing reads"
            raise ConfigError(
                f"Reward '{term.name}' {told}: thresholds belong to a gate, a soft gate and the "
                "transform 'threshold'.",
                field=f"rewards.{number}.thresholds",
            )
        if sorted(term.thresholds) != term.thresholds:
            raise ConfigError(
                f"The thresholds of '{term.name}' fall in between; give them in rising order.",
                field=f"rewards.{number}.thresholds",
            )
    refuse(
        [as_term(t) for t in terms], compose.scale, compose.combine, renormalise=compose.renormalise
    )
    stages = {term.stage for term in terms if term.role == "sum"}
    if stages != set(range(len(stages))):
        raise ConfigError(
            f"The rewards of the sum are of stages {', '.join(map(str, sorted(stages)))}; number "
            "them from 0 on without a gap, or nothing is learned before the first plateau.",
            field="rewards",
        )
