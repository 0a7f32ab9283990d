"""Looks at the pictures of a project's pairs, so that its reward can be refitted label by label."""

from __future__ import annotations

from typing import Any

from backend.rewards import _features, _weights, learn
from backend.services import live_reward
from workers.frame import JobFrame, run_job
from workers.jobs.choose import look


def run(job_id: int, attempt: int) -> None:
    """Args: project_id, newest (the id of its newest pair)."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """Features of every picture of a pair, stored as one file; the result has its hash."""
    project_id = frame.args["project_id"]
    pictures = live_reward.pictures(frame.studio, project_id)
    kept = frame.studio.settings.home / "cache" / f"seen-project-{project_id}.npz"
    seen = look(frame, kept, pictures)
    recipe, features, _ = _features.fit_seen(
        seen, [prompt for _, prompt in pictures], learn.COMPONENTS
    )
    arrays = {"features": features.astype("float32"), "block": recipe.block}
    about = {"format": live_reward.FORMAT, "keys": [live_reward.key(*one) for one in pictures]}
    return {
        "features": frame.studio.media.put(_weights.pack(arrays, about)),
        "project_id": project_id,
        "pictures": len(pictures),
    }
