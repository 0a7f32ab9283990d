"""The audit trail: who changed people, roles, keys or studies, and what left the studio.

Rows are only added. `who` is the name at that time, so that the trail reads the same after years.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.services.studio import Studio
from db.tables import Audit, User

COMMAND_LINE = "command line"


def note(
    session: Session, who: dict[str, Any] | int | None, action: str, text: str, **detail: Any
) -> None:
    """Write a row within a transaction that is open, so that change and row stand or fall together.

    `who` is a user as the API knows it, an id, or None for the command line; `action` is a word
    such as role, key, invite, study, export or delete; `text` is a sentence without its subject.
    """
    user_id = who["id"] if isinstance(who, dict) else who
    name = COMMAND_LINE
    if isinstance(who, dict):
        name = who["name"]
    elif user_id is not None:
        name = session.get_one(User, user_id).name
    session.add(Audit(user_id=user_id, who=name, action=action, text=text, detail=detail))


def note_alone(
    studio: Studio, who: dict[str, Any] | int | None, action: str, text: str, **detail: Any
) -> None:
    """As `note`, in a transaction of its own: for what changes nothing, such as an export."""
    with studio.write() as session:
        note(session, who, action, text, **detail)


def page(
    studio: Studio, *, action: str = "", after: int | None = None, limit: int = 50
) -> dict[str, Any]:
    """{items, next}, newest first; `after` is a row's id, `action` one kind alone."""
    query = select(Audit).order_by(Audit.id.desc()).limit(limit + 1)
    if action:
        query = query.where(Audit.action == action)
    if after is not None:
        query = query.where(Audit.id < after)
    with studio.read() as session:
        found = [
            {
                "id": row.id,
                "at": row.at,
                "who": row.who,
                "action": row.action,
                "text": row.text,
                "detail": row.detail,
            }
            for row in session.scalars(query)
        ]
    return {"items": found[:limit], "next": found[limit - 1]["id"] if len(found) > limit else None}
