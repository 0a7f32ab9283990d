"""Best-of-N of a policy: the curve by a reward, what another reward and people say of the pictures
that were picked, and what RL runs have gained for as many calls of the generator."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from backend.errors import InputError
from backend.preferences import best_of_n as estimator
from backend.services import policies, prompts, rewards, run_gains, samples
from backend.services.samples import url
from backend.services.studio import Studio
from db import queries
from db.tables import Label, Pair, Prompt, Reward, Sample, Score, User

MOST_SAMPLES = 40_000
SHOWN_PROMPTS = 60
DECIDED = {"a": (1.0, 0.0), "b": (0.0, 1.0), "tie": (0.5, 0.5)}


@dataclass
class _Drawn:
    """The pictures of one prompt, in the order they were drawn."""

    text: str
    rows: list[Any] = field(default_factory=list)


def report(
    studio: Studio,
    project_id: int,
    *,
    policy_id: int,
    prompt_set_id: int,
    reward_id: int,
    gold_id: int | None = None,
    pictures: int = 1_000,
    depth: int | None = None,
) -> dict[str, Any]:
    """Everything the page shows of a policy's pictures of a prompt set.

    {settings, depth, depths, prompts_used, left_out, unscored, unscored_gold, curves: {selecting,
    gold, people}, verdicts, calls_per_picture, pictures, runs, prompts}. A curve has {value, low,
    high} for N = 1 … depth, `selecting` and `gold` also {gain, gain_se} over N = 1. Pictures drawn
    with other settings than most are left out. `depth` is the N to go up to, else that which uses
    most pictures; `depths` says how many prompts have enough for each. `pictures` is how many are
    drawn once training is over, for the runs' N at equal calls.
    """
    with studio.read() as session:
        policies.find(session, policy_id)
        prompts.find(session, prompt_set_id)
        select_by, gold_by = _reward(session, project_id, reward_id), None
        if gold_id is not None:
            gold_by = _reward(session, project_id, gold_id)
        drawn, settings, others = _drawn(session, policy_id, prompt_set_id)
        scores = _scores(session, policy_id, [reward_id, *([gold_id] if gold_id else [])])
        people, verdicts = _people(session, policy_id)
        by = {"selecting": select_by, "gold": gold_by}
        runs = run_gains.of_policy(session, project_id, policy_id, by)
    chosen = scores.get(reward_id, {})
    ranked = [_ranked(one, chosen) for one in drawn.values()]
    counts = [len(one.rows) for one in ranked if one.rows]
    depth = min(depth or estimator.depth_of(counts), max(counts, default=0))
    used = [one for one in ranked if depth and len(one.rows) >= depth]
    gold = scores.get(gold_id, {}) if gold_id else {}
    shown = {row.id for one in used for row in one.rows}
    columns = {
        "selecting": chosen,
        "gold": gold if gold_id else {},
        "people": people if shown & people.keys() else {},
    }
    calls = _calls(settings)
    total = sum(len(one.rows) for one in drawn.values())
    return {
        "settings": settings,
        "other_settings": others,
        "depth": depth,
        "depths": [[n, sum(count >= n for count in counts)] for n in sorted(set(counts))],
        "prompts_used": len(used),
        "left_out": len(drawn) - len(used),
        "pictures_drawn": total,
        "unscored": total - sum(len(one.rows) for one in ranked),
        "unscored_gold": _unscored(drawn, gold) if gold_id else 0,
        "curves": {
            name: _curve(used, chosen, values, depth, is_gain=name != "people") if values else None
            for name, values in columns.items()
        },
        "verdicts": verdicts if shown & people.keys() else 0,
        "calls_per_picture": calls,
        "pictures": pictures,
        "runs": [
            {**run, "equal_n": estimator.equal_n(run["calls"], pictures, calls)} for run in runs
        ],
        "prompts": [_shown(one, chosen, gold, people) for one in used[:SHOWN_PROMPTS]],
    }


def _reward(session: Session, project_id: int, reward_id: int) -> Reward:
    reward = rewards.find(session, reward_id)
    if reward.project_id != project_id:
        raise InputError(f"Reward {reward_id} is of another project; choose one of this project.")
    return reward


def _drawn(
    session: Session, policy_id: int, prompt_set_id: int
) -> tuple[dict[int, _Drawn], dict[str, Any], int]:
    """(pictures by prompt, the settings they share, how many were drawn with others)."""
    rows = list(
        session.execute(
            select(
                Sample.id,
                Sample.prompt_id,
                Prompt.text,
                Sample.settings,
                Sample.media,
                Sample.width,
                Sample.height,
            )
            .join(Prompt, Prompt.id == Sample.prompt_id)
            .where(
                Sample.policy_id == policy_id,
                Prompt.prompt_set_id == prompt_set_id,
                Sample.text.is_(None),
                samples.is_of_its_prompt(),
            )
            .order_by(Prompt.position, Sample.id)
            .limit(MOST_SAMPLES)
        )
    )
    used = Counter((row.settings.get("num_steps"), row.settings.get("guidance")) for row in rows)
    common = used.most_common(1)[0][0] if used else (None, None)
    found: dict[int, _Drawn] = {}
    for row in rows:
        if (row.settings.get("num_steps"), row.settings.get("guidance")) == common:
            found.setdefault(row.prompt_id, _Drawn(row.text)).rows.append(row)
    settings = {"num_steps": common[0], "guidance": common[1]}
    return found, settings, len(rows) - used.get(common, 0)


def _scores(session: Session, policy_id: int, reward_ids: list[int]) -> dict[int, dict[int, float]]:
    """reward → sample → value, where there is one."""
    rows = session.execute(
        select(Score.reward_id, Score.sample_id, Score.value)
        .join(Sample, Sample.id == Score.sample_id)
        .where(
            Sample.policy_id == policy_id,
            Score.reward_id.in_(reward_ids),
            Score.criterion == rewards.TOTAL,
        )
    )
    found: dict[int, dict[int, float]] = {}
    for reward_id, sample_id, value in rows:
        if value is not None:
            found.setdefault(reward_id, {})[sample_id] = value
    return found


def _people(session: Session, policy_id: int) -> tuple[dict[int, float], int]:
    """(sample → share of people's verdicts between two pictures of this policy that it won, the
    number of verdicts). A tie is half, both bad and skip are left out."""
    a, b = aliased(Sample), aliased(Sample)
    rows = session.execute(
        select(a.id, b.id, Label.choice, Label.shown_left)
        .join(Pair, Pair.id == Label.pair_id)
        .join(User, User.id == Label.user_id)
        .join(a, a.id == Pair.sample_a_id)
        .join(b, b.id == Pair.sample_b_id)
        .where(
            a.policy_id == policy_id,
            b.policy_id == policy_id,
            User.kind == "person",
            queries.current(),
            queries.is_trusted(),
            queries.is_no_fact(),
        )
    )
    won: dict[int, float] = {}
    asked: dict[int, int] = {}
    verdicts = 0
    for one, other, choice, left in rows:
        shares = DECIDED.get(queries.by_sample(choice, left))
        if shares is None:
            continue
        verdicts += 1
        for sample_id, share in zip((one, other), shares, strict=True):
            won[sample_id] = won.get(sample_id, 0.0) + share
            asked[sample_id] = asked.get(sample_id, 0) + 1
    return {sample_id: won[sample_id] / asked[sample_id] for sample_id in asked}, verdicts


def _ranked(one: _Drawn, chosen: dict[int, float]) -> _Drawn:
    return _Drawn(one.text, [row for row in one.rows if row.id in chosen])


def _unscored(drawn: dict[int, _Drawn], scores: dict[int, float]) -> int:
    return sum(row.id not in scores for one in drawn.values() for row in one.rows)


def _curve(
    used: list[_Drawn],
    chosen: dict[int, float],
    values: dict[int, float],
    depth: int,
    *,
    is_gain: bool,
) -> list[dict[str, Any]]:
    told = [
        (
            np.array([chosen[row.id] for row in one.rows]),
            np.array([values.get(row.id, math.nan) for row in one.rows]),
        )
        for one in used
    ]
    points = estimator.curve(told, depth)
    gains = estimator.gains(told, depth) if is_gain else [None] * depth
    found = []
    for point, gain in zip(points, gains, strict=True):
        row = {"value": point.value, "low": point.low, "high": point.high}
        if gain is not None:
            row |= {"gain": gain.mean, "gain_se": gain.se}
        found.append({key: x if math.isfinite(x) else None for key, x in row.items()})
    return found


def _shown(
    one: _Drawn, chosen: dict[int, float], gold: dict[int, float], people: dict[int, float]
) -> dict[str, Any]:
    return {
        "text": one.text,
        "samples": [
            {
                "id": row.id,
                "url": url(row.media),
                "width": row.width,
                "height": row.height,
                "selecting": chosen[row.id],
                "gold": gold.get(row.id),
                "people": people.get(row.id),
            }
            for row in one.rows
        ],
    }


def _calls(settings: dict[str, Any]) -> int:
    """Network evaluations of one picture: a guided step takes two."""
    steps = int(settings["num_steps"] or 1)
    return steps * (1 if float(settings["guidance"] or 1.0) == 1.0 else 2)
