"""Accounts: who may come in, in which role, and what an admin may change of it.

The studio never loses its last admin who can sign in: what would take it away is refused.
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import case, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.errors import Conflict, Forbidden, InputError, NotFound
from backend.services import audit, passwords, users
from backend.services.studio import Studio
from db.tables import Account, Label, SignIn, Study, User

By = dict[str, Any] | None
"""Who does it: a user as the API knows it, or None for the command line."""


def add(
    studio: Studio, name: str, role: str, password: str, *, by: By = None, email: str = ""
) -> dict[str, Any]:
    """Add a person who can sign in; somebody of that name without an account gets one.

    With an e-mail address the password may be empty: that person signs in with the provider.
    """
    clean = name.strip()
    check(clean, role)
    if password or not email:
        passwords.refuse_weak(password, clean)
    kept = passwords.kept(studio.settings, password) if password else None
    try:
        with studio.write() as session:
            user = session.scalar(select(User).where(User.name == clean))
            if user is None:
                user = User(name=clean, kind="person", role=role)
                session.add(user)
                session.flush()
            if user.kind != "person" or session.get(Account, user.id) is not None:
                raise Conflict(f"There is already a user '{clean}'; choose another name.")
            user.role = role
            session.add(Account(user_id=user.id, password=kept, email=email.strip()))
            audit.note(session, by, "people", f"added {clean} as {role}", user_id=user.id)
            session.flush()
            return users.row(user)
    except IntegrityError:
        raise Conflict(f"There is already a user '{clean}'; choose another name.") from None


def check(name: str, role: str) -> None:
    """Refuse a name or a role that cannot be."""
    fault = users.fault_of(name)
    if fault:
        raise InputError(f"{fault[0].upper()}{fault[1:]}.")
    check_role(role)


def check_role(role: str) -> None:
    """Refuse a role that is none."""
    if role not in users.ROLES:
        raise InputError(f"Role '{role}' is unknown; it is one of {', '.join(users.ROLES)}.")


def by_name(studio: Studio, name: str) -> dict[str, Any]:
    """The person of that name who has an account."""
    with studio.read() as session:
        user = session.scalar(
            select(User).join(Account, Account.user_id == User.id).where(User.name == name)
        )
        if user is None:
            raise NotFound(f"Nobody called '{name}' can sign in; 'palate user list' shows who can.")
        return users.row(user)


def set_password(studio: Studio, user_id: int, password: str, *, by: By = None) -> None:
    """Give a new password and end every sign-in of that person."""
    with studio.read() as session:
        name = users.find(session, user_id).name
    passwords.refuse_weak(password, name)
    kept = passwords.kept(studio.settings, password)
    with studio.write() as session:
        account = session.get(Account, user_id)
        if account is None:
            account = Account(user_id=user_id)
            session.add(account)
        account.password = kept
        session.execute(delete(SignIn).where(SignIn.user_id == user_id))
        audit.note(session, by, "password", f"set a new password for {name}", user_id=user_id)


def change_password(studio: Studio, user: dict[str, Any], old: str, new: str) -> None:
    """A person's own change: the old password is asked for, unless there was none."""
    with studio.read() as session:
        account = session.get(Account, user["id"])
        kept = account.password if account is not None else None
    if kept is not None and not passwords.fits(studio.settings, kept, old):
        raise Forbidden("That is not your present password; type it as when you sign in.")
    set_password(studio, user["id"], new, by=user)


def change(
    studio: Studio,
    by: By,
    user_id: int,
    *,
    role: str | None = None,
    disabled: bool | None = None,
    studies: list[int] | None = None,
) -> dict[str, Any]:
    """Change a person's role, close or open the account, or say which studies are theirs.

    Returns what it was before, {role, disabled, studies}, so that the change can be taken back.
    """
    with studio.write() as session:
        studio.store.serialise(session, "people")
        user, account = _found(session, user_id)
        before = _rights(user, account)
        if role is not None and role != user.role:
            check_role(role)
            _keep_an_admin(session, user, account, leaves=role != "admin")
            audit.note(
                session,
                by,
                "role",
                f"made {user.name} {role}",
                user_id=user_id,
                was=user.role,
                now=role,
            )
            user.role = role
        if disabled is not None and disabled != before["disabled"]:
            _keep_an_admin(session, user, account, leaves=disabled)
            account.disabled_at = time.time() if disabled else None
            if disabled:
                session.execute(delete(SignIn).where(SignIn.user_id == user_id))
            text = f"{'closed' if disabled else 'opened'} the account of {user.name}"
            audit.note(session, by, "people", text, user_id=user_id)
        if studies is not None and studies != account.studies:
            names = study_names(session, studies)
            account.studies = list(studies)
            text = f"let {user.name} judge {', '.join(names) or 'what everybody may'}"
            audit.note(session, by, "people", text, user_id=user_id, studies=studies)
    return before


def has_password(studio: Studio, user_id: int) -> bool:
    """Whether a user signs in with a password."""
    with studio.read() as session:
        account = session.get(Account, user_id)
        return account is not None and account.password is not None


def rows(studio: Studio) -> list[dict[str, Any]]:
    """Everybody who can sign in, by name, with what they have done."""
    seen = (
        select(SignIn.user_id, func.max(SignIn.created_at).label("at"))
        .group_by(SignIn.user_id)
        .subquery()
    )
    query = (
        select(User, Account, seen.c.at)
        .join(Account, Account.user_id == User.id)
        .outerjoin(seen, seen.c.user_id == User.id)
        .order_by(User.name)
    )
    with studio.read() as session:
        found = list(session.execute(query))
        ids = [user.id for user, _, _ in found]
        counts: dict[int, int] = {
            user_id: count
            for user_id, count in session.execute(
                select(Label.user_id, func.sum(case((Label.choice == "retract", -1), else_=1)))
                .where(Label.user_id.in_(ids))
                .group_by(Label.user_id)
            )
        }
        return [
            {
                "id": user.id,
                "name": user.name,
                **_rights(user, account),
                "email": account.email,
                "has_password": account.password is not None,
                "signed_in_at": at,
                "created_at": account.created_at,
                "labels": counts.get(user.id, 0),
            }
            for user, account, at in found
        ]


def studies(studio: Studio) -> list[dict[str, Any]]:
    """Studies that people may be invited to: {id, name}, newest first."""
    with studio.read() as session:
        found = session.execute(select(Study.id, Study.name).order_by(Study.id.desc()).limit(500))
        return [{"id": study_id, "name": name} for study_id, name in found]


def study_names(session: Session, ids: list[int]) -> list[str]:
    """Names of studies; an id that is none is refused."""
    named: dict[int, str] = {
        study_id: name
        for study_id, name in session.execute(select(Study.id, Study.name).where(Study.id.in_(ids)))
    }
    for study_id in ids:
        if study_id not in named:
            raise NotFound(f"There is no study {study_id}; choose one of those that are there.")
    return [named[study_id] for study_id in ids]


def refuse_without_admin(studio: Studio) -> None:
    """Raise while no admin could sign in: the first account would lock everybody else out."""
    with studio.read() as session:
        if not _admins(session):
            raise Conflict(
                "As soon as somebody has an account, everybody signs in, and no admin could yet; "
                "set a password for yourself on the page You first."
            )


def _found(session: Session, user_id: int) -> tuple[User, Account]:
    user = users.find(session, user_id)
    account = session.get(Account, user_id, with_for_update=True)
    if account is None:
        raise Conflict(f"{user.name} has no account, so there is nothing to change of it.")
    return user, account


def _rights(user: User, account: Account) -> dict[str, Any]:
    return {
        "role": user.role,
        "disabled": account.disabled_at is not None,
        "studies": list(account.studies),
    }


def _admins(session: Session) -> set[int]:
    query = (
        select(User.id)
        .join(Account, Account.user_id == User.id)
        .where(User.role == "admin", Account.disabled_at.is_(None))
    )
    return set(session.scalars(query))


def _keep_an_admin(session: Session, user: User, account: Account, *, leaves: bool) -> None:
    is_admin = user.role == "admin" and account.disabled_at is None
    if leaves and is_admin and _admins(session) == {user.id}:
        raise Conflict(f"{user.name} is the only admin; make somebody else admin first.")
