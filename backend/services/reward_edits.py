"""Cheap-edit probes of stored rewards: asked of the workers, the newest report kept with the
reward."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from backend.errors import InputError
from backend.rewards._edits import PROBES
from backend.services import jobs, reward_sets, rewards, samples
from backend.services.studio import Studio

MOST: Final = 128
"""Pictures of one probe; each is asked about once as it is and once for every edit."""
KIND: Final = "edits"


def ask(
    studio: Studio,
    project_id: int,
    reward_id: int,
    key: str,
    *,
    pictures: int = 64,
    edits: Sequence[str] = tuple(PROBES),
) -> int:
    """Ask the workers to try edits on the newest pictures of a set; returns the job's id."""
    unknown = [name for name in edits if name not in PROBES]
    if unknown or not edits:
        raise InputError(
            f"There is no edit '{unknown[0] if unknown else ''}'; choose {', '.join(PROBES)}."
        )
    reward_sets.checked_rewards(studio, project_id, [reward_id])
    if key.startswith("run:"):
        reward_sets.keep_evaluation(studio, project_id, key)
    if not reward_sets.resolve(studio, project_id, key, 1):
        raise InputError("This set has no pictures to edit; draw some first.")
    args = {
        "project_id": project_id,
        "reward_id": reward_id,
        "set": key,
        "pictures": min(pictures, MOST),
        "edits": list(dict.fromkeys(edits)),
    }
    return jobs.create(studio, KIND, args)


def record(studio: Studio, reward_id: int, report: dict[str, Any]) -> None:
    """Keep a report with the reward it is about; the newest stands."""
    with studio.write() as session:
        reward = rewards.find(session, reward_id)
        reward.figures = {**(reward.figures or {}), "edits": {**report, "at": time.time()}}


def report(studio: Studio, project_id: int, reward_id: int) -> dict[str, Any] | None:
    """The newest report, its pictures with addresses; None where nobody has asked."""
    reward_sets.checked_rewards(studio, project_id, [reward_id])
    with studio.read() as session:
        found = (rewards.find(session, reward_id).figures or {}).get("edits")
    if found is None:
        return None
    levers = [
        {**lever, "worst": [_shown(one) for one in lever["worst"]]} for lever in found["levers"]
    ]
    return {**found, "levers": levers}


def _shown(picture: dict[str, Any]) -> dict[str, Any]:
    urls = {"url": samples.url(picture["original"]), "edited": samples.url(picture["media"])}
    return {**picture, **urls}
