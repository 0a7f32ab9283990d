"""Projects: one piece of work each, with its prompts, samples, labels and runs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.errors import Conflict, InputError, NotFound
from backend.services import users
from backend.services.studio import Studio
from db.tables import Label, Pair, Project, PromptSet, User

FIRST = "First project"
"""Name of the project that an empty studio opens with."""


def rows(studio: Studio) -> list[dict[str, Any]]:
    """All projects, oldest first."""
    with studio.read() as session:
        projects = session.scalars(select(Project).order_by(Project.id))
        return [_row(session, project) for project in projects]


def create(studio: Studio, name: str) -> dict[str, Any]:
    """A new project; its name must be free."""
    clean = name.strip()
    if not clean or len(clean) > 200 or "\x00" in clean:
        raise InputError("A project needs a name of 1 to 200 characters.")
    try:
        with studio.write() as session:
            project = Project(name=clean)
            session.add(project)
            session.flush()
            return _row(session, project)
    except IntegrityError:
        raise Conflict(f"There is already a project '{clean}'; choose another name.") from None


def named(studio: Studio, name: str) -> dict[str, Any]:
    """The project of that name, made when there is none."""
    query = select(Project).where(Project.name == name)
    with studio.read() as session:
        project = session.scalar(query)
        if project is not None:
            return _row(session, project)
    try:
        return create(studio, name)
    except Conflict:  # made in between by another process
        with studio.read() as session:
            return _row(session, session.scalars(query).one())


def get(studio: Studio, project_id: int) -> dict[str, Any]:
    """One project."""
    with studio.read() as session:
        return _row(session, find(session, project_id))


def current(studio: Studio, user_id: int) -> dict[str, Any]:
    """The project this user has open; the first one when none was chosen."""
    with studio.read() as session:
        chosen = users.find(session, user_id).settings.get("project")
        project = session.get(Project, chosen) if chosen is not None else None
        if project is None:
            project = session.scalar(select(Project).order_by(Project.id).limit(1))
        if project is not None:
            return _row(session, project)
    return named(studio, FIRST)


def current_id(studio: Studio, user: dict[str, Any]) -> int:
    """As `current`, the id alone: one short read."""
    chosen = user["settings"].get("project")
    with studio.read() as session:
        if chosen is not None and session.get(Project, chosen) is not None:
            return int(chosen)
        first = session.scalar(select(Project.id).order_by(Project.id).limit(1))
    return int(current(studio, user["id"])["id"]) if first is None else first


def open_project(studio: Studio, user_id: int, project_id: int) -> dict[str, Any]:
    """Make a project the one this user has open."""
    row = get(studio, project_id)
    users.remember(studio, user_id, project=project_id)
    return row


def find(session: Session, project_id: int) -> Project:
    """The row of a project, or NotFound."""
    project = session.get(Project, project_id)
    if project is None:
        raise NotFound(f"There is no project {project_id}.")
    return project


def _row(session: Session, project: Project) -> dict[str, Any]:
    has_prompts = session.scalar(
        select(exists(select(1).where(PromptSet.project_id == project.id)))
    )
    has_simulated = session.scalar(
        select(
            exists(
                select(1)
                .select_from(Label)
                .join(User, User.id == Label.user_id)
                .join(Pair, Pair.id == Label.pair_id)
                .where(User.kind == "simulated", Pair.project_id == project.id)
            )
        )
    )
    return {
        "id": project.id,
        "name": project.name,
        "created_at": project.created_at,
        "is_empty": not has_prompts,
        "simulated_labels": bool(has_simulated),
    }
