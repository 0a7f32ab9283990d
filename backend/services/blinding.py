"""What an annotator may read: no name of a model or a run, on whose pictures they judge.

A researcher may call a study "base against tuned"; whoever judges it must not be told so.
"""

from __future__ import annotations

import re

from sqlalchemy import select, union_all
from sqlalchemy.orm import Session

from db.tables import Policy, Run


def told(session: Session, project_id: int) -> re.Pattern[str]:
    """Finds a name of a model or a run of a project in a text."""
    names = session.scalars(
        union_all(
            select(Policy.name).where(Policy.project_id == project_id),
            select(Run.name).where(Run.project_id == project_id),
        )
    )
    every = "|".join(re.escape(name) for name in sorted(set(names), key=len, reverse=True) if name)
    return re.compile(rf"(?<!\w)(?:{every})(?!\w)" if every else r"(?!)", re.IGNORECASE)


def shown(study_id: int, name: str, names: re.Pattern[str]) -> str:
    """A study's name for those who judge it: its number, where the name says whose pictures it
    holds."""
    return f"Study {study_id}" if names.search(name) else name
