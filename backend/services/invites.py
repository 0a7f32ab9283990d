"""Invitations: a link that lets one person in once, in a role, perhaps for some studies alone.

The link's secret is shown once and kept as its SHA-256. The same kind of link lets somebody who is
already in choose a new password.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.errors import Conflict, InputError, NotFound
from backend.services import accounts, audit, passwords, seals, users
from backend.services.accounts import By
from backend.services.studio import Studio
from db.tables import Account, Invite, SignIn, Study, User

DAYS = 7.0
MOST_DAYS = 90.0
SPENT = "This link has been used, taken back or has run out; ask whoever sent it for a new one."


@dataclass(frozen=True)
class NewInvite:
    """What a link is for."""

    role: str = "annotator"
    studies: tuple[int, ...] = ()
    """The only studies this person may judge; none: as everybody."""
    note: str = ""
    """For whom it is, for the list of open links."""
    days: float = DAYS
    """How long it holds."""
    user_id: int | None = None
    """Whose password it renews instead of letting a new person in."""


def make(studio: Studio, by: By, wanted: NewInvite) -> dict[str, Any]:
    """A link that holds once; `secret` (its address is /join/secret) is in the answer and never
    again."""
    accounts.check_role(wanted.role)
    if not 0 < wanted.days <= MOST_DAYS:
        raise InputError(f"A link holds for up to {MOST_DAYS:.0f} days, not {wanted.days:g}.")
    if len(wanted.note) > 200:
        raise InputError("The note on a link has at most 200 characters.")
    if wanted.role != "admin" or wanted.user_id is not None:
        accounts.refuse_without_admin(studio)
    secret = secrets.token_urlsafe(32)
    with studio.write() as session:
        accounts.study_names(session, list(wanted.studies))
        role, text = wanted.role, f"made a link for a new {wanted.role}"
        if wanted.user_id is not None:
            user = users.find(session, wanted.user_id)
            if session.get(Account, user.id) is None:
                raise Conflict(f"{user.name} has no account; send an invitation instead.")
            role, text = user.role, f"made a link for a new password of {user.name}"
        row = Invite(
            digest=seals.digest(secret),
            role=role,
            studies=list(wanted.studies),
            note=wanted.note.strip(),
            user_id=wanted.user_id,
            made_by=by["id"] if by else None,
            expires_at=time.time() + wanted.days * 86400,
        )
        session.add(row)
        audit.note(session, by, "invite", text, studies=list(wanted.studies), note=row.note)
        session.flush()
        return {**_row(row), "secret": secret}


def look(studio: Studio, secret: str) -> dict[str, Any]:
    """What somebody who opens the link is told: {role, studies, name, expires_at}; of studies only
    how many, since a name may say which models are judged."""
    with studio.read() as session:
        row = _open(session, secret)
        user = session.get(User, row.user_id) if row.user_id is not None else None
        return {
            "role": row.role,
            "studies": len(row.studies),
            "name": user.name if user is not None else None,
            "expires_at": row.expires_at,
        }


def accept(studio: Studio, secret: str, name: str, password: str) -> dict[str, Any]:
    """Come in by a link with a name and a password of one's own; returns the user."""
    told = look(studio, secret)
    clean = told["name"] or name.strip()
    accounts.check(clean, told["role"])
    passwords.refuse_weak(password, clean)
    kept = passwords.kept(studio.settings, password)
    return _use(studio, secret, clean, {"password": kept})


def accept_subject(
    studio: Studio, secret: str, name: str, subject: str, email: str
) -> dict[str, Any]:
    """Come in by a link as whom the OIDC provider says one is; returns the user."""
    accounts.check(name, "annotator")
    return _use(studio, secret, name, {"subject": subject, "email": email})


def revoke(studio: Studio, by: By, invite_id: int) -> None:
    """Take a link back that nobody has used."""
    with studio.write() as session:
        row = session.get(Invite, invite_id)
        if row is None:
            raise NotFound(f"There is no link {invite_id}.")
        if row.used_at is not None:
            raise Conflict("This link has been used already; close the account instead.")
        if row.revoked_at is None:
            row.revoked_at = time.time()
            audit.note(session, by, "invite", f"took back a link for {row.note or row.role}")


def rows(studio: Studio) -> list[dict[str, Any]]:
    """Links that still hold, newest first."""
    with studio.read() as session:
        found = session.scalars(select(Invite).where(*_holds()).order_by(Invite.id.desc()))
        return [_row(row) for row in found]


def _use(studio: Studio, secret: str, name: str, account: dict[str, Any]) -> dict[str, Any]:
    try:
        with studio.write() as session:
            row = _open(session, secret)
            taken = session.scalars(
                update(Invite)
                .where(Invite.id == row.id, *_holds())
                .values(used_at=time.time())
                .returning(Invite.id)
            ).all()
            if not taken:  # somebody else was faster
                raise NotFound(SPENT)
            user = (
                _renewed(session, row, account)
                if row.user_id
                else _joined(session, row, name, account)
            )
            return users.row(user)
    except IntegrityError:
        raise Conflict(f"There is already a user '{name}'; choose another name.") from None


def _joined(session: Session, row: Invite, name: str, account: dict[str, Any]) -> User:
    """A new person. A name that gave labels here before cannot be taken by whoever likes it."""
    if name == users.LOCAL or session.scalar(select(User.id).where(User.name == name)) is not None:
        raise Conflict(f"There is already a user '{name}'; choose another name.")
    user = User(name=name, kind="person", role=row.role)
    session.add(user)
    session.flush()
    session.add(Account(user_id=user.id, studies=list(row.studies), **account))
    for study in session.scalars(select(Study).where(Study.id.in_(row.studies))):
        people = study.config.get("people")
        if people:
            study.config = {**study.config, "people": [*people, user.id]}
    audit.note(session, user.id, "people", f"came in by a link as {row.role}", invite=row.id)
    return user


def _renewed(session: Session, row: Invite, account: dict[str, Any]) -> User:
    found = session.get_one(Account, row.user_id)
    for name, value in account.items():
        setattr(found, name, value)
    session.execute(delete(SignIn).where(SignIn.user_id == row.user_id))
    audit.note(session, row.user_id, "password", "chose a new password by a link", invite=row.id)
    return users.find(session, found.user_id)


def _holds() -> list[Any]:
    return [Invite.used_at.is_(None), Invite.revoked_at.is_(None), Invite.expires_at > time.time()]


def _open(session: Session, secret: str) -> Invite:
    found = session.scalar(select(Invite).where(Invite.digest == seals.digest(secret), *_holds()))
    if found is None:
        raise NotFound(SPENT)
    return found


def _row(row: Invite) -> dict[str, Any]:
    return {
        "id": row.id,
        "role": row.role,
        "studies": list(row.studies),
        "note": row.note,
        "user_id": row.user_id,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
    }
