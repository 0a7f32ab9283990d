"""Pairs that people are asked about: looked at, and made from samples that are there."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from app.api.deps import Body, Limit, ProjectDep, StudioDep
from backend.errors import InputError
from backend.services import pairs

router = APIRouter(tags=["pairs"])


class NewPairs(Body):
    """Samples of which pairs are made."""

    sample_ids: list[int] = Field(min_length=2, max_length=100_000)
    """Only samples of the same prompt are paired."""
    per_prompt: int | None = Field(None, ge=1)
    """Pairs of each prompt. None: as many as there are disjoint ones."""
    overlap: int = Field(1, ge=1, le=100)
    """By how many people each is judged."""
    seed: int = Field(0, ge=0, lt=2**53)


@router.get("/pairs")
def list_pairs(
    studio: StudioDep, project: ProjectDep, after: int | None = None, limit: Limit = 60
) -> dict[str, Any]:
    """Pairs of the label queue, newest first; `after` is the `next` of the page before."""
    return pairs.page(studio, project, after=after, limit=limit)


@router.post("/pairs", status_code=201)
def make_pairs(body: NewPairs, studio: StudioDep, project: ProjectDep) -> dict[str, list[int]]:
    """Queue pairs of samples that are there, to be judged."""
    made = pairs.make(studio, project, source="api", **body.model_dump())
    if not made:
        raise InputError(
            "No two of these samples are different pictures of one prompt of this project, so "
            "there is no pair among them."
        )
    return {"pair_ids": made}
