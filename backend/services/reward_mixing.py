"""A mix of rewards on the stored values of a set: every stage of composition, picture by picture.

It is `backend.rewards.compose` and nothing else, so what a page draws is what a run would do. What
a run measures on the way is given: the base's pictures are another set, how much of the run is over
is a share, and of rewards in stages those up to one have joined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backend.errors import ConfigError, InputError
from backend.rewards import _operators
from backend.rewards.compose import Composed, Manner, Stage, Term, compose
from backend.rl.composing import Compose, RewardTerm, as_term, check_compose
from backend.services import reward_sets, rewards
from backend.services.reward_lab import column, groups_of
from backend.services.studio import Studio

Floats = NDArray[np.float64]

DOUBT: Final = "sd"
"""The aspect by which a reward says how unsure it is."""


@dataclass(frozen=True)
class Mix:
    """What is asked: terms as a run's settings have them, `reward_id` instead of kind and config.

    `only_whole` leaves pictures out that any of the rewards has no value for.
    """

    set: str
    terms: Sequence[Mapping[str, Any]]
    compose: Mapping[str, Any] = field(default_factory=dict)
    base: str = ""
    """Set of the base's pictures; empty: the set itself."""
    done: float = 0.0
    """How much of the run is over, 0 to 1, for thresholds that rise."""
    stage: int = 0
    """Rewards of this stage and of those before it have joined."""
    only_whole: bool = False


def stages(studio: Studio, project_id: int, mix: Mix) -> dict[str, Any]:
    """{config, total, used, gated, groups, skipped, reasons, terms: {name: {raw, shaped, z, weight,
    share, factor, base}}, influence}; columns are in the order of the set, None where missing.

    Refuses what cannot stand together with the reason a run would give.
    """
    terms, ids = _terms(studio, project_id, mix.terms)
    settings = Compose.read(dict(mix.compose))
    check_compose(terms, settings)
    shown = reward_sets.resolve(studio, project_id, mix.set)
    sample_ids = [one.id for one in shown]
    values = {
        term.name: reward_sets.values(studio, ids[term.name], sample_ids).values for term in terms
    }
    if mix.only_whole:
        whole = np.all([np.isfinite(value) for value in values.values()], axis=0)
        values = {name: np.where(whole, value, np.nan) for name, value in values.items()}
    base = _base(studio, project_id, mix, terms, ids, values)
    doubt = {
        term.name: reward_sets.part(studio, ids[term.name], sample_ids, DOUBT)
        for term in terms
        if term.doubtful
    }
    _check_known(terms, values, doubt)
    made = compose(
        values,
        groups_of(shown),
        [_at(term, base[term.name], mix) for term in terms],
        scale=settings.scale,
        floor={t.name: settings.floor if t.floor is None else t.floor for t in terms},
        clip=settings.clip,
        renormalise=settings.renormalise,
        manner=Manner(settings.combine, settings.difficulty, settings.success, doubt),
    )
    return {
        "config": {"rewards": [term.plain() for term in terms], "compose": settings.plain()},
        **_told(made),
        "terms": {
            name: {**_stage(stage), "base": column(np.array(base[name]))}
            for name, stage in made.stages.items()
        },
    }


def _terms(
    studio: Studio, project_id: int, asked: Sequence[Mapping[str, Any]]
) -> tuple[list[RewardTerm], dict[str, int]]:
    """The terms as a run has them, and the stored reward behind each name."""
    if not asked:
        raise InputError("A mix needs a reward; choose one.")
    terms, ids = [], {}
    for number, given in enumerate(asked):
        rest = {name: value for name, value in given.items() if name != "reward_id"}
        reward_id = given.get("reward_id")
        if not isinstance(reward_id, int):
            raise ConfigError(
                "Say which reward is meant (reward_id).", field=f"terms.{number}.reward_id"
            )
        reward_sets.checked_rewards(studio, project_id, [reward_id])
        reward = rewards.get(studio, reward_id)
        own = {"name": reward["name"], "kind": reward["kind"], "config": reward["config"]}
        term = RewardTerm.read({**own, **rest})
        terms.append(term)
        ids[term.name] = reward_id
    return terms, ids


def _base(
    studio: Studio,
    project_id: int,
    mix: Mix,
    terms: Sequence[RewardTerm],
    ids: Mapping[str, int],
    values: Mapping[str, Floats],
) -> dict[str, tuple[float, ...]]:
    """What each reward said of the base's pictures."""
    if mix.base and mix.base != mix.set:
        there = [one.id for one in reward_sets.resolve(studio, project_id, mix.base)]
        values = {t.name: reward_sets.values(studio, ids[t.name], there).values for t in terms}
    return {name: tuple(value[np.isfinite(value)].tolist()) for name, value in values.items()}


def _at(term: RewardTerm, base: tuple[float, ...], mix: Mix) -> Term:
    """The term as it stands when that much of the run is over."""
    threshold = _operators.rising(term.thresholds, mix.done) if term.thresholds else 0.0
    here = replace(as_term(term), base=base, active=term.stage <= mix.stage)
    return replace(here, threshold=threshold)


def _check_known(
    terms: Sequence[RewardTerm], values: Mapping[str, Floats], doubt: Mapping[str, Floats]
) -> None:
    for number, term in enumerate(terms):
        if not np.isfinite(values[term.name]).any():
            raise ConfigError(
                f"'{term.name}' has no value for any picture of this set; score the set with it "
                "first.",
                field=f"terms.{number}.reward_id",
            )
        if term.doubtful and not np.isfinite(doubt[term.name]).any():
            raise ConfigError(
                f"'{term.name}' does not say how unsure it is, so nothing can be weighed by that; "
                "learned rewards do.",
                field=f"terms.{number}.doubtful",
            )


def _told(made: Composed) -> dict[str, Any]:
    share = {name: stage.share for name, stage in made.stages.items()}
    return {
        "total": column(np.where(made.used, made.total, np.nan)),
        "used": made.used.tolist(),
        "gated": None if made.gated is None else made.gated.tolist(),
        "groups": len(made.kept_groups),
        "skipped": len(made.reasons),
        "reasons": list(dict.fromkeys(made.reasons.values()))[:3],
        "influence": _operators.influence(share),
        "missing": made.missing,
    }


def _stage(stage: Stage) -> dict[str, Any]:
    """The columns of one reward."""
    columns: dict[str, Floats | None] = {
        "raw": stage.raw,
        "shaped": stage.shaped,
        "z": stage.z,
        "weight": stage.weight,
        "share": stage.share,
        "factor": stage.factor,
    }
    return {name: None if value is None else column(value) for name, value in columns.items()}
