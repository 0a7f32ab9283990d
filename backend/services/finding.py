"""Finding by name: runs, studies, prompt sets, models, rewards, comparisons and recipes of a
project, for the palette."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from backend import recipes
from backend.services.studio import Studio
from db.tables import Base, Comparison, Policy, PromptSet, Reward, Run, Study

EACH = 6
"""Of one kind, at most."""
MOST_CHARACTERS = 200
KINDS: tuple[tuple[str, type[Base], str], ...] = (
    ("run", Run, "/runs/{}"),
    ("study", Study, "/studies/{}"),
    ("prompt set", PromptSet, "/prompts?set={}"),
    ("reward", Reward, "/rewards?reward={}"),
    ("comparison", Comparison, "/compare?id={}"),
    ("model", Policy, "/compare?sources=policy:{}"),
)
"""(kind, table, address); each table has a name and a project."""


def named(studio: Studio, project_id: int, text: str) -> list[dict[str, Any]]:
    """[{kind, name, url, detail}] of what has `text` in its name, the newest of each kind first.

    Without a text, the newest of all. Upper and lower case are the same.
    """
    wanted = " ".join("".join(filter(str.isprintable, text)).split())[:MOST_CHARACTERS]
    found: list[dict[str, Any]] = []
    with studio.read() as session:
        for kind, table, address in KINDS:
            row: Any = table
            query = (
                select(row.id, row.name)
                .where(row.project_id == project_id)
                .order_by(row.id.desc())
                .limit(EACH)
            )
            if wanted:
                query = query.where(row.name.icontains(wanted, autoescape=True))
            found += [
                {"kind": kind, "name": name, "url": address.format(row_id)}
                for row_id, name in session.execute(query)
            ]
    if wanted:
        fitting = [name for name in recipes.names() if wanted.lower() in name.lower()]
        found += [
            {"kind": "recipe", "name": name, "url": f"/runs/new?recipe={name}"}
            for name in fitting[:EACH]
        ]
    return found
