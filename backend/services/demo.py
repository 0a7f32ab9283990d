"""The demo project: the pocket model, its prompts, four rewards, and pictures to judge within
seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import exists, select

from backend.errors import EnvironmentProblem
from backend.pocket import HELDOUT_PROMPTS_PATH, TRAIN_PROMPTS_PATH
from backend.services import policies, projects, prompts, rewards, samples, users
from backend.services.studio import Studio
from db.tables import Policy, Project, Sample

NAME = "Pocket"
SETS = {
    "pocket-train": ("train", TRAIN_PROMPTS_PATH),
    "pocket-heldout": ("heldout", HELDOUT_PROMPTS_PATH),
}
REWARDS = {
    "verifier": "pocket-verifier",
    "saturation": "saturation",
    "brightness": "brightness",
    "file size": "file-size",
}
FIRST_PICTURES = {"num_prompts": 48, "samples_per_prompt": 4, "num_steps": 10, "seed": 0}


def ensure(studio: Studio) -> dict[str, Any]:
    """Make a studio that has nothing yet show something; one with a project is left as it is."""
    with studio.read() as session:
        if session.scalar(select(exists(select(Project.id).where(Project.name != projects.FIRST)))):
            return projects.current(studio, users.local(studio)["id"])
    return create(studio)


def create(studio: Studio, user_id: int | None = None) -> dict[str, Any]:
    """Make whatever of the demo is missing and open it; done twice, nothing is doubled."""
    project = projects.named(studio, NAME)
    project_id = project["id"]
    known = {row["name"]: row for row in prompts.rows(studio, project_id)}
    for name, (split, file) in SETS.items():
        if name not in known:
            prompts.import_text(studio, project_id, name, split, _read(file), file.name)
    pocket = _policy(studio, project_id)
    for name, kind in REWARDS.items():
        rewards.create(studio, project_id, name, kind, {})
    _first_pictures(studio, project_id, pocket)
    return projects.open_project(studio, user_id or users.local(studio)["id"], project_id)


def _policy(studio: Studio, project_id: int) -> int:
    with studio.read() as session:
        known = session.scalar(
            select(Policy.id)
            .where(Policy.project_id == project_id, Policy.adapter.is_(None))
            .order_by(Policy.id)
            .limit(1)
        )
    if known is not None:
        return known
    row = policies.create(studio, project_id, "pocket", "sd3", {"weights": "pocket"})
    return int(row["id"])


def _first_pictures(studio: Studio, project_id: int, policy_id: int) -> None:
    """Ask for pictures once: not when there are some, nor while a job is drawing them."""
    train = prompts.named(studio, project_id, "pocket-train")["id"]
    with studio.read() as session:
        if session.scalar(select(exists(select(Sample.id).where(Sample.policy_id == policy_id)))):
            return
    if not samples.is_being_drawn(studio, policy_id):
        samples.generate(
            studio,
            prompt_set_id=train,
            policy_id=policy_id,
            make_pairs=True,
            **FIRST_PICTURES,
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EnvironmentProblem(
            f"The demo's prompts {path} cannot be read ({error.strerror}); get the repository's "
            "static/pocket folder again."
        ) from None
