"""A reward that was not trained on says what it thinks of recorded rollouts, group by group.

Its values stand beside those of the trained rewards, without a weight; what orders a group against
its advantages is then found by the filter *judge disagrees*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, exists, select

from backend.errors import Conflict, InputError, NotFound
from backend.services import jobs, rewards, rollout_facts, runs
from backend.services.rollouts import find
from backend.services.studio import Studio
from db import queries
from db.tables import RolloutFact, RolloutGroup

KIND = "judge_rollouts"
"""The kind of job that asks."""
NUM_GROUPS = 200
"""Newest groups that are asked about at a time."""


@dataclass(frozen=True)
class Waiting:
    """A group that a judge has not seen: where its pictures are."""

    group_id: int
    prompt: str
    leaves: list[tuple[int, int]]
    """(number of the leaf, its tile)."""
    sheet: str
    num_tiles: int


def order(
    studio: Studio, run_id: int, name: str, reward_id: int | None = None, limit: int = NUM_GROUPS
) -> int:
    """Have a worker ask a judge about the newest groups of a run that it has not seen: a watched
    reward of the run by its name, or a reward of the project. Returns the job's id.
    """
    with studio.read() as session:
        run = runs.find(session, run_id)
        watched = {term["name"]: term for term in run.config.get("watch", [])}
        trained = rollout_facts.trained_names(run.config)
    if reward_id is not None:
        found = rewards.get(studio, reward_id)
        if found["project_id"] != run.project_id:
            raise InputError(f"The reward '{found['name']}' belongs to another project.")
        term = {"kind": found["kind"], "config": found["config"]}
        name = name or found["name"]
    elif name in watched:
        term = {key: watched[name][key] for key in ("kind", "config")}
    else:
        raise NotFound(f"Run {run_id} watches no reward '{name}'; name one of the project's.")
    if name in trained:
        raise Conflict(
            f"'{name}' is trained on in this run, so it cannot judge it; choose another reward."
        )
    args = {"run_id": run_id, "name": name, "limit": limit, **term}
    return jobs.create(studio, KIND, args)


def waiting(studio: Studio, run_id: int, name: str, limit: int) -> list[Waiting]:
    """The newest groups with pictures that have no value of this judge yet."""
    judged = exists().where(
        RolloutFact.group_id == RolloutGroup.id, RolloutFact.name == f"mean/{name}"
    )
    with studio.read() as session:
        groups = session.scalars(
            select(RolloutGroup)
            .where(RolloutGroup.run_id == run_id, RolloutGroup.sheet.is_not(None), ~judged)
            .order_by(RolloutGroup.step.desc(), RolloutGroup.id)
            .limit(limit)
        ).all()
        leaves = queries.leaves_and_nodes(session, [one.id for one in groups], leaves_only=True)
    found = []
    for group in groups:
        shown = [(leaf.idx, leaf.tile) for leaf in leaves[group.id] if leaf.tile is not None]
        if shown and group.sheet:
            num = 1 + max(tile for _idx, tile in shown)
            found.append(Waiting(group.id, group.prompt, shown, group.sheet, num))
    return found


def record(
    studio: Studio,
    group_id: int,
    name: str,
    values: Sequence[float | None],
    statuses: Sequence[str],
    leaves: Sequence[int],
) -> None:
    """Write a judge's values to the leaves of a group, and its facts anew, in one transaction."""
    with studio.write() as session:
        studio.store.serialise(session, "rollout-facts", find(session, group_id).run_id)
        group = find(session, group_id)
        run = runs.find(session, group.run_id)
        nodes = queries.leaves_and_nodes(session, [group_id])[group_id]
        said = dict(zip(leaves, zip(values, statuses, strict=True), strict=True))
        for node in nodes:
            if node.idx not in said:
                continue
            value, status = said[node.idx]
            part: dict[str, Any] = dict.fromkeys(("shaped", "z", "weight", "share"))
            node.rewards = {**node.rewards, name: {"raw": value, **part, "status": status}}
        session.execute(delete(RolloutFact).where(RolloutFact.group_id == group_id))
        rollout_facts.write(
            session, run.id, rollout_facts.trained_names(run.config), {group_id: nodes}
        )
