"""The Reward lab: sets of pictures scored, held against people, mixed, and edited cheaply."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from app.api.deps import Body, ProjectDep, StudioDep
from backend.rewards._edits import PROBES
from backend.services import (
    reward_edits,
    reward_lab,
    reward_mixing,
    reward_sets,
    reward_uses,
)

router = APIRouter(tags=["rewards"])
Set = Annotated[str, Query(alias="set", max_length=60)]
Ids = Annotated[list[int], Query(max_length=reward_sets.MOST_REWARDS)]


class ScoreSet(Body):
    """A set to score."""

    set: str = Field(max_length=60)
    """newest, policy:12, run:3@40, study:5 or imported."""
    reward_ids: list[int]
    again: bool = False
    """Ask about every picture anew, also where the store has an answer."""


class MixOf(Body):
    """Rewards to compose on a set's stored values."""

    set: str = Field(max_length=60)
    terms: list[dict[str, Any]] = Field(max_length=reward_sets.MOST_REWARDS)
    """As a run's rewards, with `reward_id` in place of name, kind and config."""
    compose: dict[str, Any] = Field(default_factory=dict)
    """As a run's `compose`."""
    base: str = Field("", max_length=60)
    """Set of the base's pictures; empty takes the set itself."""
    done: float = Field(0.0, ge=0, le=1)
    """How much of the run is over, for thresholds that rise."""
    stage: int = Field(0, ge=0, le=9)
    """Rewards of this stage and of those before it have joined."""
    only_whole: bool = False
    """Leave out pictures that one of the rewards has no value for."""


class Edits(Body):
    """How much a probe by cheap edits asks."""

    set: str = Field(max_length=60)
    pictures: int = Field(64, ge=2, le=reward_edits.MOST)
    edits: list[str] = Field(default_factory=lambda: list(PROBES))


@router.get("/rewards/lab/sets")
def list_sets(studio: StudioDep, project: ProjectDep) -> list[dict[str, Any]]:
    """Sets of pictures that rewards may score: models, studies, evaluations, imports."""
    return reward_sets.sources(studio, project)


@router.post("/rewards/lab/score", status_code=202)
def score_set(body: ScoreSet, studio: StudioDep, project: ProjectDep) -> dict[str, int]:
    """Ask the workers to score a set; what the same version has said before is taken over."""
    job_id = reward_sets.score(studio, project, body.set, body.reward_ids, again=body.again)
    return {"job_id": job_id}


@router.get("/rewards/lab/values")
def set_values(
    studio: StudioDep,
    project: ProjectDep,
    key: Set,
    reward_id: Ids = [],  # noqa: B006  FastAPI copies it
    simulated: bool = False,
) -> dict[str, Any]:
    """What rewards have said of a set, by columns, with how far each two go together."""
    return reward_lab.points(studio, project, key, reward_id, simulated=simulated)


@router.get("/rewards/lab/agreement")
def agreement(
    studio: StudioDep,
    project: ProjectDep,
    reward_id: Ids,
    study_id: int | None = None,
    simulated: bool = False,
    words: Annotated[list[str], Query(max_length=reward_lab.MOST_WORDS)] = [],  # noqa: B006
) -> dict[str, Any]:
    """How far rewards agree with people, by aspect and by kind of prompt, beside people's own
    agreement with one another."""
    return reward_lab.agreement(
        studio, project, reward_id, study_id=study_id, simulated=simulated, words=words
    )


@router.post("/rewards/lab/mix")
def mix(body: MixOf, studio: StudioDep, project: ProjectDep) -> dict[str, Any]:
    """Every stage of composition on the stored values of a set, picture by picture."""
    asked = reward_mixing.Mix(**body.model_dump())
    return reward_mixing.stages(studio, project, asked)


@router.get("/rewards/{reward_id}/versions")
def versions(reward_id: int, studio: StudioDep, _project: ProjectDep) -> list[dict[str, Any]]:
    """The versions of a reward, what changed between them, and which runs used each."""
    return reward_uses.versions(studio, reward_id)


@router.get("/rewards/{reward_id}/edits")
def edits_report(reward_id: int, studio: StudioDep, project: ProjectDep) -> dict[str, Any] | None:
    """What cheap edits did to the reward when it was last asked; null where nobody has."""
    return reward_edits.report(studio, project, reward_id)


@router.post("/rewards/{reward_id}/edits", status_code=202)
def try_edits(
    reward_id: int, body: Edits, studio: StudioDep, project: ProjectDep
) -> dict[str, int]:
    """Ask the workers whether the reward likes pictures better after cheap edits."""
    job_id = reward_edits.ask(
        studio, project, reward_id, body.set, pictures=body.pictures, edits=body.edits
    )
    return {"job_id": job_id}
