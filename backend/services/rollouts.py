"""Rollouts as GRPO sees them: groups of siblings, filtered, sorted, paged, and each one in full."""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import ColumnElement, func, insert, select
from sqlalchemy.orm import Session

from backend.errors import NotFound
from backend.services import rollout_facts, rollout_filter, runs
from backend.services.rollout_filter import Filter
from backend.services.samples import url
from backend.services.studio import Studio
from db import queries
from db.tables import RolloutGroup, RolloutNode, RolloutSeen

NEIGHBOURS = 3
"""Groups of the same prompt before and after a group that are shown beside it."""
SHOWN_FACTS = ("z", "apart", "judge", "missing")
LATENTS = "latents"
"""Where a group's detail says {file, nodes, sheet}: the latents that were kept and, once somebody
asked, the strip they were decoded to."""


def page(
    studio: Studio,
    run_id: int,
    wanted: Filter | None = None,
    *,
    after: str | None = None,
    limit: int = 20,
) -> dict[str, Any]:
    """{total, samples, next, groups}: groups that match; `next` is a key for `after`, or None."""
    wanted = wanted or Filter()
    rollout_filter.check(wanted)
    rollout_facts.complete(studio, run_id)
    matching = rollout_filter.conditions(run_id, wanted)
    with studio.read() as session:
        runs.find(session, run_id)
        query = select(RolloutGroup).where(*matching)
        query = rollout_filter.sorted_by(query, run_id, wanted.sort)
        total, samples = _counts(session, query)
        if after:
            query = query.where(rollout_filter.beyond(wanted.sort, after))
        found = list(session.scalars(query.limit(limit + 1)))
        shown = found[:limit]
        ids = [group.id for group in shown]
        facts = rollout_facts.of_groups(session, ids)
        leaves = queries.leaves_and_nodes(session, ids, leaves_only=True)
        going_on = queries.explored_parents(session, ids)
        looked = _looked_at(session, wanted.user_id, ids)
    last = shown[-1] if len(found) > limit else None
    return {
        "total": total,
        "samples": samples,
        "next": rollout_filter.key(wanted.sort, last, facts[last.id]) if last else None,
        "groups": [
            {
                **_group(row, leaves[row.id], going_on.get(row.id, set())),
                "facts": {name: facts[row.id].get(name) for name in SHOWN_FACTS},
                "seen": row.id in looked,
            }
            for row in shown
        ],
    }


def get(studio: Studio, group_id: int) -> dict[str, Any]:
    """One group with all its nodes, the strip of its trunk, and the groups of the same tree."""
    with studio.read() as session:
        group = find(session, group_id)
        nodes = queries.leaves_and_nodes(session, [group_id])[group_id]
        siblings = session.scalars(
            select(RolloutGroup.id)
            .where(
                RolloutGroup.run_id == group.run_id,
                RolloutGroup.step == group.step,
                RolloutGroup.tree == group.tree,
            )
            .order_by(RolloutGroup.fork_step, RolloutGroup.id)
        )
        leaves = [node for node in nodes if node.kind == "leaf"]
        going_on = queries.explored_parents(session, [group_id]).get(group_id, set())
        return {
            **_group(group, leaves, going_on),
            "nodes": [_node(node) for node in nodes],
            "trunk_url": url(group.trunk) if group.trunk else None,
            "trunk_tiles": group.detail.get("trunk_tiles"),
            "detail": {key: said for key, said in group.detail.items() if key != LATENTS},
            "latents": latents_of(group),
            "groups_of_tree": list(siblings),
        }


def neighbours(studio: Studio, group_id: int) -> list[dict[str, Any]]:
    """Groups of the same prompt at the steps around a group, itself among them, by their step.

    {id, step, mean, spread, kept, sheet_url, tiles, best, worst}; the last two are tiles.
    """
    with studio.read() as session:
        group = find(session, group_id)
        same = (
            select(RolloutGroup)
            .where(RolloutGroup.run_id == group.run_id, RolloutGroup.prompt == group.prompt)
            .where(RolloutGroup.fork_step.is_not_distinct_from(group.fork_step))
        )
        before = session.scalars(
            same.where(RolloutGroup.step < group.step)
            .order_by(RolloutGroup.step.desc(), RolloutGroup.id)
            .limit(NEIGHBOURS)
        ).all()
        later = session.scalars(
            same.where(RolloutGroup.step > group.step)
            .order_by(RolloutGroup.step, RolloutGroup.id)
            .limit(NEIGHBOURS)
        ).all()
        around = [*reversed(before), group, *later]
        leaves = queries.leaves_and_nodes(session, [one.id for one in around], leaves_only=True)
        return [_neighbour(one, leaves[one.id]) for one in around]


def look(studio: Studio, group_id: int, user_id: int) -> None:
    """Remember that a person has looked at a group; twice is once."""
    with studio.write() as session:
        find(session, group_id)
        studio.store.serialise(session, "rollout-seen", user_id)
        if session.get(RolloutSeen, (user_id, group_id)) is None:
            session.execute(insert(RolloutSeen).values(user_id=user_id, group_id=group_id))


def latents_of(group: RolloutGroup) -> dict[str, Any] | None:
    """{nodes, url}: which nodes have a latent, and the strip of them where it was decoded."""
    kept = group.detail.get(LATENTS)
    if not kept:
        return None
    sheet = kept.get("sheet")
    return {"nodes": kept["nodes"], "url": url(sheet) if sheet else None}


def find(session: Session, group_id: int) -> RolloutGroup:
    """The row of a group, or NotFound."""
    group = session.get(RolloutGroup, group_id)
    if group is None:
        raise NotFound(f"There is no group of rollouts {group_id}.")
    return group


def by_advantage(leaf: RolloutNode) -> float:
    """A key that sorts leaves, those without an advantage below all others."""
    return -math.inf if leaf.advantage is None else leaf.advantage


def _counts(session: Session, query: Any) -> tuple[int, int]:
    """(groups, samples) that match."""
    counted = query.order_by(None).with_only_columns(
        func.count(), func.coalesce(func.sum(RolloutGroup.num_leaves), 0)
    )
    total, samples = session.execute(counted).one()
    return int(total), int(samples)


def _looked_at(session: Session, user_id: int | None, ids: list[int]) -> set[int]:
    if user_id is None:
        return set()
    seen: ColumnElement[bool] = RolloutSeen.user_id == user_id
    return set(
        session.scalars(select(RolloutSeen.group_id).where(seen, RolloutSeen.group_id.in_(ids)))
    )


def _neighbour(group: RolloutGroup, leaves: list[RolloutNode]) -> dict[str, Any]:
    ranked = sorted((leaf for leaf in leaves if leaf.tile is not None), key=by_advantage)
    return {
        "id": group.id,
        "step": group.step,
        "mean": group.mean,
        "spread": group.spread,
        "kept": group.kept,
        "sheet_url": url(group.sheet) if group.sheet else None,
        "tiles": _tiles(leaves),
        "best": ranked[-1].tile if ranked else None,
        "worst": ranked[0].tile if ranked else None,
    }


def _tiles(leaves: list[RolloutNode]) -> int:
    return 1 + max((leaf.tile for leaf in leaves if leaf.tile is not None), default=-1)


def _group(group: RolloutGroup, leaves: list[RolloutNode], going_on: set[int]) -> dict[str, Any]:
    """A group and its leaves by falling advantage; `going_on` are nodes that an explored edge
    leaves, so that a leaf which hangs on one only says what that latent is worth."""
    ranked = sorted(leaves, key=by_advantage, reverse=True)
    texts = group.detail.get("texts") or {}
    return {
        "id": group.id,
        "run_id": group.run_id,
        "step": group.step,
        "tree": group.tree,
        "prompt": group.prompt,
        "fork_step": group.fork_step,
        "given": group.detail.get("nfe") == 0,
        "mean": group.mean,
        "spread": group.spread,
        "kept": group.kept,
        "reason": group.reason,
        "sheet_url": url(group.sheet) if group.sheet else None,
        "tiles": _tiles(leaves),
        "leaves": [
            {
                "idx": leaf.idx,
                "tile": leaf.tile,
                "stride": leaf.stride,
                "completes": leaf.parent in going_on and leaf.eta is None,
                "advantage": leaf.advantage,
                "total": _total(leaf.rewards),
                "rewards": leaf.rewards,
                "text": texts.get(str(leaf.idx)),
            }
            for leaf in ranked
        ],
    }


def _total(rewards: dict[str, Any]) -> float | None:
    """Σ w·raw over the rewards that are present: the leaf's reward in its own units."""
    present = [
        part["weight"] * part["raw"]
        for part in rewards.values()
        if part.get("weight") is not None and part.get("raw") is not None
    ]
    return sum(present) if present else None


def _node(node: RolloutNode) -> dict[str, Any]:
    return {
        "idx": node.idx,
        "parent": node.parent,
        "kind": node.kind,
        "step": node.step,
        "stride": node.stride,
        "sigma": node.sigma,
        "eta": node.eta,
        "log_prob": node.log_prob,
        "ratio": node.ratio,
        "advantage": node.advantage,
        "rewards": node.rewards,
        "tile": node.tile,
        "seed": None if node.seed is None else str(node.seed),
    }
