"""Rollouts: groups of siblings as GRPO compares them, and one group in full."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter

from app.api.deps import Body, Limit, ProjectDep, StudioDep
from backend.services import rollouts

router = APIRouter(tags=["rollouts"])


class PairOf(Body):
    """Two leaves of a group, by their number in it; left out, the best and the worst."""

    best: int | None = None
    worst: int | None = None


@router.get("/runs/{run_id}/rollouts")
def list_groups(  # noqa: PLR0913 - one for each filter
    run_id: int,
    studio: StudioDep,
    _project: ProjectDep,
    step_min: int | None = None,
    step_max: int | None = None,
    prompt: str = "",
    kept: bool | None = None,
    sort: Literal["newest", "spread", "mean"] = "newest",
    after: str | None = None,
    limit: Limit = 20,
) -> dict[str, Any]:
    """Groups that match, with their leaves by falling advantage."""
    wanted = rollouts.Filter(step_min, step_max, prompt, kept, sort)
    return rollouts.page(studio, run_id, wanted, after=after, limit=limit)


@router.get("/rollouts/{group_id}")
def read_group(group_id: int, studio: StudioDep, _project: ProjectDep) -> dict[str, Any]:
    """One group with all its nodes."""
    return rollouts.get(studio, group_id)


@router.post("/rollouts/{group_id}/pair", status_code=201)
def make_pair(
    group_id: int, body: PairOf, studio: StudioDep, _project: ProjectDep
) -> dict[str, int]:
    """Queue two rollouts for people to judge."""
    return {"pair_id": rollouts.make_pair(studio, group_id, body.best, body.worst)}
