"""The way in and out: sign in, sign out, what an invitation is for, coming in by it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from app import door
from app.api.deps import Body, StudioDep
from backend.services import invites, sign_ins
from backend.services.sign_ins import Opened
from backend.services.studio import Studio

router = APIRouter(tags=["sign-in"])


class Credentials(Body):
    """Who wants to come in."""

    name: str
    password: str


class Joining(Body):
    """What somebody chooses who comes in by a link."""

    name: str = ""
    """Left out by whoever is in already and chooses a new password."""
    password: str


@router.get("/sign-in")
def read_sign_in(studio: StudioDep, request: Request) -> dict[str, Any]:
    """How one signs in here, and who is signed in already."""
    cookie = request.cookies.get(door.cookie_name(studio), "")
    user = sign_ins.user_of(studio, cookie) if cookie else None
    return {
        "is_needed": sign_ins.is_needed(studio),
        "has_provider": studio.settings.asks_provider(),
        "name": user["name"] if user else None,
    }


@router.post("/sign-in")
def sign_in(
    body: Credentials, studio: StudioDep, request: Request, response: Response
) -> dict[str, Any]:
    """Sign in with name and password; the answer sets the cookie."""
    opened = sign_ins.by_password(studio, body.name, body.password, **about(request))
    return let_in(studio, request, response, opened)


@router.post("/sign-out")
def sign_out(studio: StudioDep, request: Request, response: Response) -> dict[str, bool]:
    """End this sign-in; its cookie holds nowhere any more."""
    name = door.cookie_name(studio)
    sign_ins.close(studio, request.cookies.get(name, ""))
    response.delete_cookie(name, path="/")
    return {"ok": True}


@router.get("/join/{secret}")
def read_invite(secret: str, studio: StudioDep) -> dict[str, Any]:
    """What a link is for."""
    return {**invites.look(studio, secret), "has_provider": studio.settings.asks_provider()}


@router.post("/join/{secret}")
def join(
    secret: str, body: Joining, studio: StudioDep, request: Request, response: Response
) -> dict[str, Any]:
    """Come in by a link with a name and a password of one's own; the answer sets the cookie."""
    user = invites.accept(studio, secret, body.name, body.password)
    return let_in(
        studio, request, response, sign_ins.open_for(studio, user["id"], **about(request))
    )


def let_in(studio: Studio, request: Request, response: Response, opened: Opened) -> dict[str, Any]:
    """Give the browser its cookie: out of reach of scripts, and of pages of others for writes."""
    response.set_cookie(
        door.cookie_name(studio),
        opened.cookie,
        max_age=sign_ins.LASTS_S,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
        path="/",
    )
    return {"name": opened.user["name"], "role": opened.user["role"]}


def about(request: Request) -> dict[str, str]:
    """Where a sign-in comes from, so that its owner knows it again."""
    address = request.client.host if request.client else ""
    return {"address": address, "browser": request.headers.get("user-agent", "")}
