"""Rewards: what kinds there are, those of the project, learning one, scoring with one."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field

from app import forms
from app.api.deps import Body, Limit, ProjectDep, StudioDep
from backend.preferences.annotators import WEIGH, Weigh
from backend.registry import rewards as kinds
from backend.rewards._heads import HEAD, HeadName
from backend.services import judge_audits, live_reward, rewards

router = APIRouter(tags=["rewards"])


class NewReward(Body):
    """A configured scorer."""

    name: str
    kind: str
    """Key of a file in backend/rewards."""
    config: dict[str, Any] = Field(default_factory=dict)


class Learn(Body):
    """A reward to learn from labels."""

    name: str
    kind: str = "learned"
    """learned: a model of its own; directional: likeness with one direction of taste."""
    include_simulated: bool = False
    """Learn from the labels of simulated annotators too."""
    weigh: Weigh = WEIGH
    """people: answers count by a model of who gave them, where there are two or more; alike: all
    the same. Of a reward of its own; a direction counts all alike."""
    head: HeadName = HEAD
    """bayes: a Bayesian logistic fit; neural: small networks, for some thousand pairs."""
    seed: int = Field(0, ge=0, lt=2**53)


class ScoreSamples(Body):
    """Samples to score, newest first."""

    policy_id: int | None = None
    """Those of one policy alone."""
    limit: int | None = Field(None, ge=1)


@router.get("/reward-kinds")
def list_kinds() -> list[dict[str, Any]]:
    """Every kind of reward, with the JSON schema of its settings and the form drawn from it."""
    return [
        {**row, "fields": forms.form(kinds.get(row["kind"]).Config)} for row in rewards.kind_rows()
    ]


@router.get("/rewards")
def list_rewards(studio: StudioDep, project: ProjectDep) -> list[dict[str, Any]]:
    """The rewards of the project, newest version first."""
    return rewards.rows(studio, project)


@router.post("/rewards", status_code=201)
def create_reward(body: NewReward, studio: StudioDep, project: ProjectDep) -> dict[str, Any]:
    """Configure a reward, or the next version of the one with that name."""
    return rewards.create(studio, project, body.name, body.kind, body.config)


@router.post("/rewards/learn", status_code=202)
def learn(body: Learn, studio: StudioDep, project: ProjectDep) -> dict[str, int]:
    """Ask the workers to learn a reward from the project's labels."""
    job_id = rewards.learn(
        studio,
        project,
        body.name,
        include_simulated=body.include_simulated,
        seed=body.seed,
        kind=body.kind,
        weigh=body.weigh,
        head=body.head,
    )
    return {"job_id": job_id}


@router.get("/rewards/live")
def live_reward_state(
    studio: StudioDep, project: ProjectDep, simulated: bool = False
) -> dict[str, Any]:
    """The reward as the project's labels stand now, refitted on the spot, with its figures."""
    return live_reward.state(studio, project, simulated=simulated)


@router.post("/rewards/references", status_code=202)
def store_references(body: ScoreSamples, studio: StudioDep, project: ProjectDep) -> dict[str, int]:
    """Keep samples as references of an adversarial reward; the job's result has their hash."""
    job_id = rewards.store_references(studio, project, policy_id=body.policy_id, limit=body.limit)
    return {"job_id": job_id}


@router.get("/rewards/{reward_id}")
def read_reward(reward_id: int, studio: StudioDep, _project: ProjectDep) -> dict[str, Any]:
    """One reward, and how many samples it has scored."""
    return {**rewards.get(studio, reward_id), "scored": rewards.score_counts(studio, reward_id)}


@router.post("/rewards/{reward_id}/score", status_code=202)
def score(
    reward_id: int, body: ScoreSamples, studio: StudioDep, _project: ProjectDep
) -> dict[str, int]:
    """Ask the workers to score samples."""
    job_id = rewards.score(studio, reward_id, policy_id=body.policy_id, limit=body.limit)
    return {"job_id": job_id}


class Audit(Body):
    """How much an audit asks."""

    pairs: int = Field(200, ge=20, le=2000)
    """Pairs whose better picture is known."""
    groups: int = Field(32, ge=4, le=256)
    """Groups whose spread is measured."""
    own: bool = False
    """On pairs that the project's own people decided, in place of the pocket world's."""
    simulated: bool = False
    """Count answers of simulated annotators as people's."""


@router.post("/rewards/{reward_id}/audit", status_code=202)
def audit(reward_id: int, body: Audit, studio: StudioDep, _project: ProjectDep) -> dict[str, int]:
    """Ask the workers to put a judge through the tests of its audit."""
    return {"job_id": judge_audits.ask(studio, reward_id, **body.model_dump())}


@router.get("/rewards/{reward_id}/samples")
def scored_samples(
    reward_id: int,
    studio: StudioDep,
    _project: ProjectDep,
    order: Literal["high", "low"] = "high",
    limit: Limit = 24,
) -> list[dict[str, Any]]:
    """The samples this reward likes most or least."""
    return rewards.scored_samples(studio, reward_id, order=order, limit=limit)
