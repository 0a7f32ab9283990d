"""Who labels: people, and annotators that are simulated, never confused with each other."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.errors import Conflict, Forbidden, InputError, NotFound
from backend.services.studio import Studio
from db.tables import Account, Study, User

ROLES = ("annotator", "researcher", "admin")
"""Each may do what those before it may."""
NOUNS = {"person": "a person"}
LOCAL = "you"
"""The one implicit person of a studio that only its own machine can reach."""


def local(studio: Studio) -> dict[str, Any]:
    """The person at this machine, made on first use."""
    return _named(studio, LOCAL, "person", "admin", {})


def simulated(studio: Studio, name: str, settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """A simulated annotator by name, made on first use; refuses the name of a person."""
    found = _named(studio, name, "simulated", "annotator", settings or {})
    if found["kind"] != "simulated":
        raise Conflict(f"'{name}' is a person; give the simulated annotator another name.")
    return found


def may(user: dict[str, Any], least: str) -> bool:
    """Whether a user's role is at least this one."""
    return ROLES.index(user["role"]) >= ROLES.index(least)


def may_judge(session: Session, user: User, study: Study | None) -> bool:
    """Whether this user may judge pairs of a study; None: of the queue and of comparisons.

    A study may name its people, and a person may have been invited to some studies alone.
    """
    if user.kind != "person":
        return True
    people = (study.config.get("people") or []) if study is not None else []
    if people and user.id not in people:
        return False
    account = session.get(Account, user.id)
    only = account.studies if account is not None else []
    return not only or (study is not None and study.id in only)


def refuse_judging(session: Session, user: User, study: Study | None) -> None:
    """Raise unless this user may judge pairs of the study, or with None of the queue."""
    if not may_judge(session, user, study):
        raise Forbidden(
            f"The study '{study.name}' is for other people; ask who leads it."
            if study is not None
            else "This queue is for other people; ask who leads it."
        )


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
            return row(user)
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
        return [row(user) for user in session.scalars(select(User).order_by(User.id))]


def get(studio: Studio, user_id: int) -> dict[str, Any]:
    """One user."""
    with studio.read() as session:
        return row(find(session, user_id))


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
    return row(user)


def row(user: User) -> dict[str, Any]:
    """A user as the rest of the studio knows it."""
    return {
        "id": user.id,
        "name": user.name,
        "kind": user.kind,
        "role": user.role,
        "settings": user.settings,
    }
