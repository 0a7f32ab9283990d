"""What belongs to whoever asks: account, sign-ins, keys for programs, own judgements."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from app.api import sign_in
from app.api.deps import Body, IdentityDep, Limit, StudioDep, UserDep
from backend.errors import Forbidden
from backend.services import accounts, history, sign_ins, tokens, users

router = APIRouter(prefix="/me", tags=["me"])


class NewPassword(Body):
    """A password to change."""

    old: str = ""
    """The present one; empty while there is none."""
    new: str


class NewToken(Body):
    """A key for a program."""

    name: str
    """What it is for."""
    scopes: list[Literal["read", "label", "write", "admin"]] = Field(max_length=4)
    days: float | None = Field(None, gt=0, le=3650)
    """When it ends by itself; left out, never."""


@router.get("")
def read_me(studio: StudioDep, identity: IdentityDep) -> dict[str, Any]:
    """The user, where they are signed in, and their keys."""
    user = identity.user
    return {
        "id": user["id"],
        "name": user["name"],
        "role": user["role"],
        "signs_in": sign_ins.is_needed(studio),
        "has_password": accounts.has_password(studio, user["id"]),
        "sign_ins": sign_ins.rows(studio, user["id"], identity.cookie),
        "tokens": tokens.rows(studio, user["id"]),
        "scopes": [scope for scope, least in tokens.SCOPES.items() if users.may(user, least)],
    }


@router.get("/history")
def read_history(
    studio: StudioDep, user: UserDep, after: int | None = None, limit: Limit = 50
) -> dict[str, Any]:
    """The user's own judgements, newest first, `after` a label's id."""
    return history.page(studio, user["id"], after=after, limit=limit)


@router.post("/password")
def change_password(
    body: NewPassword,
    studio: StudioDep,
    identity: IdentityDep,
    request: Request,
    response: Response,
) -> dict[str, Any]:
    """Change the password; every other sign-in of this user ends."""
    _refuse_keys(identity.scopes)
    accounts.change_password(studio, identity.user, body.old, body.new)
    opened = sign_ins.open_for(studio, identity.user["id"], **sign_in.about(request))
    return sign_in.let_in(studio, request, response, opened)


@router.delete("/sign-ins/{short}")
def end_sign_in(short: str, studio: StudioDep, user: UserDep) -> dict[str, bool]:
    """End one sign-in, of a browser left behind."""
    sign_ins.close_one(studio, user["id"], short)
    return {"ok": True}


@router.post("/tokens", status_code=201)
def make_token(body: NewToken, studio: StudioDep, identity: IdentityDep) -> dict[str, Any]:
    """Make a key; its secret is in this answer alone."""
    _refuse_keys(identity.scopes)
    return tokens.make(studio, identity.user, body.name, list(body.scopes), body.days)


@router.delete("/tokens/{token_id}")
def end_token(token_id: int, studio: StudioDep, user: UserDep) -> dict[str, bool]:
    """End a key."""
    tokens.revoke(studio, user, token_id)
    return {"ok": True}


def _refuse_keys(scopes: frozenset[str] | None) -> None:
    """A key that leaked must not become another key or a password."""
    if scopes is not None:
        raise Forbidden("A key cannot make keys or passwords; sign in with a browser.")
