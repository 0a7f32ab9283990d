"""The JSON API under /api/v1, media, health, and the errors they share."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from app.api import (
    best_of_n,
    boards,
    bundles,
    comparisons,
    composition,
    errors,
    health,
    imports,
    jobs,
    label,
    me,
    media,
    pairs,
    people,
    projects,
    prompts,
    quality,
    reference,
    reward_lab,
    rewards,
    rollouts,
    runs,
    samples,
    sign_in,
    steering,
    studies,
    untrained,
)

PREFIX = "/api/v1"
NOUNS = (
    projects,
    prompts,
    samples,
    label,
    pairs,
    imports,
    reward_lab,
    rewards,
    runs,
    bundles,
    composition,
    steering,
    rollouts,
    comparisons,
    boards,
    best_of_n,
    untrained,
    studies,
    quality,
    jobs,
    sign_in,
    me,
    people,
)


def install(app: FastAPI) -> None:
    """Put every route of the API, media and health on `app`."""
    api = APIRouter(prefix=PREFIX)
    for noun in NOUNS:
        api.include_router(noun.router)
    api.include_router(reference.router)
    app.include_router(api)
    app.include_router(media.router)
    app.include_router(health.router)
    errors.install(app)
