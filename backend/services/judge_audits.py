"""Audits of judges: asked of the workers, kept with the reward, told wherever it appears."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import ConfigError, InputError, NotFound
from backend.registry import rewards as kinds
from backend.services import jobs, own_pairs
from backend.services.studio import Studio
from db.tables import Reward

UNAUDITED = "unaudited"
ON_POCKET, ON_OWN = "audit", "audit_own"
"""Where a reward's figures have the report on pairs of the pocket world, and on those that the
project's own people decided."""


def asked(kind: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The judge behind a kind with settings, and those of them that its word depends on; None where
    nothing was taught to judge. A win rate is as good as its judge."""
    if kind not in kinds.names():
        return None
    module = kinds.get(kind)
    if "judge_config" in module.Config.model_fields:
        settings = module.Config.read(config)
        return asked(settings.judge, settings.judge_config)
    if not getattr(module, "JUDGE", False):
        return None
    settings = module.Config.read(config)
    handling: frozenset[str] = getattr(settings, "HANDLING", frozenset())
    return kind, {name: v for name, v in settings.plain().items() if name not in handling}


def standing(session: Session, project_id: int, kind: str, config: dict[str, Any]) -> str:
    """ "" for what is no judge; else "unaudited", "passed", or "failed" with the tests' names.

    An audit counts for every use of the same judge with the same settings in its project.
    """
    judge = asked(kind, config)
    if judge is None:
        return ""
    same = select(Reward).where(Reward.project_id == project_id, Reward.kind == judge[0])
    for reward in session.scalars(same.order_by(Reward.id.desc())):
        said = _said(reward.figures or {})
        if said and asked(reward.kind, reward.config) == judge:
            return said
    return UNAUDITED


def _said(figures: dict[str, Any]) -> str:
    """What the reports come to: passed where each that there is was passed; "" without any."""
    reports = {where: figures[where] for where in (ON_POCKET, ON_OWN) if figures.get(where)}
    failed = [
        name if where == ON_POCKET else f"{name} on own pairs"
        for where, report in reports.items()
        for name in report["failed"]
    ]
    if failed:
        return f"failed: {', '.join(failed)}"
    return "passed" if reports else ""


def of_terms(session: Session, project_id: int, terms: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Name → `standing` of each reward of a run that is a judge or asks one; a reward whose
    settings cannot be read is left out."""
    found = {}
    for term in terms:
        try:
            said = standing(session, project_id, term["kind"], term.get("config") or {})
        except ConfigError:
            continue
        if said:
            found[term["name"]] = said
    return found


def ask(
    studio: Studio,
    reward_id: int,
    *,
    pairs: int = 200,
    groups: int = 32,
    own: bool = False,
    simulated: bool = False,
) -> int:
    """Ask the workers to audit a stored judge; returns the job's id.

    `own`: on pairs that the project's people decided, `simulated` ones among them where it says so.
    """
    with studio.read() as session:
        reward = session.get(Reward, reward_id)
        if reward is None:
            raise NotFound(f"There is no reward {reward_id}.")
        judge = asked(reward.kind, reward.config)
        if judge is None or judge[0] != reward.kind:
            raise InputError(
                f"'{reward.name}' is no judge of its own: nothing was taught to judge. Audits are "
                "for judges; a win rate is as good as its judge."
            )
        project_id = reward.project_id
    if own:
        own_pairs.decided(studio, project_id, pairs, simulated=simulated)
    args = {"reward_id": reward_id, "pairs": pairs, "groups": groups}
    return jobs.create(studio, "audit", {**args, "own": own, "simulated": simulated})


def record(studio: Studio, reward_id: int, report: dict[str, Any]) -> None:
    """Keep a report with the reward it is about; of either material the newest stands."""
    with studio.write() as session:
        reward = session.get(Reward, reward_id)
        if reward is None:
            raise NotFound(f"There is no reward {reward_id}.")
        where = ON_OWN if report.get("own") else ON_POCKET
        reward.figures = {**(reward.figures or {}), where: {**report, "at": time.time()}}


def named(studio: Studio, name: str) -> int:
    """The newest version of the reward with a name, in whichever project."""
    with studio.read() as session:
        found = session.scalar(
            select(Reward.id).where(Reward.name == name).order_by(Reward.id.desc()).limit(1)
        )
    if found is None:
        known = ", ".join(kinds.names())
        raise NotFound(f"There is no reward '{name}'; kinds of reward are {known}.")
    return found
