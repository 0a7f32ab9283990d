"""Glances: what a reward says of a project's newest samples, asked before a run trains on it.

Scores that the store has are taken first; otherwise a worker of the score queue loads the reward
and asks it, once for the same reward and samples. Nothing is stored but the answer of that job.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import ConfigError
from backend.registry import rewards as kinds
from backend.rewards import _judge_price
from backend.rl.recipe import RewardTerm
from backend.services import jobs, judge_audits, rewards
from backend.services.studio import Studio
from db.tables import Job, Reward, Sample, Score

SAMPLES = 64
"""The newest ones; enough for the picture of a distribution."""
PAID = 8
"""Of a judge on a server, which is paid by the question."""
LATEST = 100
"""Jobs among which an earlier answer is looked for."""


@dataclass(frozen=True)
class Glance:
    """What is known of one reward."""

    state: str = "unknown"
    """unknown, asked, ready or failed."""
    values: list[float | None] = field(default_factory=list)
    """Raw, one a sample, the newest first; None where it had none."""
    reason: str = ""
    """Why it failed, or why a value is missing."""
    compares: bool = False
    """It compares pictures of one prompt, so a single picture has no value."""
    cheated: str = ""
    """Which trivial controls it likes better than the project's own pictures; empty if none."""
    job_id: int | None = None
    audit: str = ""
    """Of a judge, or a reward that asks one: unaudited, passed, or failed with the tests."""

    def plain(self) -> dict[str, Any]:
        """As the API gives it."""
        return asdict(self)


def settled(term: RewardTerm) -> dict[str, Any]:
    """A reward's own settings with every default written out, as stored ones are."""
    try:
        return kinds.get(term.kind).Config.read(term.config).plain()  # type: ignore[no-any-return]
    except ConfigError:
        return term.config


def known(studio: Studio, project_id: int, terms: Sequence[RewardTerm]) -> dict[str, Glance]:
    """Name → what is known without asking anybody."""
    with studio.read() as session:
        newest = _newest(session, project_id)
        told = _told(session)
        audits = judge_audits.of_terms(session, project_id, [term.plain() for term in terms])
        return {
            term.name: replace(
                _scored(session, project_id, term, newest)
                or told.get(_key(project_id, term, newest))
                or Glance(),
                audit=audits.get(term.name, ""),
            )
            for term in terms
        }


def ask(studio: Studio, project_id: int, terms: Sequence[RewardTerm]) -> dict[str, Glance]:
    """As `known`, and the workers are asked what is not known yet. A reward that cannot be read is
    left unknown: the preflight says why."""
    found = known(studio, project_id, terms)
    for term in terms:
        if found[term.name].state != "unknown":
            continue
        try:
            rewards.read_config(studio, term.kind, term.config)
        except ConfigError:
            continue
        with studio.read() as session:
            newest = _newest(session, project_id)
        args = {
            "project_id": project_id,
            "name": term.name,
            "kind": term.kind,
            "config": term.config,
            "limit": PAID if _judge_price.asked(term.kind, term.config) else SAMPLES,
            "key": _key(project_id, term, newest),
        }
        job_id = jobs.create(studio, "glance", args)
        found[term.name] = replace(found[term.name], state="asked", job_id=job_id)
    return found


def _newest(session: Session, project_id: int) -> list[int]:
    query = select(Sample.id).where(Sample.project_id == project_id, Sample.text.is_(None))
    return list(session.scalars(query.order_by(Sample.id.desc()).limit(SAMPLES)))


def _key(project_id: int, term: RewardTerm, newest: Sequence[int]) -> str:
    last = newest[0] if newest else 0
    said = json.dumps([project_id, term.kind, settled(term), last, len(newest)], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:24]


def _told(session: Session) -> dict[str, Glance]:
    """Key → the latest answer, or that it is being asked."""
    found: dict[str, Glance] = {}
    query = select(Job).where(Job.kind == "glance").order_by(Job.id.desc()).limit(LATEST)
    for job in session.scalars(query):
        key = job.args.get("key")
        if key and key not in found and job.status != "stopped":
            found[key] = _of_job(job)
    return found


def _of_job(job: Job) -> Glance:
    if job.status == "done":
        said = job.result
        told = said["values"], said["reason"], said["compares"], said.get("cheated", "")
        return Glance("ready", *told, job.id)
    if job.status == "failed":
        return Glance("failed", reason=job.error, job_id=job.id)
    return Glance("asked", job_id=job.id)


def _scored(
    session: Session, project_id: int, term: RewardTerm, newest: Sequence[int]
) -> Glance | None:
    """From stored scores, where a reward of these settings has judged all of the newest samples."""
    if not newest:
        return None
    same = select(Reward).where(Reward.project_id == project_id, Reward.kind == term.kind)
    wanted = settled(term)
    reward = next((one for one in session.scalars(same) if one.config == wanted), None)
    if reward is None:
        return None
    said = {
        sample_id: (value, detail)
        for sample_id, value, detail in session.execute(
            select(Score.sample_id, Score.value, Score.detail).where(
                Score.reward_id == reward.id,
                Score.criterion == rewards.TOTAL,
                Score.sample_id.in_(newest),
            )
        )
    }
    if len(said) < len(newest):
        return None
    reason = next((detail for value, detail in said.values() if value is None and detail), "")
    return Glance("ready", [said[sample][0] for sample in newest], reason)
