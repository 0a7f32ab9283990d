"""What a run's weights come to, before it starts: its composition on values that are stored.

Values come from scored samples of the project, where the same rewards have scored several pictures
of a prompt; else from the recorded rollouts of the latest run that trained on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.rewards import _operators
from backend.rewards.compose import Composed, Manner, Term, compose
from backend.rl.composing import RewardTerm, as_term
from backend.rl.recipe import RunConfig
from backend.services.studio import Studio
from db.tables import Prompt, Reward, RolloutGroup, RolloutNode, Run, Sample, Score

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST: Final = 2000
"""Pictures that are looked at, newest first."""
SHOWN: Final = 8
"""Pictures of the group that is shown in full."""
RUNS: Final = 20
"""Latest runs in which values are looked for."""


@dataclass(frozen=True)
class _Found:
    """Stored values: reward → (N,), NaN where missing; equal ids and prompts are siblings."""

    values: Mapping[str, Floats]
    group_N: Ints
    prompts: list[str]
    source: str


def preview(studio: Studio, project_id: int, config: dict[str, Any]) -> dict[str, Any]:
    """What each reward's weight comes to, and normalising before or after the sum side by side.

    {source, pictures, groups, rewards: [{name, weight, spread, missing, influence: {as_set, each,
    sum}}], example: {prompt, pictures: [{raw: {name: value}, as_set, each, sum}]}}. Influence is
    the spread of a reward's shares over the sum of these spreads, 0 to 1. Without stored values
    `source` is "" and the lists are empty.
    """
    read = RunConfig.read(config)
    with studio.read() as session:
        found = _scored(session, project_id, read) or _rolled(session, project_id, read)
    if found is None:
        return {"source": "", "pictures": 0, "groups": 0, "rewards": [], "example": None}
    ways = {"as_set": _as_set(read, found), "each": _way(read, found, "each")}
    ways["sum"] = _way(read, found, "sum")
    told = {way: _influence(composed) for way, composed in ways.items()}
    return {
        "source": found.source,
        "pictures": len(found.group_N),
        "groups": len(np.unique(found.group_N)),
        "rewards": [
            {
                "name": term.name,
                "weight": term.weight,
                "spread": _finite(_spread(found, term.name)),
                "missing": float(np.isnan(found.values[term.name]).mean()),
                "influence": {way: said.get(term.name, 0.0) for way, said in told.items()},
            }
            for term in read.rewards
        ],
        "example": _example(found, ways),
    }


def _as_set(config: RunConfig, found: _Found) -> Composed:
    """As the run would do it; what stored values do not say (the base's pictures, the deviation of
    a value) is taken from these values or left out."""
    compose_ = config.compose
    base = {n: tuple(v[np.isfinite(v)].tolist()) for n, v in found.values.items()}
    terms = [_with_base(term, base[term.name]) for term in config.rewards]
    return compose(
        found.values,
        found.group_N,
        terms,
        scale=compose_.scale,
        floor=compose_.floor,
        clip=compose_.clip,
        renormalise=compose_.renormalise,
        manner=Manner(compose_.combine, compose_.difficulty, compose_.success),
    )


def _with_base(term: RewardTerm, base: tuple[float, ...]) -> Term:
    return replace(as_term(term), base=base, active=True)


def _way(config: RunConfig, found: _Found, combine: Any) -> Composed:
    """A plain weighted sum, normalised before or after, in each group."""
    terms = [Term(t.name, t.weight) for t in config.rewards if t.role == "sum"]
    values = {term.name: found.values[term.name] for term in terms}
    floor, manner = config.compose.floor, Manner(combine)
    return compose(values, found.group_N, terms, scale="group", floor=floor, manner=manner)


def _influence(composed: Composed) -> dict[str, float]:
    return _operators.influence({name: s.share for name, s in composed.stages.items()})


def _spread(found: _Found, name: str) -> float:
    """Mean standard deviation inside a group."""
    inside = [found.values[name][found.group_N == g] for g in np.unique(found.group_N)]
    known = [v[np.isfinite(v)] for v in inside]
    spreads = [v.std(ddof=1) for v in known if len(v) > 1]
    return float(np.mean(spreads)) if spreads else float("nan")


def _example(found: _Found, ways: Mapping[str, Composed]) -> dict[str, Any] | None:
    """The group on which before and after the sum differ most."""
    apart = np.abs(ways["each"].total - ways["sum"].total)
    kept = ways["each"].used & ways["sum"].used
    if not kept.any():
        return None
    group = found.group_N[int(np.where(kept, apart, -1.0).argmax())]
    rows = np.flatnonzero(found.group_N == group)[:SHOWN]
    return {
        "prompt": found.prompts[int(rows[0])],
        "pictures": [
            {
                "raw": {name: _finite(value[i]) for name, value in found.values.items()},
                **{w: _finite(c.total[i]) if c.used[i] else None for w, c in ways.items()},
            }
            for i in rows
        ],
    }


# --- stored values ------------------------------------------------------------------------------


def _scored(session: Session, project_id: int, config: RunConfig) -> _Found | None:
    """Samples that every reward of the run has scored, several of one prompt."""
    ids = {term.name: _stored(session, project_id, term) for term in config.rewards}
    if not ids or None in ids.values():
        return None
    rows = session.execute(
        select(Score.sample_id, Score.reward_id, Score.value, Sample.prompt_id, Prompt.text)
        .join(Sample, Sample.id == Score.sample_id)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .where(Score.reward_id.in_(set(ids.values())), Score.criterion == "total")
        .order_by(Score.sample_id.desc())
        .limit(MOST * len(ids))
    ).all()
    value: dict[tuple[int, int], float | None] = {(s, r): v for s, r, v, _, _ in rows}
    of_sample = {s: (prompt, text) for s, _, _, prompt, text in rows}
    whole = [s for s in of_sample if all((s, r) in value for r in ids.values())][:MOST]
    prompts = [of_sample[s][0] for s in whole]
    kept = [s for s, prompt in zip(whole, prompts, strict=True) if prompts.count(prompt) > 1]
    if len(kept) < 4:
        return None
    return _Found(
        {name: _array([value[s, r] for s in kept]) for name, r in ids.items() if r is not None},
        np.array([of_sample[s][0] for s in kept], dtype=np.int64),
        [of_sample[s][1] for s in kept],
        "scored samples of this project",
    )


def _stored(session: Session, project_id: int, term: RewardTerm) -> int | None:
    """The latest stored reward of the term's kind and settings."""
    rows = session.execute(
        select(Reward.id, Reward.config)
        .where(Reward.project_id == project_id, Reward.kind == term.kind)
        .order_by(Reward.id.desc())
    )
    return next((row.id for row in rows if _same(row.config, term.config)), None)


def _rolled(session: Session, project_id: int, config: RunConfig) -> _Found | None:
    """The recorded rollouts of the latest run that trained on the same rewards."""
    runs = session.scalars(
        select(Run).where(Run.project_id == project_id).order_by(Run.id.desc()).limit(RUNS)
    )
    for run in runs:
        names = {term.name: _named(run.config.get("rewards", []), term) for term in config.rewards}
        if not names or None in names.values():
            continue
        rows = session.execute(
            select(RolloutNode.group_id, RolloutGroup.prompt, RolloutNode.rewards)
            .join(RolloutGroup, RolloutGroup.id == RolloutNode.group_id)
            .where(RolloutGroup.run_id == run.id, RolloutNode.kind == "leaf")
            .order_by(RolloutNode.group_id.desc(), RolloutNode.idx)
            .limit(MOST)
        ).all()
        if len(rows) > 1:
            raw = {
                n: _array([row.rewards.get(their, {}).get("raw") for row in rows])
                for n, their in names.items()
            }
            group_N = np.array([row.group_id for row in rows], dtype=np.int64)
            return _Found(raw, group_N, [row.prompt for row in rows], f"rollouts of '{run.name}'")
    return None


def _named(theirs: list[dict[str, Any]], term: RewardTerm) -> str | None:
    """The name that another run gave to the same reward."""
    same = (t["name"] for t in theirs if t["kind"] == term.kind and _same(t["config"], term.config))
    return next(same, None)


def _same(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether settings agree where both name one; a stored reward has all defaults written out."""
    return all(stored.get(name) == value for name, value in asked.items())


def _array(values: list[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
