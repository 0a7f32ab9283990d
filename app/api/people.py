"""Who may come in and what they may: accounts, invitations, everybody's keys, the audit trail."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field

from app.api.deps import Body, Limit, StudioDep, UserDep
from backend.services import accounts, audit, invites, sign_ins, storage, tokens
from backend.services.invites import NewInvite

router = APIRouter(prefix="/people", tags=["people"])

Role = Literal["annotator", "researcher", "admin"]


class Change(Body):
    """What is to be different of a person; what is left out stays."""

    role: Role | None = None
    disabled: bool | None = None
    """Whether the account is closed."""
    studies: list[int] | None = Field(None, max_length=200)
    """The only studies this person may judge; empty: as everybody."""


class Invitation(Body):
    """A link to make."""

    role: Role = "annotator"
    studies: list[int] = Field(default_factory=list, max_length=200)
    """The only studies this person may judge; empty: as everybody."""
    note: str = ""
    """For whom it is."""
    days: float = Field(invites.DAYS, gt=0, le=invites.MOST_DAYS)


@router.get("")
def list_people(studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """Accounts, links that hold, everybody's keys, and the studies one may be invited to."""
    return {
        "me": user["id"],
        "signs_in": sign_ins.is_needed(studio),
        "people": accounts.rows(studio),
        "invites": invites.rows(studio),
        "tokens": tokens.rows(studio),
        "studies": accounts.studies(studio),
    }


@router.get("/storage")
def read_storage(studio: StudioDep) -> dict[str, Any]:
    """What files and database take up, and the room that is left."""
    return storage.facts(studio)


@router.get("/audit")
def read_audit(
    studio: StudioDep, action: str = "", after: int | None = None, limit: Limit = 50
) -> dict[str, Any]:
    """The audit trail, newest first, `after` a row's id; `action` is one kind alone."""
    return audit.page(studio, action=action, after=after, limit=limit)


@router.patch("/{user_id}")
def change_person(user_id: int, body: Change, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """Change role, closed or open, or studies; answers with what they were before."""
    return accounts.change(studio, user, user_id, **body.model_dump())


@router.post("/{user_id}/link", status_code=201)
def make_password_link(user_id: int, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """A link by which this person chooses a new password; its secret is in this answer alone."""
    return invites.make(studio, user, NewInvite(user_id=user_id, days=1.0))


@router.post("/invites", status_code=201)
def make_invite(body: Invitation, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """A link that lets one person in; its secret is in this answer alone."""
    wanted = NewInvite(body.role, tuple(body.studies), body.note, body.days)
    return invites.make(studio, user, wanted)


@router.delete("/invites/{invite_id}")
def revoke_invite(invite_id: int, studio: StudioDep, user: UserDep) -> dict[str, bool]:
    """Take a link back."""
    invites.revoke(studio, user, invite_id)
    return {"ok": True}


@router.delete("/tokens/{token_id}")
def end_token(token_id: int, studio: StudioDep, user: UserDep) -> dict[str, bool]:
    """End anybody's key."""
    tokens.revoke(studio, user, token_id)
    return {"ok": True}
