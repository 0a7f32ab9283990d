"""What the weights of a run come to, before it starts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.api.deps import Body, ProjectDep, StudioDep
from backend.services import composition

router = APIRouter(tags=["runs"])


class Asked(Body):
    """A run's settings."""

    config: dict[str, Any]


@router.post("/runs/composition")
def preview_composition(body: Asked, studio: StudioDep, project: ProjectDep) -> dict[str, Any]:
    """Each reward's influence, and normalising before or after the sum side by side, on values that
    the project has stored."""
    return composition.preview(studio, project, body.config)
