"""Samples: drawn by the workers, looked at by people."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from app.api.deps import Body, Limit, ProjectDep, StudioDep
from backend.services import samples

router = APIRouter(tags=["samples"])


class Generate(Body):
    """Pictures to draw."""

    prompt_set_id: int
    policy_id: int
    num_prompts: int = Field(48, ge=1, le=100_000)
    """The first so many of the set."""
    samples_per_prompt: int = Field(4, ge=1, le=64)
    num_steps: int = Field(10, ge=1, le=200)
    """Denoising steps."""
    seed: int = Field(0, ge=0, lt=2**53)
    make_pairs: bool = True
    """Queue pairs of them to be judged."""


@router.post("/generate", status_code=202)
def generate(body: Generate, studio: StudioDep, _project: ProjectDep) -> dict[str, int]:
    """Ask the workers to draw."""
    return {"job_id": samples.generate(studio, **body.model_dump())}


@router.get("/samples")
def list_samples(
    studio: StudioDep,
    project: ProjectDep,
    policy_id: int | None = None,
    prompt_id: int | None = None,
    after: int | None = None,
    limit: Limit = 60,
) -> dict[str, Any]:
    """Samples, newest first; `after` is the `next` of the page before."""
    return samples.page(
        studio, project, policy_id=policy_id, prompt_id=prompt_id, after=after, limit=limit
    )
