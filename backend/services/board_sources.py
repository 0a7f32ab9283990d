"""The sources of a board: what a key means in a project, what can be drawn with it, and how it is
usually drawn.

`policy:12` is a model, `run:3@40` what run 3 had learned at step 40, `imported` the pictures that
came from outside.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import InputError, NotFound
from backend.services import policies, runs
from backend.services.studio import Studio
from db.tables import Checkpoint, Evaluation, Policy, Run, Sample

NUM_STEPS = 28
"""Denoising steps where neither pictures nor a run say otherwise."""
IMPORTED = "imported"
NEWEST_RUNS = 60
LOOKED_AT = 200
"""Newest samples whose settings say what is usual."""
_SOURCE = re.compile(r"policy:(?P<policy>\d{1,18})|run:(?P<run>\d{1,18})@(?P<step>\d{1,18})")


class Source(NamedTuple):
    """A source as the store knows it now; `policy_id` is None where nobody has drawn with it."""

    key: str
    name: str
    policy_id: int | None
    run_id: int | None
    step: int | None
    can_draw: bool

    def plain(self) -> dict[str, Any]:
        """As the API shows it."""
        shown = self.policy_id if self.can_draw else None
        return {**self._asdict(), "policy_id": shown}


def sources(studio: Studio, project_id: int) -> dict[str, Any]:
    """What can be put on a board: {policies, runs: [{id, name, checkpoints, evaluations}],
    imported}."""
    with studio.read() as session:
        newest = list(
            session.execute(
                select(Run.id, Run.name)
                .where(Run.project_id == project_id)
                .order_by(Run.id.desc())
                .limit(NEWEST_RUNS)
            )
        )
        ids = [run_id for run_id, _name in newest]
        kept = _steps(session, Checkpoint, ids)
        shown = _steps(session, Evaluation, ids)
        has_imported = session.scalar(_imported_policy(project_id).limit(1)) is not None
    return {
        "policies": policies.rows(studio, project_id),
        "runs": [
            {"id": i, "name": name, "checkpoints": kept.get(i, []), "evaluations": shown.get(i, [])}
            for i, name in newest
            if i in kept or i in shown
        ],
        "imported": has_imported,
    }


def find(session: Session, project_id: int, key: str) -> Source:
    """What a key means in this project; NotFound when it means nothing."""
    if key == IMPORTED:
        policy_id = session.scalar(_imported_policy(project_id).limit(1))
        return Source(key, "imported pictures", policy_id, None, None, False)
    found = _SOURCE.fullmatch(key)
    if found is None:
        raise InputError(f"'{key[:60]}' is no source; write policy:12, run:3@40 or imported.")
    if found["policy"]:
        policy = policies.find(session, int(found["policy"]))
        if policy.project_id != project_id:
            raise NotFound(f"There is no policy {policy.id} in this project.")
        return Source(key, policy.name, policy.id, policy.run_id, policy.step, True)
    run_id, step = int(found["run"]), int(found["step"])
    run = runs.find(session, run_id)
    if run.project_id != project_id:
        raise NotFound(f"There is no run {run_id} in this project.")
    known = session.scalar(
        select(Policy.id)
        .where(Policy.run_id == run_id, Policy.step == step)
        .order_by(Policy.id.desc())
        .limit(1)
    )
    if known is None and step == 0:
        known = run.policy_id
    can_draw = known is not None or bool(_steps(session, Checkpoint, [run_id], step))
    return Source(key, f"{run.name} @ {step}", known, run_id, step, can_draw)


def policy_to_draw(session: Session, project_id: int, key: str) -> int:
    """The id of the policy to draw a source with, made of a run's checkpoint when it is new."""
    source = find(session, project_id, key)
    if source.policy_id is not None and key != IMPORTED:
        return source.policy_id
    if source.run_id is None or source.step is None:
        raise InputError("Imported pictures come from outside; nothing here can draw more of them.")
    row = session.scalar(
        select(Checkpoint).where(Checkpoint.run_id == source.run_id, Checkpoint.step == source.step)
    )
    if row is None:
        raise NotFound(f"Run {source.run_id} has no checkpoint at step {source.step}.")
    run = runs.find(session, source.run_id)
    return policies.taught(session, run, row.ema or row.adapter, source.step).id


def usual(session: Session, project_id: int, keys: Sequence[str]) -> tuple[int, float]:
    """What most of the newest pictures of these sources were drawn with; else what their runs
    use."""
    ids = [find(session, project_id, key).policy_id for key in keys]
    newest = session.scalars(
        select(Sample.settings)
        .where(Sample.policy_id.in_([i for i in ids if i is not None]), Sample.text.is_(None))
        .order_by(Sample.id.desc())
        .limit(LOOKED_AT)
    )
    used = Counter(
        (said["num_steps"], float(said["guidance"]))
        for said in newest
        if "num_steps" in said and "guidance" in said
    )
    if used:
        return used.most_common(1)[0][0]
    for key in keys:
        run_id = find(session, project_id, key).run_id
        if run_id is not None:
            config = runs.find(session, run_id).config
            sampling = config.get("sampling", {})
            steps = config.get("evaluation", {}).get("num_steps") or sampling.get("num_steps")
            return int(steps or NUM_STEPS), float(sampling.get("guidance", 1.0))
    return NUM_STEPS, 1.0


def _imported_policy(project_id: int) -> Any:
    return select(Policy.id).where(
        Policy.project_id == project_id, Policy.family == policies.IMPORTED
    )


def _steps(
    session: Session,
    table: type[Checkpoint] | type[Evaluation],
    run_ids: Sequence[int],
    step: int | None = None,
) -> dict[int, list[int]]:
    """run → its steps of which the table has a row, or whether it has `step`."""
    query = select(table.run_id, table.step).where(table.run_id.in_(run_ids)).order_by(table.step)
    if step is not None:
        query = query.where(table.step == step)
    found: dict[int, list[int]] = {}
    for run_id, at in session.execute(query):
        found.setdefault(run_id, []).append(at)
    return found
