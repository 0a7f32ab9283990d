"""Judging pairs: the next ones, a judgement, an undo, simulated annotators, everything out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from app.api.deps import Body, ProjectDep, StudioDep, UserDep
from backend.errors import InputError
from backend.services import jobs, labels, pairs, samples, studies
from backend.services.labels import NewLabel

router = APIRouter(tags=["label"])


class Judgement(Body):
    """One judgement. Sent again with the same client id it is answered as the first time."""

    client_id: str
    """Made by the client, anew for each judgement."""
    pair_id: int
    choice: Literal["left", "right", "tie", "both_bad", "skip", "rated", "ranked"]
    shown_left: Literal["a", "b"]
    """The letter that came with the pair."""
    t_shown: float
    """Seconds since 1970 by the client's clock."""
    t_answer: float
    reasons: list[str] = Field(default_factory=list, max_length=20)
    comment: str = ""
    answers: dict[str, Any] = Field(default_factory=dict)
    """Aspects, regions, spans, the cause of a skip, a mark: what the study asks beside the
    choice."""


class Undo(Body):
    """Take back the latest judgement that stands."""

    client_id: str
    """Made by the client, anew for each undo."""
    comparison_id: int | None = None
    """Undo a vote of that comparison instead of a label."""
    study_id: int | None = None
    """Undo a judgement of that study."""


class Simulate(Body):
    """Simulated annotators who judge open pairs; stored and shown apart from people's labels."""

    annotators: int = Field(3, ge=1, le=50)
    labels: int = Field(200, ge=1, le=100_000)
    """Judgements of all of them together."""
    seed: int = Field(0, ge=0, lt=2**53)
    comparison_id: int | None = None
    """Judge the pairs of that comparison instead of the queue."""
    study_id: int | None = None
    """Judge the items of that study."""


@router.get("/label/next")
def next_pairs(
    studio: StudioDep,
    user: UserDep,
    project: ProjectDep,
    n: Annotated[int, Query(ge=1, le=pairs.MAX_PREFETCH)] = 3,
    after: Annotated[str, Query(description="Ids of the pairs held, with commas.")] = "",
    comparison_id: int | None = None,
    study_id: int | None = None,
) -> dict[str, Any]:
    """The next pairs, leased for two minutes; `is_drawing` when more are on their way."""
    scope = studies.scope_of(study_id, comparison_id)
    found = pairs.next_pairs(studio, project, user["id"], n, _ids(after), scope)
    is_drawing = not found["pairs"] and samples.drawing(studio, project) is not None
    return {**found, "is_drawing": is_drawing}


@router.post("/label")
def judge(body: Judgement, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """Store a judgement."""
    return labels.store(studio, user["id"], NewLabel(**body.model_dump()), veiled=True)


@router.post("/label/undo")
def undo(body: Undo, studio: StudioDep, user: UserDep, project: ProjectDep) -> dict[str, Any]:
    """Take back the latest judgement and get its pair again, with the sides it had."""
    scope = studies.scope_of(body.study_id, body.comparison_id)
    return labels.undo(studio, project, user["id"], body.client_id, scope)


@router.post("/simulate", status_code=202)
def simulate(body: Simulate, studio: StudioDep, project: ProjectDep) -> dict[str, int]:
    """Let simulated annotators judge open pairs."""
    args = {"project_id": project, **body.model_dump()}
    return {"job_id": jobs.create(studio, "simulate", args)}


def _ids(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()][:1000]
    except ValueError:
        raise InputError(
            f"`after` is '{text[:60]}'; it takes ids of pairs with commas between them."
        ) from None
