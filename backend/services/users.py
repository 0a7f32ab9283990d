"""Who labels: people, and annotators that are simulated, never confused with each other."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.errors import Conflict, InputError, NotFound
from backend.services.studio import Studio
from db.tables import User

ROLES = ("annotator", "researcher", "admin")
NOUNS = {"person": "a person"}
LOCAL = "you"
"""The one implicit person of a studio that only its own machine can reach."""


def local(studio: Studio) -> dict[str, Any]:
    """The person at this machine, made on first use."""
    return _named(studio, LOCAL, "person", "admin", {})


def simulated(studio: Studio, name: str, settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """A simulated annotator by name, made on first use; refuses the name of a person."""
    row = _named(studio, name, "simulated", "annotator", settings or {})
    if row["kind"] != "simulated":
        raise Conflict(f"'{name}' is a person; give the simulated annotator another name.")
    return row


def create(studio: Studio, name: str, role: str = "annotator") -> dict[str, Any]:
    """Add a person."""
    clean = name.strip()
    fault = fault_of(clean)
    if fault:
        raise InputError(f"{fault[0].upper()}{fault[1:]}.")
    if role not in ROLES:
        raise InputError(f"Role '{role}' is unknown; it is one of {', '.join(ROLES)}.")
    try:
        with studio.write() as session:
            user = User(name=clean, kind="person", role=role)
            session.add(user)
            session.flush()
            return _row(user)
    except IntegrityError:
        raise Conflict(f"There is already a user '{clean}'; choose another name.") from None


def fault_of(name: str) -> str:
    """What is wrong with the name of a user, or an empty string."""
    if not 1 <= len(name) <= 100 or not name.isprintable():
        return "a user needs a name of 1 to 100 printable characters"
    return ""


def annotator(session: Session, name: str, kind: str) -> int:
    """Id of whoever gave labels that come from elsewhere, made when nobody here has the name.

    `kind` is person, simulated, or implicit: clicks, likes and downloads that were no judgement.
    """
    user = session.scalar(select(User).where(User.name == name))
    if user is None:
        user = User(name=name, kind=kind, role="admin" if name == LOCAL else "annotator")
        session.add(user)
        session.flush()
    if user.kind != kind:
        here, there = (NOUNS.get(one, one) for one in (kind, user.kind))
        raise InputError(f"annotator '{name}' is {here} in the file, but {there} in this studio.")
    return user.id


def rows(studio: Studio) -> list[dict[str, Any]]:
    """Everybody, in the order in which they came."""
    with studio.read() as session:
        return [_row(user) for user in session.scalars(select(User).order_by(User.id))]


def get(studio: Studio, user_id: int) -> dict[str, Any]:
    """One user."""
    with studio.read() as session:
        return _row(find(session, user_id))


def remember(studio: Studio, user_id: int, **settings: Any) -> None:
    """Keep settings of a user, such as the project that is open."""
    with studio.write() as session:
        user = find(session, user_id)
        user.settings = {**user.settings, **settings}


def find(session: Session, user_id: int) -> User:
    """The row of a user, or NotFound."""
    user = session.get(User, user_id)
    if user is None:
        raise NotFound(f"There is no user {user_id}.")
    return user


def _named(
    studio: Studio, name: str, kind: str, role: str, settings: dict[str, Any]
) -> dict[str, Any]:
    query = select(User).where(User.name == name)
    with studio.read() as session:
        user = session.scalar(query)
    if user is None:
        try:
            with studio.write() as session:
                user = User(name=name, kind=kind, role=role, settings=settings)
                session.add(user)
        except IntegrityError:  # another process made it at the same moment
            with studio.read() as session:
                user = session.scalars(query).one()
    return _row(user)


def _row(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "name": user.name,
        "kind": user.kind,
        "role": user.role,
        "settings": user.settings,
    }
