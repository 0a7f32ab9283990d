"""Figures of a group of rollouts, by which it is found: what its rewards did, and where they part.

    mean/R, sd/R     of reward R's raw values over the group's samples
    z                the largest |z| that any trained reward gave a sample, as the trainer logged it
    split/A/B        how far a sample stands above the group's mean by A and below it by B at once:
                     the largest of min(z_A, −z_B) over the samples, z in the group's own deviations
    apart            lowest correlation of two trained rewards' shares; negative: they pull apart
    judge/R, judge   concordance of a reward that is only watched with the advantages (γ of Goodman
                     and Kruskal: pairs ordered alike minus the others, over both); the lowest
    missing          values that trained rewards did not give

A figure that does not exist is left out. Groups whose facts are not written yet (recorded by an
older Palate) are summed up when somebody first asks for their run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from backend.services.studio import Studio
from db import queries
from db.tables import RolloutFact, RolloutGroup, Run

MOST_REWARDS = 8
"""Pairs are made of so many rewards at most."""
BATCH = 200
Floats = NDArray[np.float64]


class Node(Protocol):
    """What is read of a node, stored or about to be."""

    idx: int
    parent: int | None
    kind: str
    eta: float | None
    advantage: float | None
    rewards: dict[str, dict[str, Any]]


def of_group(nodes: Sequence[Node], trained: Sequence[str]) -> dict[str, float]:
    """The facts of one group by name; `trained` are the rewards in the sum, in their order."""
    ends = samples(nodes)
    names = dict.fromkeys(name for leaf in ends for name in leaf.rewards)
    raw = {name: _column(ends, name, "raw") for name in names}
    taught = [name for name in trained if name in names][:MOST_REWARDS]
    found: dict[str, float] = {}
    for name, values in raw.items():
        known = values[np.isfinite(values)]
        if len(known):
            found[f"mean/{name}"] = float(known.mean())
        if len(known) > 1:
            found[f"sd/{name}"] = float(known.std(ddof=1))
    if taught:
        found |= _far(ends, taught) | _split(raw, taught, _signs(ends, taught))
    found |= _judged(ends, {name: raw[name] for name in names if name not in trained})
    return {name: value for name, value in found.items() if math.isfinite(value)}


def samples(nodes: Sequence[Node]) -> list[Node]:
    """Leaves that end a path; one that only says what a latent on the way is worth is none."""
    going_on = {node.parent for node in nodes if node.kind == "child" or node.eta is not None}
    leaves = [node for node in nodes if node.kind == "leaf"]
    return [leaf for leaf in leaves if leaf.eta is not None or leaf.parent not in going_on]


def write(
    session: Session, run_id: int, trained: Sequence[str], groups: Mapping[int, Sequence[Node]]
) -> None:
    """Store the facts of groups that have none, in a transaction that is open."""
    rows = [
        {"group_id": group_id, "run_id": run_id, "name": name, "value": value}
        for group_id, nodes in groups.items()
        for name, value in of_group(nodes, trained).items()
    ]
    if rows:
        session.execute(insert(RolloutFact), rows)
    counts = [
        {"id": group_id, "num_leaves": sum(node.kind == "leaf" for node in nodes)}
        for group_id, nodes in groups.items()
    ]
    if counts:
        session.execute(update(RolloutGroup), counts)


def complete(studio: Studio, run_id: int) -> None:
    """Sum up the groups of a run that are not summed up yet."""
    missing = (
        select(RolloutGroup.id)
        .where(RolloutGroup.run_id == run_id, RolloutGroup.num_leaves.is_(None))
        .limit(BATCH)
    )
    with studio.read() as session:
        if session.scalar(missing.limit(1)) is None:
            return
    while True:
        with studio.write() as session:
            studio.store.serialise(session, "rollout-facts", run_id)
            ids = list(session.scalars(missing))
            run = session.get(Run, run_id)
            if not ids or run is None:
                return
            nodes = queries.leaves_and_nodes(session, ids)
            write(session, run_id, trained_names(run.config), nodes)


def trained_names(config: Mapping[str, Any]) -> list[str]:
    """Names of the rewards in a run's sum, in their order."""
    return [term["name"] for term in config.get("rewards", [])]


def _column(leaves: Sequence[Node], name: str, key: str) -> Floats:
    """One figure of one reward over the leaves, NaN where there is none."""
    values = ((leaf.rewards.get(name) or {}).get(key) for leaf in leaves)
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _far(ends: Sequence[Node], taught: Sequence[str]) -> dict[str, float]:
    """The furthest sample, the worst correlation of two rewards, and the missing values."""
    z = np.stack([_column(ends, name, "z") for name in taught])
    share = [_column(ends, name, "share") for name in taught]
    found = {"missing": float(sum(np.isnan(_column(ends, n, "raw")).sum() for n in taught))}
    if np.isfinite(z).any():
        found["z"] = float(np.nanmax(np.abs(z)))
    pulls = [correlation(share[i], share[j]) for i in range(len(share)) for j in range(i)]
    known = [pull for pull in pulls if math.isfinite(pull)]
    return found | ({"apart": min(known)} if known else {})


def _signs(ends: Sequence[Node], taught: Sequence[str]) -> dict[str, float]:
    """−1 for rewards that punish, by name."""
    weights = {name: _column(ends, name, "weight") for name in taught}
    return {name: -1.0 if np.any(weight < 0) else 1.0 for name, weight in weights.items()}


def _split(
    raw: Mapping[str, Floats], taught: Sequence[str], sign: Mapping[str, float]
) -> dict[str, float]:
    """Of every two rewards how far one sample is up by the first and down by the second."""
    own = {name: sign[name] * _standardised(raw[name]) for name in taught}
    found = {}
    for up, down in permutations(taught, 2):
        both = np.minimum(own[up], -own[down])
        if np.isfinite(both).any():
            found[f"split/{up}/{down}"] = float(np.nanmax(both))
    return found


def _judged(ends: Sequence[Node], watched: Mapping[str, Floats]) -> dict[str, float]:
    advantage = [math.nan if leaf.advantage is None else leaf.advantage for leaf in ends]
    order = np.array(advantage, dtype=np.float64)
    found = {f"judge/{name}": concordance(values, order) for name, values in watched.items()}
    known = [value for value in found.values() if math.isfinite(value)]
    return found | ({"judge": min(known)} if known else {})


def _standardised(values: Floats) -> Floats:
    """Distances from the mean in standard deviations; NaN where all are the same."""
    known = values[np.isfinite(values)]
    spread = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    return (values - known.mean()) / spread if spread > 0 else np.full_like(values, np.nan)


def correlation(one: Floats, other: Floats) -> float:
    """Pearson's, over the samples that have both and at least three of them; NaN without spread."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 3:
        return math.nan
    a, b = one[both] - one[both].mean(), other[both] - other[both].mean()
    size = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 0 else math.nan


def concordance(one: Floats, other: Floats) -> float:
    """(pairs ordered alike − pairs ordered otherwise) / both; NaN when no pair has an order."""
    both = np.isfinite(one) & np.isfinite(other)
    a, b = one[both], other[both]
    signs = np.sign(a[:, None] - a[None, :]) * np.sign(b[:, None] - b[None, :])
    alike, otherwise = float((signs > 0).sum()), float((signs < 0).sum())
    return (alike - otherwise) / (alike + otherwise) if alike + otherwise else math.nan


def of_groups(session: Session, group_ids: Iterable[int]) -> dict[int, dict[str, float]]:
    """The stored facts of groups by name."""
    found: dict[int, dict[str, float]] = {group_id: {} for group_id in group_ids}
    rows = session.execute(
        select(RolloutFact.group_id, RolloutFact.name, RolloutFact.value).where(
            RolloutFact.group_id.in_(list(found))
        )
    )
    for group_id, name, value in rows:
        found[group_id][name] = value
    return found
