"""The log of a run as people read it: by level, by words, page by page, with a way to the error."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from backend.errors import InputError
from backend.services import runs
from backend.services.studio import Studio
from db.tables import Event

READ = ("log", "status", "change", "alarm")
"""Kinds of events that people read; iterations and evaluations are in the charts."""
LEVELS = {
    "info": ("info", "warning", "error"),
    "warning": ("warning", "error"),
    "error": ("error",),
}
"""What is shown from a level on."""
PAGE = 200


def page(
    studio: Studio,
    run_id: int,
    *,
    level: str = "info",
    words: str = "",
    before: int | None = None,
    around: int | None = None,
    limit: int = PAGE,
) -> dict[str, Any]:
    """{lines, next, errors}: the newest lines first, `next` a key for `before`.

    `around` begins at that line instead and shows what led to it. `errors` are the newest lines of
    that level, whatever is filtered: their ids are what one can jump to.
    """
    if level not in LEVELS:
        raise InputError(f"Level '{level}' is unknown; it is one of {', '.join(LEVELS)}.")
    mine = (Event.run_id == run_id, Event.kind.in_(READ))
    query = select(Event).where(*mine, Event.level.in_(LEVELS[level])).order_by(Event.id.desc())
    for word in words.split():
        query = query.where(Event.text.icontains(word, autoescape=True))
    if before is not None:
        query = query.where(Event.id < before)
    if around is not None:
        query = query.where(Event.id <= around)
    with studio.read() as session:
        runs.find(session, run_id)
        found = list(session.scalars(query.limit(limit + 1)))
        failed = select(Event.id).where(*mine, Event.level == "error").order_by(Event.id.desc())
        errors = list(session.scalars(failed.limit(PAGE)))
    shown = found[:limit]
    return {
        "lines": [_line(event) for event in shown],
        "next": shown[-1].id if len(found) > limit else None,
        "errors": errors,
    }


def _line(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "at": event.created_at,
        "kind": event.kind,
        "level": event.level,
        "text": event.text,
        "step": event.data.get("step"),
    }
