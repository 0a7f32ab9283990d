"""/healthz says that the app runs; /readyz says whether it can do its work."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from app.api.deps import StudioDep
from backend.services import health

router = APIRouter(tags=["health"])


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(studio: StudioDep, response: Response) -> dict[str, Any]:
    """Database, Redis and workers; 503 while the database or Redis is away."""
    found = health.check(studio)
    if not found["ready"]:
        response.status_code = 503
    return found
