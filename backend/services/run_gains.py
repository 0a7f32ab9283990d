"""What runs have gained on held-out prompts by given rewards, and what their training cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.preferences import intervals
from backend.rl.recipe import RewardTerm
from backend.services import glances
from db.tables import Evaluation, Iteration, Reward, Run

SHOWN_RUNS = 20


def of_policy(
    session: Session, project_id: int, policy_id: int, rewards: Mapping[str, Reward | None]
) -> list[dict[str, Any]]:
    """Runs that began from this policy, newest first: [{id, name, status, step, calls, heldout,
    and {gain, se, low, high} or None under each name of `rewards`}].

    `calls` are network evaluations of training; `heldout` says on which prompts and how the gain
    was measured: {set, num_prompts, num_steps, guidance}.
    """
    found = list(
        session.scalars(
            select(Run)
            .where(Run.project_id == project_id, Run.policy_id == policy_id, Run.step > 0)
            .order_by(Run.id.desc())
            .limit(SHOWN_RUNS)
        )
    )
    ids = [run.id for run in found]
    calls = {
        run_id: int(nfe)
        for run_id, nfe in session.execute(
            select(Iteration.run_id, func.sum(Iteration.nfe))
            .where(Iteration.run_id.in_(ids))
            .group_by(Iteration.run_id)
        )
    }
    newest = (
        select(Evaluation.run_id, func.max(Evaluation.step).label("step"))
        .where(Evaluation.run_id.in_(ids))
        .group_by(Evaluation.run_id)
        .subquery()
    )
    evaluated = {
        row.run_id: row
        for row in session.scalars(
            select(Evaluation).join(
                newest,
                (newest.c.run_id == Evaluation.run_id) & (newest.c.step == Evaluation.step),
            )
        )
    }
    return [
        {
            "id": run.id,
            "name": run.name,
            "status": run.status,
            "step": evaluated[run.id].step,
            "calls": calls.get(run.id, 0),
            "heldout": heldout_of(run.config),
            **{
                key: gain(run.config, evaluated[run.id].metrics, reward) if reward else None
                for key, reward in rewards.items()
            },
        }
        for run in found
        if run.id in evaluated
    ]


def heldout_of(config: dict[str, Any]) -> dict[str, Any]:
    """On which prompts a run is evaluated, and how its pictures are drawn there."""
    evaluation, sampling = config.get("evaluation", {}), config.get("sampling", {})
    return {
        "set": config.get("heldout_set", ""),
        "num_prompts": evaluation.get("num_prompts"),
        "num_steps": evaluation.get("num_steps") or sampling.get("num_steps"),
        "guidance": float(sampling.get("guidance", 1.0)),
    }


def named(config: dict[str, Any], reward: Reward) -> str | None:
    """Under which name a run trains on a reward or watches it."""
    for term in [*config.get("rewards", []), *config.get("watch", [])]:
        given = RewardTerm(name=term["name"], kind=term["kind"], config=term.get("config", {}))
        if term["kind"] == reward.kind and reward.config in (given.config, glances.settled(given)):
            return str(term["name"])
    return None


def gain(
    config: dict[str, Any], metrics: dict[str, Any], reward: Reward
) -> dict[str, float] | None:
    """What a run has gained by a reward on its held-out prompts; None where it did not watch it."""
    name = named(config, reward)
    found = metrics.get(f"gain/{name}") if name else None
    if found is None:
        return None
    se = metrics.get(f"gain_se/{name}") or 0.0
    half = intervals.Z95 * se
    return {"gain": found, "se": se, "low": found - half, "high": found + half}
