"""Comparisons: two policies on the same seeds, judged blind."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from app.api.deps import Body, ProjectDep, StudioDep
from backend.services import comparisons

router = APIRouter(tags=["comparisons"])


class NewComparison(Body):
    """Two policies and what they are to draw."""

    name: str = ""
    base_policy_id: int
    tuned_policy_id: int
    prompt_set_id: int
    num_prompts: int = Field(64, ge=1, le=10_000)
    seed: int = Field(0, ge=0, lt=2**53)


@router.get("/comparisons")
def list_comparisons(studio: StudioDep, project: ProjectDep) -> list[dict[str, Any]]:
    """Comparisons of the project with their results, newest first."""
    return comparisons.rows(studio, project)


@router.post("/comparisons", status_code=201)
def create_comparison(
    body: NewComparison, studio: StudioDep, project: ProjectDep
) -> dict[str, Any]:
    """Ask the workers to draw both policies with the same seeds."""
    return comparisons.create(studio, project, **body.model_dump())


@router.get("/comparisons/{comparison_id}")
def read_comparison(
    comparison_id: int, studio: StudioDep, _project: ProjectDep, reveal: bool = False
) -> dict[str, Any]:
    """One comparison; `reveal=1` adds the pictures and says which is which."""
    return comparisons.get(studio, comparison_id, reveal=reveal)
