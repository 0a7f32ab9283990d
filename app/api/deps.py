"""What every route may ask for: the studio, who is asking, and which project is open."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from app import door
from app.door import Identity
from backend.services import projects
from backend.services.studio import Studio


class Body(BaseModel):
    """Base of what clients send: an unknown key is refused, so that a typing error is not
    silence."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


def get_studio(request: Request) -> Studio:
    """The studio that the app was made with."""
    studio: Studio = request.app.state.studio
    return studio


StudioDep = Annotated[Studio, Depends(get_studio)]


async def who_asks(request: Request, studio: StudioDep) -> Identity:
    """Who asks, as the door has found; an app without the door (in tests) asks here."""
    found: Identity | None = request.scope.get(door.IDENTITY)
    if found is None:
        found = await run_in_threadpool(door.identify, studio, request)
    return found


IdentityDep = Annotated[Identity, Depends(who_asks)]


async def current_user(identity: IdentityDep) -> dict[str, Any]:
    """The user who asks: {id, name, kind, role, settings}. In a studio where nobody signs in that
    is the one person at this machine."""
    return identity.user


UserDep = Annotated[dict[str, Any], Depends(current_user)]


def current_project(
    studio: StudioDep,
    user: UserDep,
    project: Annotated[int | None, Query(description="Another project than the open one.")] = None,
) -> int:
    """The project a request is about: the one it names, else the one the user has open."""
    if project is not None:
        return int(projects.get(studio, project)["id"])
    return projects.current_id(studio, user)


ProjectDep = Annotated[int, Depends(current_project)]
Limit = Annotated[int, Query(ge=1, le=500)]
Offset = Annotated[int, Query(ge=0)]
