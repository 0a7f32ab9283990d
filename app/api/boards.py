"""Boards: sources beside each other on the same prompts, seeds and settings."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.api.deps import Body, ProjectDep, StudioDep
from backend.services import board_sources, boards
from backend.services.boards import Board, Wanted

router = APIRouter(tags=["comparisons"])


class Asked(Body):
    """A source that is to become a policy."""

    source: str
    """`policy:12` or `run:3@40`."""


@router.get("/boards/sources")
def list_sources(studio: StudioDep, project: ProjectDep) -> dict[str, Any]:
    """What can be put on a board: models, what runs had learned at their checkpoints, imports."""
    return board_sources.sources(studio, project)


@router.get("/boards/cells")
def read_cells(
    studio: StudioDep,
    project: ProjectDep,
    source: Annotated[list[str], Query(min_length=1, max_length=6)],
    prompt: Annotated[list[int], Query(min_length=1, max_length=500)],
    seed: Annotated[list[str] | None, Query(max_length=64)] = None,
    steps: Annotated[list[int] | None, Query(max_length=12)] = None,
    guidance: Annotated[list[float] | None, Query(max_length=12)] = None,
) -> dict[str, Any]:
    """Every cell of a board with its picture, or None where nothing was drawn."""
    board = Board.read(
        {
            "sources": source,
            "prompt_ids": prompt,
            "seeds": seed or ["0"],
            "steps": steps or [],
            "guidances": guidance or [],
        }
    )
    return boards.cells(studio, project, board)


@router.post("/boards/draw", status_code=202)
def draw_missing(wanted: Wanted, studio: StudioDep, project: ProjectDep) -> dict[str, Any]:
    """Ask the workers to draw exactly those of these cells that are missing."""
    return boards.draw(studio, project, wanted.cells)


@router.post("/boards/policy")
def make_policy(body: Asked, studio: StudioDep, project: ProjectDep) -> dict[str, Any]:
    """The policy that a source is: what a run had learned at a checkpoint becomes one."""
    return boards.policy_of(studio, project, body.source)
