"""Iterations, evaluations and rollouts of runs, and comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from db.tables import Comparison, Evaluation, Iteration, RolloutNode, Run


def sparks(
    session: Session, run_ids: Sequence[int], points: int = 60
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(run, step, metrics) of at most `points` evenly spaced iterations of each run, last
    included."""
    stride = Run.step // points + 1
    rows = session.execute(
        select(Iteration.run_id, Iteration.step, Iteration.metrics)
        .join(Run, Run.id == Iteration.run_id)
        .where(
            Iteration.run_id.in_(list(run_ids)),
            or_(
                (Run.step - Iteration.step) % stride == 0,
                Iteration.step == Run.step,
            ),
        )
        .order_by(Iteration.run_id, Iteration.step)
    )
    yield from ((row[0], row[1], row[2]) for row in rows)


def leaves_and_nodes(
    session: Session, group_ids: Sequence[int], *, leaves_only: bool = False
) -> dict[int, list[RolloutNode]]:
    """Nodes of the named groups, in order; with `leaves_only` those that were decoded and
    scored."""
    found: dict[int, list[RolloutNode]] = {group_id: [] for group_id in group_ids}
    query = (
        select(RolloutNode)
        .where(RolloutNode.group_id.in_(list(group_ids)))
        .order_by(RolloutNode.group_id, RolloutNode.idx)
    )
    if leaves_only:
        query = query.where(RolloutNode.kind == "leaf")
    for node in session.scalars(query):
        found[node.group_id].append(node)
    return found


def explored_parents(session: Session, group_ids: Sequence[int]) -> dict[int, set[int]]:
    """Of each group the numbers of the nodes that an explored edge leaves."""
    found: dict[int, set[int]] = {}
    rows = session.execute(
        select(RolloutNode.group_id, RolloutNode.parent)
        .where(RolloutNode.group_id.in_(list(group_ids)))
        .where(or_(RolloutNode.kind == "child", RolloutNode.eta.is_not(None)))
        .distinct()
    )
    for group_id, parent in rows:
        if parent is not None:
            found.setdefault(group_id, set()).add(parent)
    return found


def comparisons_with_names(session: Session, project_id: int) -> list[Comparison]:
    """Comparisons of a project, newest first."""
    return list(
        session.scalars(
            select(Comparison)
            .where(Comparison.project_id == project_id)
            .order_by(Comparison.id.desc())
        )
    )


def recent_step_seconds(session: Session, run_ids: Sequence[int], recent: int) -> dict[int, float]:
    """Mean seconds of a step over the latest `recent` iterations of each run."""
    rows = session.execute(
        select(Iteration.run_id, Iteration.seconds)
        .join(Run, Run.id == Iteration.run_id)
        .where(Iteration.run_id.in_(list(run_ids)), Iteration.step > Run.step - recent)
    )
    found: dict[int, list[float]] = {}
    for run_id, seconds in rows:
        total = seconds.get("total")
        found.setdefault(run_id, []).append(sum(seconds.values()) if total is None else total)
    return {run_id: sum(values) / len(values) for run_id, values in found.items()}


def evaluation_metrics(
    session: Session, run_ids: Sequence[int]
) -> dict[int, list[tuple[int, dict[str, Any]]]]:
    """(step, metrics) of every evaluation of each run, by rising step; no pictures, nor what was
    only drawn."""
    found: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    rows = session.execute(
        select(Evaluation.run_id, Evaluation.step, Evaluation.metrics)
        .where(Evaluation.run_id.in_(list(run_ids)))
        .order_by(Evaluation.run_id, Evaluation.step)
    )
    for run_id, step, metrics in rows:
        if metrics:
            found.setdefault(run_id, []).append((step, metrics))
    return found
