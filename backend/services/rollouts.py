"""Rollouts as GRPO sees them: groups of siblings, filtered, sorted, paged, and each one in full."""

from __future__ import annotations

import base64
import io
import json
import math
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from backend.errors import Conflict, InputError, NotFound
from backend.services import media, pairs, runs
from backend.services.samples import url
from backend.services.studio import Studio
from db import queries
from db.tables import Pair, Prompt, PromptSet, RolloutGroup, RolloutNode, Run, Sample

SORTS = ("newest", "spread", "mean")
MISSING = -1e300
"""Sorts groups without a value behind all others."""
FIRST = -1
"""Priority of a pair that somebody picked from the rollouts: it comes before the others."""


@dataclass(frozen=True)
class Filter:
    """Which groups, and in which order; what is None or empty does not restrict."""

    step_min: int | None = None
    step_max: int | None = None
    prompt: str = ""
    """Words that the prompt contains, upper or lower case alike."""
    kept: bool | None = None
    sort: str = "newest"
    """newest, spread or mean."""


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
    sort = wanted.sort
    if sort not in SORTS:
        raise InputError(f"Sort '{sort}' is unknown; it is one of {', '.join(SORTS)}.")
    matching = _conditions(run_id, wanted)
    with studio.read() as session:
        runs.find(session, run_id)
        total, samples = _counts(session, matching)
        query = select(RolloutGroup).where(*matching).order_by(*_order(sort)).limit(limit + 1)
        if after:
            query = query.where(_beyond(sort, after))
        found = list(session.scalars(query))
        shown = found[:limit]
        ids = [group.id for group in shown]
        leaves = queries.leaves_and_nodes(session, ids, leaves_only=True)
        going_on = queries.explored_parents(session, ids)
    return {
        "total": total,
        "samples": samples,
        "next": _key(sort, shown[-1]) if len(found) > limit else None,
        "groups": [_group(row, leaves[row.id], going_on.get(row.id, set())) for row in shown],
    }


def get(studio: Studio, group_id: int) -> dict[str, Any]:
    """One group with all its nodes, the strip of its trunk, and the groups of the same tree."""
    with studio.read() as session:
        group = _find(session, group_id)
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
            "detail": group.detail,
            "groups_of_tree": list(siblings),
        }


def make_pair(
    studio: Studio, group_id: int, best: int | None = None, worst: int | None = None
) -> int:
    """Queue two leaves of a group for people to judge; by default its best and its worst.

    The pair holds the very pictures that were shown, cut from the group's strip. Returns its id;
    asked for again, the same pair.
    """
    with studio.read() as session:
        group = _find(session, group_id)
        run = runs.find(session, group.run_id)
        leaves = queries.leaves_and_nodes(session, [group_id], leaves_only=True)[group_id]
    one, other = _chosen(leaves, best, worst)
    if group.sheet is None:
        raise Conflict("The pictures of this group were not kept, so nobody can judge them.")
    tiles = _cut(studio.media.read(group.sheet), 1 + max(leaf.tile or 0 for leaf in leaves))
    drawn = []
    for leaf in (one, other):
        if leaf.tile is None:
            raise Conflict("The picture of this rollout was not kept, so nobody can judge it.")
        data, width, height = tiles[leaf.tile]
        drawn.append((leaf, studio.media.put(data), width, height))
    if drawn[0][1] == drawn[1][1]:
        raise InputError("The two rollouts are the same picture; choose two that differ.")
    return _store_pair(studio, group, run, drawn)


def _chosen(
    leaves: list[RolloutNode], best: int | None, worst: int | None
) -> tuple[RolloutNode, RolloutNode]:
    by_idx = {leaf.idx: leaf for leaf in leaves}
    for idx in (best, worst):
        if idx is not None and idx not in by_idx:
            raise NotFound(f"This group has no rollout {idx}.")
    judged = [leaf for leaf in leaves if leaf.advantage is not None] or leaves
    if len(leaves) < 2:
        raise InputError("This group has fewer than two rollouts, so there is no pair in it.")
    ranked = sorted(judged, key=_advantage, reverse=True)
    one = by_idx[best] if best is not None else ranked[0]
    other = by_idx[worst] if worst is not None else ranked[-1]
    if one.idx == other.idx:
        raise InputError("A pair needs two different rollouts; choose another one.")
    return one, other


def _store_pair(
    studio: Studio,
    group: RolloutGroup,
    run: Run,
    drawn: list[tuple[RolloutNode, str, int, int]],
) -> int:
    """Samples and the pair in one transaction; what is there already is taken instead of
    doubled."""
    with studio.write() as session:
        studio.store.serialise(session, "rollout-pair", run.id)
        prompt_id = _prompt_id(session, run, group.prompt)
        ids = []
        for leaf, name, width, height in drawn:
            source = {"source": "rollouts", "group": group.id, "leaf": leaf.idx, "step": group.step}
            known = session.scalar(
                select(Sample.id)
                .where(Sample.media == name, Sample.prompt_id == prompt_id)
                .where(Sample.policy_id == run.policy_id)
                .limit(1)
            )
            if known is None:
                sample = Sample(
                    project_id=run.project_id,
                    prompt_id=prompt_id,
                    policy_id=run.policy_id,
                    seed=leaf.seed or 0,
                    media=name,
                    width=width,
                    height=height,
                    settings=source,
                )
                session.add(sample)
                session.flush()
                known = sample.id
            ids.append(known)
        same = session.scalar(
            select(Pair.id).where(
                Pair.source == "rollouts",
                or_(
                    and_(Pair.sample_a_id == ids[0], Pair.sample_b_id == ids[1]),
                    and_(Pair.sample_a_id == ids[1], Pair.sample_b_id == ids[0]),
                ),
            )
        )
        if same is not None:
            return same
        row = {
            "project_id": run.project_id,
            "prompt_id": prompt_id,
            "sample_a_id": ids[0],
            "sample_b_id": ids[1],
            "source": "rollouts",
            "chooser": "picked",
            "priority": FIRST,
        }
        return pairs.add(session, [row])[0]


def _prompt_id(session: Session, run: Run, text: str) -> int:
    """The prompt's row: of the run's own set, else of any set of the project."""
    found = list(
        session.execute(
            select(Prompt.id, PromptSet.name)
            .join(PromptSet, PromptSet.id == Prompt.prompt_set_id)
            .where(PromptSet.project_id == run.project_id, Prompt.text == text)
            .order_by(Prompt.id)
        )
    )
    if not found:
        raise Conflict("The prompt of this group is in no prompt set any more; import it again.")
    own = [prompt_id for prompt_id, name in found if name == run.config.get("prompt_set")]
    return own[0] if own else found[0][0]


def _cut(sheet: bytes, tiles: int) -> list[tuple[bytes, int, int]]:
    """The tiles of a strip as PNG: (bytes, width, height) each."""
    from PIL import Image

    with Image.open(io.BytesIO(sheet), formats=media.FORMATS) as strip:
        width, height = strip.width // tiles, strip.height
        found = []
        for number in range(tiles):
            out = io.BytesIO()
            box = (number * width, 0, (number + 1) * width, height)
            strip.crop(box).save(out, "PNG", compress_level=3)
            found.append((out.getvalue(), width, height))
    return found


def _conditions(run_id: int, wanted: Filter) -> list[ColumnElement[bool]]:
    matching = [RolloutGroup.run_id == run_id]
    if wanted.step_min is not None:
        matching.append(RolloutGroup.step >= wanted.step_min)
    if wanted.step_max is not None:
        matching.append(RolloutGroup.step <= wanted.step_max)
    if wanted.prompt:
        matching.append(RolloutGroup.prompt.icontains(wanted.prompt, autoescape=True))
    if wanted.kept is not None:
        matching.append(RolloutGroup.kept.is_(wanted.kept))
    return matching


def _counts(session: Session, matching: list[ColumnElement[bool]]) -> tuple[int, int]:
    total = session.scalar(select(func.count()).select_from(RolloutGroup).where(*matching))
    samples = session.scalar(
        select(func.count())
        .select_from(RolloutNode)
        .join(RolloutGroup, RolloutGroup.id == RolloutNode.group_id)
        .where(RolloutNode.kind == "leaf", *matching)
    )
    return int(total or 0), int(samples or 0)


def _value(sort: str) -> InstrumentedAttribute[Any] | None:
    return {"spread": RolloutGroup.spread, "mean": RolloutGroup.mean}.get(sort)


def _order(sort: str) -> list[ColumnElement[Any]]:
    """Newest: step falling, then as recorded. Else the value falling, missing values last."""
    value = _value(sort)
    if value is None:
        return [RolloutGroup.step.desc(), RolloutGroup.id.asc()]
    return [func.coalesce(value, MISSING).desc(), RolloutGroup.id.desc()]


def _key(sort: str, group: RolloutGroup) -> str:
    """An opaque key of the last group on a page."""
    value = {"newest": group.step, "spread": group.spread, "mean": group.mean}[sort]
    return base64.urlsafe_b64encode(json.dumps([value, group.id]).encode()).decode().rstrip("=")


def _beyond(sort: str, key: str) -> ColumnElement[bool]:
    try:
        value, last = json.loads(base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)))
        last = int(last)
        value = None if value is None else float(value)
    except (ValueError, TypeError):
        raise InputError("The key `after` is not one that this list gave out.") from None
    column = _value(sort)
    if column is None:
        step = int(value or 0)
        return or_(
            RolloutGroup.step < step, and_(RolloutGroup.step == step, RolloutGroup.id > last)
        )
    shown, mine = func.coalesce(column, MISSING), MISSING if value is None else value
    return or_(shown < mine, and_(shown == mine, RolloutGroup.id < last))


def _find(session: Session, group_id: int) -> RolloutGroup:
    group = session.get(RolloutGroup, group_id)
    if group is None:
        raise NotFound(f"There is no group of rollouts {group_id}.")
    return group


def _group(group: RolloutGroup, leaves: list[RolloutNode], going_on: set[int]) -> dict[str, Any]:
    """A group and its leaves by falling advantage; `going_on` are nodes that an explored edge
    leaves, so that a leaf which hangs on one only says what that latent is worth."""
    ranked = sorted(leaves, key=_advantage, reverse=True)
    tiles = 1 + max((leaf.tile for leaf in leaves if leaf.tile is not None), default=-1)
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
        "tiles": tiles,
        "leaves": [
            {
                "idx": leaf.idx,
                "tile": leaf.tile,
                "stride": leaf.stride,
                "completes": leaf.parent in going_on and leaf.eta is None,
                "advantage": leaf.advantage,
                "total": _total(leaf.rewards),
                "rewards": leaf.rewards,
            }
            for leaf in ranked
        ],
    }


def _advantage(leaf: RolloutNode) -> float:
    return -math.inf if leaf.advantage is None else leaf.advantage


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
