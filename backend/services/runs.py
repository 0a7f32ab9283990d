"""Runs: created whole, started by a job, stopped and resumed by a wish, cloned with changes."""

from __future__ import annotations

import copy
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend import registry
from backend.errors import ConfigError, Conflict, InputError, NotFound
from backend.rl.early_stop import History
from backend.rl.recipe import EarlyStop, RewardTerm, RunConfig, learns_from_pairs
from backend.services import alarms, events, jobs, policies, rewards
from backend.services.studio import Studio
from backend.services.version import code_version
from db import queries
from db.tables import Checkpoint, Evaluation, Iteration, Job, PromptSet, Run

STATUSES = ("waiting", "running", "paused", "done", "stopped", "failed")
WHOLE = ("settings", "config")
WISHES = ("run", "pause", "stop")
RECENT = 20
"""Iterations over which the time of a step is averaged."""


def resolve(studio: Studio, project_id: int, config: dict[str, Any]) -> RunConfig:
    """The whole config with every default written out, checked against what this project has.

    A prompt set that is not named is the project's first of that split. Raises ConfigError with the
    path of the setting that is at fault.
    """
    read = RunConfig.read(config)
    named = {
        "prompt_set": _set_name(studio, project_id, read.prompt_set, "train", "prompt_set"),
        "heldout_set": _set_name(studio, project_id, read.heldout_set, "heldout", "heldout_set"),
        "rewards": _terms(studio, read.rewards, "rewards"),
        "watch": _terms(studio, read.watch, "watch"),
    }
    return read.model_copy(update=named)


def create(
    studio: Studio,
    project_id: int,
    name: str,
    config: dict[str, Any],
    *,
    parent_id: int | None = None,
    policy_id: int | None = None,
) -> dict[str, Any]:
    """Check a run's config, write the run and its job down, and offer it to a worker.

    `policy_id` starts from a policy that an earlier run has taught; its family and settings must be
    those of the config.
    """
    settings = resolve(studio, project_id, config)
    shared = shared_prompts(studio, project_id, settings)
    if shared:
        raise ConfigError(
            f"'{settings.prompt_set}' and '{settings.heldout_set}' share {shared} prompts, so the "
            "evaluation would flatter the run; choose sets that share none.",
            field="heldout_set",
        )
    _check_pairs(studio, project_id, settings)
    title = _checked_name(name or settings.recipe or settings.method.name)
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
        )
        session.add(run)
        session.flush()
        job_id = _start(session, run)
        events.write(session, "The run was created.", run_id=run.id, kind="status")
        run_id = run.id
    jobs.enqueue(studio, job_id)
    return get(studio, run_id)


def clone(studio: Studio, run_id: int, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """The same run again, with `changes` laid over its config: nested, or by dotted path."""
    with studio.read() as session:
        parent = find(session, run_id)
        config = copy.deepcopy(parent.config)
        project_id, name, policy_id = parent.project_id, parent.name, parent.policy_id
    change = dict(changes or {})
    title = str(change.pop("name", "") or f"{name} again")
    for key, value in change.items():
        _lay(config, key.split("."), value)
    same_model = config["policy"] == parent.config["policy"]
    return create(
        studio,
        project_id,
        title,
        config,
        parent_id=run_id,
        policy_id=policy_id if same_model else None,
    )


def want(studio: Studio, run_id: int, wish: str) -> dict[str, Any]:
    """Ask a run to `stop`, to `pause`, or to `run` on from its last checkpoint."""
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
            text = {"run": "go on", "pause": "pause", "stop": "stop"}[wish]
            data = {"status": run.status, "wanted": run.wanted}
            events.write(
                session, f"The run was asked to {text}.", run_id=run.id, kind="status", data=data
            )
    if enqueue is not None:
        jobs.enqueue(studio, enqueue)
    return get(studio, run_id)


def rows(
    studio: Studio,
    project_id: int,
    *,
    status: str | None = None,
    offset: int = 0,
    limit: int = 50,
) -> dict[str, Any]:
    """{total, items}: runs newest first."""
    if status and status not in STATUSES:
        raise InputError(f"Status '{status}' is unknown; it is one of {', '.join(STATUSES)}.")
    here = Run.project_id == project_id
    if status:
        here = here & (Run.status == status)
    with studio.read() as session:
        total = session.scalar(select(func.count()).select_from(Run).where(here)) or 0
        page = list(
            session.scalars(
                select(Run).where(here).order_by(Run.id.desc()).offset(offset).limit(limit)
            )
        )
        return {"total": total, "items": _rows(session, page)}


def get(studio: Studio, run_id: int) -> dict[str, Any]:
    """One run: its row, its whole config, how it differs from its parent, checkpoints, alarms,
    log."""
    with studio.read() as session:
        run = find(session, run_id)
        row = _rows(session, [run])[0]
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


def shared_prompts(studio: Studio, project_id: int, config: RunConfig) -> int:
    """Prompts that are both trained on and evaluated on."""
    with studio.read() as session:
        train = queries.prompt_set_named(session, project_id, config.prompt_set)
        heldout = queries.prompt_set_named(session, project_id, config.heldout_set)
        if train is None or heldout is None:
            return 0
        return queries.shared_prompts(session, train.id, heldout.id)


def judged_pairs(studio: Studio, project_id: int, config: RunConfig) -> tuple[int, int, int]:
    """(of those this config learns from, people's, simulated) decided pairs that are not held
    out."""
    with studio.read() as session:
        people, simulated = queries.decided_pairs(session, project_id, config.heldout_set)
    both = {"people": people, "simulated": simulated, "both": people + simulated}
    return both[config.labels], people, simulated


def _check_pairs(studio: Studio, project_id: int, config: RunConfig) -> None:
    """A method that learns from judged pairs alone needs some."""
    if not learns_from_pairs(config):
        return
    found, people, simulated = judged_pairs(studio, project_id, config)
    if not found:
        raise ConfigError(
            f"'{config.method.name}' learns from judged pairs alone, and on prompts that are not "
            f"held out there are {people} from people and {simulated} simulated; label some, or "
            "let it learn from the others' too.",
            field="labels",
        )


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


def _start(session: Session, run: Run) -> int:
    """A new train job for a run that waits from now on; returns the job's id."""
    job = jobs.add(session, "train", {"run_id": run.id})
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


def _terms(studio: Studio, terms: list[RewardTerm], at: str) -> list[RewardTerm]:
    found = []
    for number, term in enumerate(terms):
        settings = rewards.read_config(studio, term.kind, term.config, f"{at}.{number}.config")
        found.append(term.model_copy(update={"config": settings.plain()}))
    return found


def _set_name(studio: Studio, project_id: int, name: str, split: str, field: str) -> str:
    with studio.read() as session:
        if name:
            found = queries.prompt_set_named(session, project_id, name)
        else:
            found = session.scalar(
                select(PromptSet)
                .where(PromptSet.project_id == project_id, PromptSet.split == split)
                .order_by(PromptSet.id)
                .limit(1)
            )
        if found is not None:
            return found.name
    what = (
        f"There is no prompt set '{name}'" if name else f"There is no prompt set of split '{split}'"
    )
    raise ConfigError(f"{what} in this project; import one on the Prompts page.", field=field)


def _checked_name(name: str) -> str:
    clean = " ".join(name.split())
    if not 1 <= len(clean) <= 200 or not clean.isprintable():
        raise ConfigError("A run needs a name of 1 to 200 printable characters.", field="name")
    return clean


def _lay(config: dict[str, Any], path: list[str], value: Any) -> None:
    """Put a value at a path; a dict is laid over a dict key by key.

    The settings of a method, a model or a reward are taken whole: those of another kind must go.
    """
    key, rest = path[0], path[1:]
    inside = config.get(key)
    both = isinstance(value, dict) and isinstance(inside, dict) and key not in WHOLE
    if rest or both:
        if not isinstance(inside, dict):
            inside = config[key] = {}
        for name, inner in [(rest[0], value)] if rest else value.items():
            _lay(inside, [name, *rest[1:]], inner)
    else:
        config[key] = value


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


def _rows(session: Session, runs: list[Run]) -> list[dict[str, Any]]:
    """RunRows of a page of runs, in a constant number of statements."""
    ids = [run.id for run in runs]
    curves: dict[int, list[tuple[int, dict[str, Any]]]] = {run_id: [] for run_id in ids}
    for run_id, step, found in queries.sparks(session, ids):
        curves[run_id].append((step, found))
    seconds = queries.recent_step_seconds(session, ids, RECENT)
    evaluated = queries.evaluation_metrics(session, ids)
    return [
        _row(run, curves[run.id], seconds.get(run.id), evaluated.get(run.id, [])) for run in runs
    ]


def _row(
    run: Run,
    curve: list[tuple[int, dict[str, Any]]],
    seconds: float | None,
    evaluations: list[tuple[int, dict[str, Any]]],
) -> dict[str, Any]:
    trained = [term["name"] for term in run.config.get("rewards", [])]
    watched = [term["name"] for term in run.config.get("watch", []) if not _statistic(term)]
    first = trained[0] if trained else ""
    last = curve[-1][1] if curve else {}
    newest = evaluations[-1][1] if evaluations else {}
    gain = newest.get(f"gain/{first}")
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
        "gain": None
        if gain is None
        else {"name": first, "value": gain, "se": newest.get(f"gain_se/{first}")},
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
        "job_id": run.job_id,
        "alarms": alarms.of_run(run.id, trained, watched, curve, evaluations, _history(run)),
    }


def _history(run: Run) -> History | None:
    """The early stop of a run that has one, before its first evaluation."""
    settings = EarlyStop.read(run.config.get("early_stop"))
    terms = [RewardTerm.read(term) for term in run.config.get("rewards", [])]
    return History(settings, terms) if settings.gold else None


def _method_title(name: str) -> str:
    """As its file says; a method whose file is gone keeps its key."""
    return registry.methods.get(name).TITLE if name in registry.methods.names() else name


def _statistic(term: dict[str, Any]) -> bool:
    """A plain image statistic: its fall says nothing about quality."""
    return bool(getattr(registry.rewards.get(term["kind"]), "STATISTIC", False))
