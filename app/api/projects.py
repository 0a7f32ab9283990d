"""Projects, the demo, and what Today shows."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.api.deps import Body, ProjectDep, StudioDep, UserDep
from backend.services import demo, finding, policies, projects, today, users

router = APIRouter(tags=["projects"])


class NewProject(Body):
    """A project to make."""

    name: str
    """Once in a studio."""


class NewPolicy(Body):
    """A model to draw with."""

    name: str
    family: str = "sd3"
    """Key of a file in backend/policies."""
    config: dict[str, Any]
    """The family's settings, such as {"weights": "stabilityai/stable-diffusion-3.5-medium"}."""


@router.get("/projects")
def list_projects(studio: StudioDep, _user: UserDep) -> list[dict[str, Any]]:
    """All projects, oldest first."""
    return projects.rows(studio)


@router.post("/projects", status_code=201)
def create_project(body: NewProject, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """Make a project and open it."""
    made = projects.create(studio, body.name)
    return projects.open_project(studio, user["id"], made["id"])


@router.get("/project")
def read_project(studio: StudioDep, project: ProjectDep) -> dict[str, Any]:
    """The project that is open."""
    return projects.get(studio, project)


@router.post("/projects/{project_id}/open")
def open_project(project_id: int, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """Open another project."""
    return projects.open_project(studio, user["id"], project_id)


@router.post("/demo")
def make_demo(studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """Make the demo project, or what of it is missing, and open it."""
    return {"ok": True, "project": demo.create(studio, user["id"])}


@router.get("/today")
def read_today(studio: StudioDep, user: UserDep, project: ProjectDep) -> dict[str, Any]:
    """Everything the Today page shows; to an annotator the pairs that wait, and no run."""
    if not users.may(user, "researcher"):
        return today.for_annotator(studio, project, user["id"])
    return today.summary(studio, project, user["id"])


@router.get("/find")
def find_by_name(studio: StudioDep, project: ProjectDep, q: str = "") -> list[dict[str, Any]]:
    """Runs, studies, prompt sets, rewards, comparisons, models and recipes by their names."""
    return finding.named(studio, project, q)


@router.get("/policies")
def list_policies(studio: StudioDep, project: ProjectDep) -> list[dict[str, Any]]:
    """Models of the project, those that runs have taught included."""
    return policies.rows(studio, project)


@router.post("/policies", status_code=201)
def create_policy(body: NewPolicy, studio: StudioDep, project: ProjectDep) -> dict[str, Any]:
    """Add a model to draw with."""
    return policies.create(studio, project, body.name, body.family, body.config)
