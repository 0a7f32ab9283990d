"""What a running run writes down: iterations with their trees, evaluations, checkpoints, the tuned
policy.

Each record is one transaction. A record made again after a resume replaces the first one. With a
`fence` the write happens only while the job's attempt is still this worker's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from backend.errors import Conflict, NotFound
from backend.services import events, policies, rollout_facts
from backend.services import runs as run_rows
from backend.services.studio import Studio
from backend.types import EvaluationRecord, GroupRecord, IterationRecord
from db.tables import (
    Checkpoint,
    Evaluation,
    Iteration,
    Job,
    RolloutGroup,
    RolloutNode,
    Run,
)


class Fence(NamedTuple):
    """The job and the attempt on whose behalf is written."""

    job_id: int
    attempt: int


class Sheets(NamedTuple):
    """Media hashes of a group's pictures, its leaves as tiles in one strip and its trunk, and of
    the file of its latents."""

    leaves: str | None
    trunk: str | None
    latents: str | None = None


@dataclass(frozen=True)
class StoredCheckpoint:
    """A checkpoint's files by media hash, and its JSON state."""

    step: int
    adapter: str
    optimiser: str
    ema: str | None
    state: dict[str, Any]


def iteration(
    studio: Studio,
    run_id: int,
    record: IterationRecord,
    sheets: Sequence[Sheets] = (),
    *,
    fence: Fence | None = None,
) -> None:
    """Store one iteration, its groups and their nodes in one transaction.

    `sheets` has one entry for each group of the record, or none at all.
    """
    shown = list(sheets) or [Sheets(None, None)] * len(record.groups)
    groups = [
        _group(run_id, record.step, group, sheet)
        for group, sheet in zip(record.groups, shown, strict=True)
    ]
    with studio.write() as session:
        _guard(session, fence)
        _forget_iteration(session, run_id, record.step)
        session.add(
            Iteration(
                run_id=run_id,
                step=record.step,
                metrics=plain(record.metrics),
                nfe=int(record.nfe),
                seconds=plain(record.seconds),
            )
        )
        _insert_groups(session, run_id, groups, record.groups)
        session.execute(update(Run).where(Run.id == run_id).values(step=record.step))
        data = {"step": record.step}
        text = f"Iteration {record.step} was recorded."
        events.write(session, text, run_id=run_id, kind="iteration", data=data)


def evaluation(
    studio: Studio,
    run_id: int,
    record: EvaluationRecord,
    samples: Sequence[dict[str, Any]],
    *,
    fence: Fence | None = None,
) -> None:
    """Store one evaluation; `samples` are the record's with `media` in the place of `image`."""
    with studio.write() as session:
        _guard(session, fence)
        session.execute(
            delete(Evaluation).where(Evaluation.run_id == run_id, Evaluation.step == record.step)
        )
        session.add(
            Evaluation(
                run_id=run_id,
                step=record.step,
                metrics=plain(record.metrics),
                samples=plain(list(samples)),
                nfe=int(record.nfe),
            )
        )
        data = {"step": record.step}
        text = f"Step {record.step} was evaluated on held-out prompts."
        events.write(session, text, run_id=run_id, kind="evaluation", data=data)


def checkpoint(
    studio: Studio, run_id: int, saved: StoredCheckpoint, *, fence: Fence | None = None
) -> None:
    """Store a checkpoint whose files are among the media already."""
    with studio.write() as session:
        _guard(session, fence)
        session.execute(
            delete(Checkpoint).where(Checkpoint.run_id == run_id, Checkpoint.step == saved.step)
        )
        session.add(
            Checkpoint(
                run_id=run_id,
                step=saved.step,
                adapter=saved.adapter,
                optimiser=saved.optimiser,
                ema=saved.ema,
                state=plain(saved.state),
            )
        )
        events.write(session, f"Checkpoint at step {saved.step}.", run_id=run_id)


def latest_checkpoint(studio: Studio, run_id: int) -> StoredCheckpoint | None:
    """The checkpoint a resumed run goes on from."""
    with studio.read() as session:
        row = session.scalar(
            select(Checkpoint)
            .where(Checkpoint.run_id == run_id)
            .order_by(Checkpoint.step.desc())
            .limit(1)
        )
        if row is None:
            return None
        return StoredCheckpoint(row.step, row.adapter, row.optimiser, row.ema, row.state)


def adapter_at(studio: Studio, run_id: int, step: int) -> str:
    """Media hash of what a run had learned at a checkpoint: its moving average where it keeps
    one."""
    with studio.read() as session:
        row = session.scalar(
            select(Checkpoint).where(Checkpoint.run_id == run_id, Checkpoint.step == step)
        )
        if row is None:
            raise NotFound(f"Run {run_id} has no checkpoint at step {step}.")
        return row.ema or row.adapter


def rewind(studio: Studio, run_id: int, step: int, *, fence: Fence | None = None) -> None:
    """Forget all records after `step`: the run goes on from there and makes them again."""
    with studio.write() as session:
        _guard(session, fence)
        later = select(RolloutGroup.id).where(
            RolloutGroup.run_id == run_id, RolloutGroup.step > step
        )
        session.execute(delete(RolloutNode).where(RolloutNode.group_id.in_(later)))
        for table in (RolloutGroup, Iteration, Evaluation, Checkpoint):
            session.execute(delete(table).where(table.run_id == run_id, table.step > step))
        run = run_rows.find(session, run_id)
        if run.step > max(step, 0):
            text = f"Going on from step {step}; what came after it is made again."
            events.write(session, text, run_id=run_id, kind="status", data={"rewound_to": step})
        run.step = max(step, 0)


def say(
    studio: Studio,
    run_id: int,
    level: str,
    text: str,
    data: dict[str, Any] | None = None,
    *,
    job_id: int | None = None,
) -> None:
    """A line in the run's log."""
    events.add(studio, text, run_id=run_id, job_id=job_id, level=level, data=plain(data or {}))


def save_tuned_policy(
    studio: Studio, run_id: int, adapter: str, step: int, *, fence: Fence | None = None
) -> int:
    """Make the policy that this run has taught, `adapter` a media hash; returns the policy's
    id."""
    with studio.write() as session:
        _guard(session, fence)
        run = run_rows.find(session, run_id)
        tuned = policies.taught(session, run, adapter, step)
        run.tuned_policy_id = tuned.id
        return tuned.id


def nfe_of(studio: Studio, run_id: int) -> int:
    """Network evaluations of a run so far, evaluations included."""
    with studio.read() as session:
        return sum(
            int(session.scalar(select(func.sum(table.nfe)).where(table.run_id == run_id)) or 0)
            for table in (Iteration, Evaluation)
        )


def plain(value: Any) -> Any:
    """JSON that every store takes: what is not finite becomes null, numpy's scalars plain
    numbers."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _guard(session: Session, fence: Fence | None) -> None:
    """Refuse a write on behalf of an attempt that was given to another worker."""
    if fence is None:
        return
    held = session.scalar(
        select(Job.id)
        .where(Job.id == fence.job_id, Job.attempt == fence.attempt, Job.status == "running")
        .with_for_update()
    )
    if held is None:
        raise Conflict(
            f"Attempt {fence.attempt} of job {fence.job_id} was given to another worker; this one "
            "writes nothing more."
        )


def _forget_iteration(session: Session, run_id: int, step: int) -> None:
    """Remove an iteration that is being recorded again."""
    known = select(Iteration.step).where(Iteration.run_id == run_id, Iteration.step == step)
    if session.scalar(known) is None:
        return
    groups = select(RolloutGroup.id).where(RolloutGroup.run_id == run_id, RolloutGroup.step == step)
    session.execute(delete(RolloutNode).where(RolloutNode.group_id.in_(groups)))
    session.execute(
        delete(RolloutGroup).where(RolloutGroup.run_id == run_id, RolloutGroup.step == step)
    )
    session.execute(delete(Iteration).where(Iteration.run_id == run_id, Iteration.step == step))


def _insert_groups(
    session: Session, run_id: int, rows: list[dict[str, Any]], records: Sequence[GroupRecord]
) -> None:
    if not rows:
        return
    added = insert(RolloutGroup).returning(RolloutGroup.id, sort_by_parameter_order=True)
    ids = list(session.scalars(added, rows))
    nodes = [
        {
            "group_id": group_id,
            "idx": node.idx,
            "parent": node.parent,
            "kind": node.kind,
            "step": node.step,
            "stride": node.stride,
            "sigma": plain(node.sigma),
            "eta": plain(node.eta),
            "log_prob": plain(node.log_prob),
            "ratio": plain(node.ratio),
            "advantage": plain(node.advantage),
            "rewards": plain(node.rewards),
            "tile": node.tile,
            "seed": node.seed,
        }
        for group_id, record in zip(ids, records, strict=True)
        for node in record.nodes
    ]
    if nodes:
        session.execute(insert(RolloutNode), nodes)
    trained = rollout_facts.trained_names(run_rows.find(session, run_id).config)
    of_groups = {group_id: one.nodes for group_id, one in zip(ids, records, strict=True)}
    rollout_facts.write(session, run_id, trained, of_groups)


def _group(run_id: int, step: int, group: GroupRecord, sheet: Sheets) -> dict[str, Any]:
    detail = {**group.detail, "trunk_tiles": 0 if group.trunk is None else len(group.trunk)}
    if sheet.latents:
        detail["latents"] = {"file": sheet.latents, "nodes": sorted(group.latents)}
    return {
        "run_id": run_id,
        "step": step,
        "tree": group.tree,
        "prompt": group.prompt,
        "fork_step": group.fork_step,
        "mean": plain(group.mean),
        "spread": plain(group.spread),
        "kept": bool(group.kept),
        "reason": group.reason,
        "sheet": sheet.leaves,
        "trunk": sheet.trunk,
        "detail": plain(detail),
    }
