"""Latents of a group's nodes: kept as the run drew them, decoded when somebody asks.

The file of a group has every latent that was kept of its nodes; the first who asks has a worker
decode all of them into one strip, which stays. A latent is what the network saw at that node, noise
and all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm.attributes import flag_modified

from backend.errors import NotFound
from backend.services import jobs, policies, rollouts
from backend.services.policies import PolicySpec
from backend.services.studio import Studio
from db.tables import Job, Run

KEY = rollouts.LATENTS
LATEST = 50
"""Jobs among which one that decodes the same group is looked for."""


@dataclass(frozen=True)
class Kept:
    """What a worker needs to decode a group."""

    policy: PolicySpec
    file: str
    """Media hash."""


def ask(studio: Studio, group_id: int, *, again: bool = False) -> dict[str, Any]:
    """{nodes, url, job_id, error}: the strip, or the job that decodes it, one for all who ask. One
    that failed says why, and is tried again when asked."""
    args = {"group_id": group_id}
    with studio.write() as session:
        group = rollouts.find(session, group_id)
        known = rollouts.latents_of(group)
        if known is None:
            raise NotFound(
                f"No latents of group {group_id} were kept; a run keeps those of its setting "
                "'record_latents'."
            )
        if known["url"]:
            return {**known, "job_id": None, "error": ""}
        studio.store.serialise(session, KEY, group_id)
        same = select(Job).where(Job.kind == KEY).order_by(Job.id.desc()).limit(LATEST)
        asked = next((one for one in session.scalars(same) if one.args == args), None)
        if asked and (asked.status not in jobs.OVER or (asked.status == "failed" and not again)):
            return {**known, "job_id": asked.id, "error": asked.error}
        job_id = jobs.add(session, KEY, args).id
    jobs.enqueue(studio, job_id)
    return {**known, "job_id": job_id, "error": ""}


def kept(studio: Studio, group_id: int) -> Kept:
    """The file of a group's latents, and the model that drew them."""
    with studio.read() as session:
        group = rollouts.find(session, group_id)
        run = session.get_one(Run, group.run_id)
        file, policy_id = group.detail[KEY]["file"], run.policy_id
    return Kept(policies.spec(studio, policy_id), file)


def decoded(studio: Studio, group_id: int, sheet: str) -> None:
    """Remember the strip of a group's latents, a media hash."""
    with studio.write() as session:
        group = rollouts.find(session, group_id)
        group.detail[KEY] = {**group.detail[KEY], "sheet": sheet}
        flag_modified(group, "detail")
