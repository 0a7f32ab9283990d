"""Best-of-N: draw N, keep the best by a reward; what that gains, and what others say of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.api.deps import ProjectDep, StudioDep
from backend.services import best_of_n

router = APIRouter(tags=["comparisons"])


@router.get("/best-of-n")
def read_best_of_n(
    studio: StudioDep,
    project: ProjectDep,
    policy_id: int,
    prompt_set_id: int,
    reward_id: int,
    gold_id: int | None = None,
    pictures: Annotated[
        int, Query(ge=1, le=10**9, description="Drawn after training, for equal calls.")
    ] = 1_000,
    depth: Annotated[int | None, Query(ge=1, description="The N to go up to.")] = None,
) -> dict[str, Any]:
    """The curve of the picked pictures against N, the picks themselves, and runs beside it."""
    return best_of_n.report(
        studio,
        project,
        policy_id=policy_id,
        prompt_set_id=prompt_set_id,
        reward_id=reward_id,
        gold_id=gold_id,
        pictures=pictures,
        depth=depth,
    )
