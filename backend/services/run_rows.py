"""Runs as their list shows them: found by words, status and tags, what waits in its order first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, String, case, cast, func, or_, select
from sqlalchemy.orm import Session

from backend import registry
from backend.errors import InputError
from backend.rl.early_stop import History
from backend.rl.recipe import EarlyStop, RewardTerm
from backend.services import alarms, policies, tickets
from backend.services.studio import Studio
from db import queries
from db.tables import Job, Run, User

STATUSES = ("running", "waiting", "crashed", "paused", "done", "stopped", "failed")
"""A crashed run's worker died; it goes on from its last checkpoint as soon as a worker is free."""
IN_QUEUE = ("waiting", "crashed")
RECENT = 20
"""Iterations over which the time of a step is averaged."""
NO_WORK = {"place": "", "worker": None, "attempt": 0}
NO_TAGS = "[]"


@dataclass(frozen=True)
class Wanted:
    """Which runs are listed; what is empty does not matter."""

    status: str = ""
    words: str = ""
    """All of them must stand in the name, the recipe, the method or the note."""
    tag: str = ""
    hidden: bool = False
    """Those that were put away, instead of the others."""


def page(
    studio: Studio,
    project_id: int,
    wanted: Wanted | None = None,
    *,
    offset: int = 0,
    limit: int = 50,
) -> dict[str, Any]:
    """{total, items, counts, tags}: what runs, then what waits in its order, then the newest.

    `counts` says how many runs have each status, `tags` which tags the project's runs have.
    """
    wanted = wanted or Wanted()
    if wanted.status and wanted.status not in STATUSES:
        known = ", ".join(STATUSES)
        raise InputError(f"Status '{wanted.status}' is unknown; it is one of {known}.")
    shelf = (Run.project_id == project_id, Run.hidden.is_(wanted.hidden))
    here = (*shelf, *_conditions(wanted))
    in_queue = Run.status.in_(IN_QUEUE)
    turn = case((Run.status == "running", 0), (in_queue, 1), else_=2)
    place = case((in_queue, Run.id), else_=-Run.id)
    with studio.read() as session:
        counted = session.execute(
            select(Run.status, func.count()).where(*shelf).group_by(Run.status)
        )
        counts = {status: int(number) for status, number in counted}
        total = session.scalar(select(func.count()).select_from(Run).where(*here)) or 0
        found = session.scalars(
            select(Run)
            .outerjoin(Job, (Job.id == Run.job_id) & in_queue)
            .where(*here)
            .order_by(turn, func.coalesce(Job.priority, 0).desc(), place)
            .offset(offset)
            .limit(limit)
        ).all()
        items = of(session, found)
        return {"total": total, "items": items, "counts": counts, "tags": _tags(session, shelf)}


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.status:
        found.append(Run.status == wanted.status)
    if wanted.tag:  # a tag holds no quotation mark, so its JSON stands in no other tag's
        found.append(_tags_text().contains(json.dumps(wanted.tag), autoescape=True))
    method, recipe = Run.config["method"]["name"].as_string(), Run.config["recipe"].as_string()
    for word in wanted.words.split():
        columns = (Run.name, Run.note, method, recipe)
        found.append(or_(*(column.icontains(word, autoescape=True) for column in columns)))
    return found


def _tags_text() -> Any:
    return cast(Run.tags, String)


def _tags(session: Session, shelf: Sequence[ColumnElement[bool]]) -> list[str]:
    lists = session.scalars(select(Run.tags).where(*shelf, _tags_text() != NO_TAGS))
    return sorted({tag for tags in lists for tag in tags})


def of(session: Session, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """RunRows of some runs, in a constant number of statements."""
    ids = [run.id for run in runs]
    curves: dict[int, list[tuple[int, dict[str, Any]]]] = {run_id: [] for run_id in ids}
    for run_id, step, found in queries.sparks(session, ids):
        curves[run_id].append((step, found))
    seconds = queries.recent_step_seconds(session, ids, RECENT)
    evaluated = queries.evaluation_metrics(session, ids)
    work, warned = _jobs(session, runs), alarms.of_runs(session, runs)
    owners = dict(
        session.execute(
            select(User.id, User.name).where(User.id.in_({run.owner_id for run in runs}))
        ).all()
    )
    return [
        _row(run, curves[run.id], seconds.get(run.id), evaluated.get(run.id, []), warned[run.id])
        | work.get(run.job_id or 0, NO_WORK)
        | {"owner": owners.get(run.owner_id or 0, "")}
        for run in runs
    ]


def is_imported(run: Run) -> bool:
    """Whether another trainer made the run and only its log came here: nothing of it can be steered
    or made again."""
    return bool(run.config["policy"]["family"] == policies.IMPORTED)


def _jobs(session: Session, runs: Sequence[Run]) -> dict[int, dict[str, Any]]:
    """Job → where its run is done, by whom, and the how manieth time it is begun."""
    wanted = [run.job_id for run in runs if run.job_id is not None]
    rows = session.execute(
        select(Job.id, Job.queue, Job.worker, Job.attempt).where(Job.id.in_(wanted))
    )
    return {
        job_id: {
            "place": queue.partition(tickets.AT)[2],
            "worker": worker,
            "attempt": attempt,
        }
        for job_id, queue, worker, attempt in rows
    }


def _row(
    run: Run,
    curve: list[tuple[int, dict[str, Any]]],
    seconds: float | None,
    evaluations: list[tuple[int, dict[str, Any]]],
    found: list[dict[str, Any]],
) -> dict[str, Any]:
    trained = [term["name"] for term in run.config.get("rewards", [])]
    first = trained[0] if trained else ""
    last = curve[-1][1] if curve else {}
    newest = evaluations[-1][1] if evaluations else {}
    watched = [term["name"] for term in run.config.get("watch", [])]
    judge = next((name for name in watched if f"gain/{name}" in newest), "")
    left = run.num_steps - run.step
    return {
        "id": run.id,
        "name": run.name,
        "status": run.status,
        "wanted": run.wanted,
        "recipe": run.config.get("recipe", ""),
        "method": run.config["method"]["name"],
        "method_title": _method_title(run.config["method"]["name"]),
        "step": run.step,
        "num_steps": run.num_steps,
        "reward": {name: last.get(f"reward/{name}") for name in trained},
        "spark": [found.get(f"reward/{first}") for _step, found in curve],
        "gain": _gain(newest, first),
        "judge": _gain(newest, judge),
        "created_at": run.created_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "seconds_per_step": seconds,
        "eta_s": seconds * left if seconds and run.status == "running" else None,
        "error": run.error,
        "parent_id": run.parent_id,
        "policy_id": run.policy_id,
        "tuned_policy_id": run.tuned_policy_id,
        "project_id": run.project_id,
        "tags": run.tags,
        "note": run.note,
        "hidden": run.hidden,
        "imported": is_imported(run),
        "job_id": run.job_id,
        "alarms": [*alarms.stopped(run.id, _history(run), evaluations), *found],
    }


def _gain(metrics: dict[str, Any], name: str) -> dict[str, Any] | None:
    """Change of a held-out reward from the base, with its standard error."""
    value = metrics.get(f"gain/{name}")
    if value is None:
        return None
    return {"name": name, "value": value, "se": metrics.get(f"gain_se/{name}")}


def _history(run: Run) -> History | None:
    """The early stop of a run that has one, before its first evaluation."""
    settings = EarlyStop.read(run.config.get("early_stop"))
    terms = [RewardTerm.read(term) for term in run.config.get("rewards", [])]
    return History(settings, terms) if settings.gold else None


def _method_title(name: str) -> str:
    """As its file says; a method whose file is gone keeps its key."""
    return registry.methods.get(name).TITLE if name in registry.methods.names() else name
