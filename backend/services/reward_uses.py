"""The versions of a reward, what changed between them, and which runs used each."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import select

from backend.rl.recipe import RewardTerm
from backend.services import glances, rewards
from backend.services.studio import Studio
from db.tables import Reward, Run

MOST: Final = 200
"""Latest runs that are looked through."""


def versions(studio: Studio, reward_id: int) -> list[dict[str, Any]]:
    """Every version of the reward's name, newest first: [{id, version, kind, created_at, accuracy,
    changed: [{setting, was, now}], runs: [{id, name, status, role, weight}]}].

    A run used the version whose kind and settings its own settings name, as trained on or watched.
    """
    with studio.read() as session:
        mine = rewards.find(session, reward_id)
        found = list(
            session.scalars(
                select(Reward)
                .where(Reward.project_id == mine.project_id, Reward.name == mine.name)
                .order_by(Reward.id)
            )
        )
        runs = list(
            session.execute(
                select(Run.id, Run.name, Run.status, Run.config)
                .where(Run.project_id == mine.project_id)
                .order_by(Run.id.desc())
                .limit(MOST)
            )
        )
    told = []
    for before, reward in zip([None, *found[:-1]], found, strict=True):
        accuracy = (reward.figures or {}).get("accuracy")
        told.append(
            {
                "id": reward.id,
                "version": reward.version,
                "kind": reward.kind,
                "created_at": reward.created_at,
                "accuracy": accuracy,
                "changed": [] if before is None else _changed(before, reward),
                "runs": [used for run in runs for used in _used(run, reward)],
            }
        )
    return told[::-1]


def _changed(before: Reward, after: Reward) -> list[dict[str, Any]]:
    """Settings that differ."""
    old = {"kind": before.kind, **before.config}
    new = {"kind": after.kind, **after.config}
    names = sorted(old.keys() | new.keys())
    return [
        {"setting": name, "was": old.get(name), "now": new.get(name)}
        for name in names
        if old.get(name) != new.get(name)
    ]


def _used(run: Any, reward: Reward) -> list[dict[str, Any]]:
    """How a run used a version of a reward."""
    found = []
    for role, part in (("trained", "rewards"), ("watched", "watch")):
        for term in run.config.get(part, []):
            if term.get("kind") != reward.kind or _settled(term) != reward.config:
                continue
            weight = term.get("weight")
            row = {"id": run.id, "name": run.name, "status": run.status}
            found.append({**row, "role": role, "weight": weight if role == "trained" else None})
    return found


def _settled(term: dict[str, Any]) -> dict[str, Any]:
    """A run's own settings of a reward with every default written out."""
    kind, config = term.get("kind", ""), term.get("config", {})
    return glances.settled(RewardTerm(name="", kind=kind, config=config))
