"""Runs: created whole, started by a job, stopped and resumed by a wish, cloned with changes."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import ConfigError, Conflict, InputError, NotFound
from backend.rl.recipe import RunConfig
from backend.services import events, jobs, judge_audits, policies, run_rows, run_settings
from backend.services.studio import Studio
from backend.services.version import code_version
from backend.types import HALT
from db import queries
from db.tables import Checkpoint, Evaluation, Iteration, Job, Run

WISHES = ("run", "pause", "stop", HALT)
NOTE = 2_000
"""Characters of a note that are kept."""


@dataclass(frozen=True)
class About:
    """What people say of a run that its training does not depend on."""

    note: str = ""
    """Why it is made."""
    owner_id: int | None = None
    """The user who began it."""
    place: str = ""
    """The one place that must do it; empty leaves it to whichever worker is free."""


def create(
    studio: Studio,
    project_id: int,
    name: str,
    config: dict[str, Any],
    *,
    parent_id: int | None = None,
    policy_id: int | None = None,
    about: About | None = None,
) -> dict[str, Any]:
    """Check a run's config, write the run and its job down, and offer it to a worker.

    `policy_id` starts from a policy that an earlier run has taught; its family and settings must be
    those of the config.
    """
    about = about or About()
    settings = run_settings.resolve(studio, project_id, config)
    shared = run_settings.shared_prompts(studio, project_id, settings)
    if shared:
        raise ConfigError(
            f"'{settings.prompt_set}' and '{settings.heldout_set}' share {shared} prompts, so the "
            "evaluation would flatter the run; choose sets that share none.",
            field="heldout_set",
        )
    run_settings.check_pairs(studio, project_id, settings)
    title = run_settings.checked_name(name or settings.recipe or settings.method.name)
    with studio.write() as session:
        policy = _policy(session, project_id, settings, policy_id)
        run = Run(
            project_id=project_id,
            name=title,
            config=settings.plain(),
            seed=settings.seed,
            code_version=code_version(),
            parent_id=parent_id,
            policy_id=policy,
            num_steps=settings.num_steps,
            note=about.note.strip()[:NOTE],
            owner_id=about.owner_id,
        )
        session.add(run)
        session.flush()
        job_id = _start(session, run, about.place)
        events.write(session, "The run was created.", run_id=run.id, kind="status")
        run_id = run.id
    jobs.enqueue(studio, job_id)
    return get(studio, run_id)


def clone(
    studio: Studio,
    run_id: int,
    changes: dict[str, Any] | None = None,
    about: About | None = None,
) -> dict[str, Any]:
    """The same run again, with `changes` laid over its config: nested, or by dotted path."""
    with studio.read() as session:
        parent = find(session, run_id)
        if run_rows.is_imported(parent):
            raise Conflict(
                f"Run {run_id} was logged by another trainer, so there are no settings here to "
                "make it again with; start a new run."
            )
        config = copy.deepcopy(parent.config)
        project_id, name, policy_id = parent.project_id, parent.name, parent.policy_id
    change = dict(changes or {})
    title = str(change.pop("name", "") or f"{name} again")
    for key, value in change.items():
        run_settings.lay(config, key.split("."), value)
    same_model = config["policy"] == parent.config["policy"]
    return create(
        studio,
        project_id,
        title,
        config,
        parent_id=run_id,
        policy_id=policy_id if same_model else None,
        about=about,
    )


def want(studio: Studio, run_id: int, wish: str) -> dict[str, Any]:
    """Ask a run to `stop` or `pause` after its update, to `halt` in mid-update, or to `run` on from
    its last checkpoint."""
    if wish not in WISHES:
        raise InputError(f"A run can be asked to {', '.join(WISHES)}, not to '{wish}'.")
    enqueue = None
    with studio.write() as session:
        # The job first: a worker that reports locks them in this order too, or both would wait.
        job_id = find(session, run_id).job_id
        job = session.get(Job, job_id, with_for_update=True) if job_id else None
        run = find(session, run_id, lock=True)
        if run.job_id != job_id:
            raise Conflict(
                f"Run {run_id} was started anew in this moment; look at it and ask again."
            )
        if wish == "run" and run.status in ("paused", "stopped", "failed"):
            enqueue = _start(session, run)
        elif run.status in ("done", "stopped", "failed") or job is None:
            raise Conflict(f"Run {run_id} is {run.status}; there is nothing to {wish}.")
        elif run.status == "paused" and wish == "pause":
            raise Conflict(f"Run {run_id} is paused already.")
        else:
            jobs.ask(session, job, wish)
            text = {"run": "go on", "pause": "pause", "stop": "stop", HALT: "stop at once"}[wish]
            data = {"status": run.status, "wanted": run.wanted}
            events.write(
                session, f"The run was asked to {text}.", run_id=run.id, kind="status", data=data
            )
    if enqueue is not None:
        jobs.enqueue(studio, enqueue)
    return get(studio, run_id)


def get(studio: Studio, run_id: int) -> dict[str, Any]:
    """One run: its row, its whole config, how it differs from its parent, checkpoints, alarms,
    log."""
    with studio.read() as session:
        run = find(session, run_id)
        row = run_rows.of(session, [run])[0]
        parent = session.get(Run, run.parent_id) if run.parent_id else None
        steps = session.scalars(
            select(Checkpoint.step).where(Checkpoint.run_id == run_id).order_by(Checkpoint.step)
        )
        return {
            **row,
            "config": run.config,
            "code_version": run.code_version,
            "seed": run.seed,
            "diff": diff(parent.config, run.config) if parent else [],
            "checkpoints": list(steps),
            "audits": judge_audits.of_terms(
                session,
                run.project_id,
                [*run.config.get("rewards", []), *run.config.get("watch", [])],
            ),
            "log": events.log_of_run(session, run_id),
        }


def config_of(studio: Studio, run_id: int) -> RunConfig:
    """The typed config of a stored run."""
    with studio.read() as session:
        return RunConfig.read(find(session, run_id).config)


def metrics(studio: Studio, run_id: int, since: int = -1) -> dict[str, Any]:
    """Series of all iterations after step `since`, null where a metric was not recorded."""
    with studio.read() as session:
        find(session, run_id)
        iterations = list(
            session.scalars(
                select(Iteration)
                .where(Iteration.run_id == run_id, Iteration.step > since)
                .order_by(Iteration.step)
            )
        )
        evaluations = list(
            session.scalars(
                select(Evaluation)
                .where(Evaluation.run_id == run_id, Evaluation.step > since)
                .order_by(Evaluation.step)
            )
        )
    return {
        "steps": [row.step for row in iterations],
        "series": _columns([row.metrics for row in iterations]),
        "nfe": [row.nfe for row in iterations],
        "seconds": _columns([row.seconds for row in iterations]),
        "evaluations": [_evaluation(row) for row in evaluations],
    }


def prompts_of(studio: Studio, run_id: int) -> tuple[list[str], list[str]]:
    """(prompts to train on, prompts to evaluate on) of a stored run."""
    with studio.read() as session:
        run = find(session, run_id)
        names = (run.config["prompt_set"], run.config["heldout_set"])
        found = [queries.prompt_texts_named(session, run.project_id, name) for name in names]
    for name, texts in zip(names, found, strict=True):
        if not texts:
            raise NotFound(f"The prompt set '{name}' of run {run_id} is no longer there.")
    return found[0], found[1]


def diff(parent: dict[str, Any], mine: dict[str, Any]) -> list[dict[str, Any]]:
    """Settings that differ, by dotted path: [{key, parent, mine}]."""
    one, other = _flat(parent), _flat(mine)
    return [
        {"key": key, "parent": one.get(key), "mine": other.get(key)}
        for key in sorted({*one, *other})
        if one.get(key) != other.get(key)
    ]


def find(session: Session, run_id: int, *, lock: bool = False) -> Run:
    """The row of a run, or NotFound."""
    run = session.get(Run, run_id, with_for_update=lock)
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    return run


def _start(session: Session, run: Run, place: str = "") -> int:
    """A new train job for a run that waits from now on; returns the job's id."""
    queue = jobs.queue_at("train", place)
    job = jobs.add(session, "train", {"run_id": run.id}, queue=queue)
    run.job_id = job.id
    jobs.mirror(session, job)
    return job.id


def _policy(session: Session, project_id: int, config: RunConfig, policy_id: int | None) -> int:
    family, settings = config.policy.family, config.policy.config
    if policy_id is None:
        name = f"{settings.get('weights', family)}".rsplit("/", 1)[-1]
        return policies.same_or_new(session, project_id, family, settings, name).id
    policy = policies.find(session, policy_id)
    if policy.project_id != project_id or (policy.family, policy.config) != (family, settings):
        raise ConfigError(
            f"Policy {policy_id} is not of the model that this config names; change one of the "
            f"two.",
            field="policy",
        )
    return policy.id


def _flat(data: Any, path: str = "") -> dict[str, Any]:
    """Dotted path → leaf; rewards are named by their name instead of their number."""
    if isinstance(data, dict):
        pairs = list(data.items())
    elif isinstance(data, list) and data and all(isinstance(item, dict) for item in data):
        pairs = [(item.get("name", number), item) for number, item in enumerate(data)]
    else:
        return {path: data}
    found: dict[str, Any] = {}
    for key, value in pairs:
        found |= _flat(value, f"{path}.{key}" if path else str(key))
    return found


def _columns(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    keys = sorted({key for record in records for key in record})
    return {key: [record.get(key) for record in records] for key in keys}


def _evaluation(row: Evaluation) -> dict[str, Any]:
    shown = [
        {
            "prompt": sample["prompt"],
            "seed": sample["seed"],
            "url": f"/media/{sample['media']}",
            "rewards": sample["rewards"],
        }
        for sample in row.samples
    ]
    return {"step": row.step, "metrics": row.metrics, "samples": shown, "nfe": row.nfe}
