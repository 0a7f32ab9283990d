"""Today: one look at a project, and what to do next."""

from __future__ import annotations

import datetime
import time
from typing import Any

from sqlalchemy import func, select

from backend.services import (
    comparisons,
    labels,
    pairs,
    policies,
    projects,
    rewards,
    run_rows,
    samples,
    studies,
    users,
    workers,
)
from backend.services.studio import Studio
from db.tables import Checkpoint, Job, Run

FEW = 5
STARTED = time.time()
WARM_UP_S = 45.0
"""Workers come up after the pages: until then nobody is told that they are missing."""


def summary(studio: Studio, project_id: int, user_id: int) -> dict[str, Any]:
    """Everything the Today page shows, without leasing a pair."""
    waiting = pairs.unlabelled(studio, project_id, user_id, 1)
    recent = run_rows.page(studio, project_id, limit=FEW)["items"]
    alive = workers.rows(studio)
    return {
        "project": projects.get(studio, project_id),
        "labels": labels.counts(studio, project_id, _midnight()),
        "next_pair": pairs.preview(waiting[0]) if waiting else None,
        "pairs": pairs.counts(studio, project_id, user_id),
        "drawing": samples.drawing(studio, project_id),
        "runs": recent,
        "rewards": rewards.rows(studio, project_id)[:FEW],
        "comparisons": comparisons.rows(studio, project_id)[:FEW],
        "studies": _unfinished(studies.rows(studio, project_id, users.get(studio, user_id))),
        "jobs": _working(studio, project_id),
        "checkpoints": _kept(studio, project_id),
        "workers": alive,
        "alarms": [*_of_runs(recent), *_of_workers(alive)],
    }


def for_annotator(studio: Studio, project_id: int, user_id: int) -> dict[str, Any]:
    """What Today shows to who only judges: the queue, if it is theirs, and nothing of runs."""
    with studio.read() as session:
        may_queue = users.may_judge(session, users.find(session, user_id), None)
    waiting = pairs.unlabelled(studio, project_id, user_id, 1) if may_queue else []
    return {
        "project": projects.get(studio, project_id),
        "may_queue": may_queue,
        "next_pair": pairs.preview(waiting[0]) if waiting else None,
        "pairs": pairs.counts(studio, project_id, user_id),
        "drawing": samples.drawing(studio, project_id),
    }


def _working(studio: Studio, project_id: int) -> list[dict[str, Any]]:
    """Jobs of this project that run now, besides runs, which have a table of their own."""
    mine = [None, *(policy["id"] for policy in policies.rows(studio, project_id))]
    with studio.read() as session:
        running = session.scalars(
            select(Job).where(Job.status == "running", Job.kind != "train").order_by(Job.id)
        )
        return [
            {"id": j.id, "kind": j.kind, "progress": j.progress, "message": j.message}
            for j in running
            if j.args.get("project_id", project_id) == project_id
            and j.args.get("policy_id") in mine
        ][:FEW]


def _kept(studio: Studio, project_id: int) -> list[dict[str, Any]]:
    """The newest checkpoint of each run that kept one lately, the newest first."""
    with studio.read() as session:
        newest = (
            select(func.max(Checkpoint.id))
            .join(Run, Run.id == Checkpoint.run_id)
            .where(Run.project_id == project_id)
            .group_by(Checkpoint.run_id)
        )
        rows = session.execute(
            select(Run.id, Run.name, Run.policy_id, Checkpoint.step, Checkpoint.created_at)
            .join(Run, Run.id == Checkpoint.run_id)
            .where(Checkpoint.id.in_(newest))
            .order_by(Checkpoint.id.desc())
            .limit(FEW)
        )
        return [
            {"run_id": i, "name": name, "base": base, "step": step, "created_at": at}
            for i, name, base, step, at in rows
        ]


def _unfinished(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Studies that still want judgements, those nearest to their end first."""
    wanting = [row for row in rows if row["status"] == "open" and row["labels"] < row["wanted"]]
    return sorted(wanting, key=lambda row: -row["labels"] / row["wanted"])[:FEW]


def _of_runs(recent: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for run in recent:
        url = f"/runs/{run['id']}"
        if run["status"] == "failed":
            text = f"Run '{run['name']}' failed: {run['error'] or 'see its log'}"
            found.append({"level": "error", "text": text, "url": url})
        if run["status"] == "running":
            found += [
                {"level": a["level"], "text": f"{run['name']}: {a['text']}", "url": a["url"]}
                for a in run["alarms"]
            ]
    return found


def _of_workers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if any(row["state"] != "gone" for row in rows) or time.time() - STARTED < WARM_UP_S:
        return []
    text = "No worker is running: nothing is drawn, scored or trained until one is started."
    return [{"level": "warning", "text": text, "url": "/workers"}]


def _midnight() -> float:
    """When today began on this machine's clock, in seconds since 1970."""
    return datetime.datetime.now().replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
