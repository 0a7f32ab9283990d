"""Events: lines of log that people read, and the signals by which open pages follow a run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from backend.services.studio import Studio
from db.tables import Event

PAGE = 500
LATE_S = 5.0
"""On PostgreSQL a lower id may be committed after a higher one; this far back is read again."""


@dataclass(frozen=True)
class Signal:
    """One event as an open page receives it; `id` rises."""

    id: int
    run_id: int | None
    job_id: int | None
    kind: str
    """log, iteration, evaluation or status."""
    level: str
    text: str
    data: dict[str, Any]
    at: float


def add(
    studio: Studio,
    text: str,
    *,
    run_id: int | None = None,
    job_id: int | None = None,
    level: str = "info",
    kind: str = "log",
    data: dict[str, Any] | None = None,
) -> None:
    """Write one line in a transaction of its own."""
    with studio.write() as session:
        write(session, text, run_id=run_id, job_id=job_id, level=level, kind=kind, data=data)


def write(
    session: Session,
    text: str,
    *,
    run_id: int | None = None,
    job_id: int | None = None,
    level: str = "info",
    kind: str = "log",
    data: dict[str, Any] | None = None,
) -> None:
    """Write one line in a transaction that is open."""
    session.add(
        Event(run_id=run_id, job_id=job_id, level=level, kind=kind, text=text, data=data or {})
    )


def newest_id(studio: Studio) -> int:
    """The highest id there is; 0 in an empty store."""
    with studio.read() as session:
        return session.scalar(select(func.max(Event.id))) or 0


def after(studio: Studio, last: int, limit: int = PAGE) -> list[Signal]:
    """Events of all runs and jobs with an id above `last`, rising.

    On PostgreSQL those of the last seconds come again, whatever their id: the caller drops what it
    has seen.
    """
    query = select(Event).order_by(Event.id).limit(limit)
    if studio.store.dialect == "postgresql":
        query = query.where(or_(Event.id > last, Event.created_at > time.time() - LATE_S))
    else:
        query = query.where(Event.id > last)
    with studio.read() as session:
        return [_signal(event) for event in session.scalars(query)]


def of_run(studio: Studio, run_id: int, last: int, limit: int = 1000) -> list[Signal]:
    """Events of one run with an id above `last`, rising: what a page missed while it was away."""
    query = (
        select(Event).where(Event.run_id == run_id, Event.id > last).order_by(Event.id).limit(limit)
    )
    with studio.read() as session:
        return [_signal(event) for event in session.scalars(query)]


def log_of_run(session: Session, run_id: int, limit: int = 200) -> list[dict[str, Any]]:
    """The latest lines that people read of one run, oldest first."""
    newest = session.scalars(
        select(Event)
        .where(Event.run_id == run_id, Event.kind.in_(("log", "status")))
        .order_by(Event.id.desc())
        .limit(limit)
    )
    return [
        {"at": event.created_at, "level": event.level, "text": event.text}
        for event in reversed(list(newest))
    ]


def last_words(session: Session, run_id: int) -> str:
    """The newest line that a run's worker itself has written; empty if it wrote none."""
    said = select(Event.text).where(Event.run_id == run_id, Event.kind.in_(("log", "iteration")))
    return session.scalar(said.order_by(Event.id.desc()).limit(1)) or ""


def _signal(event: Event) -> Signal:
    return Signal(
        event.id,
        event.run_id,
        event.job_id,
        event.kind,
        event.level,
        event.text,
        event.data,
        event.created_at,
    )
