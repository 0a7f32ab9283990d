"""A run to take away: the bundle that replays, the page for a colleague, the adapter; and a bundle
replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response, StreamingResponse

from app.api.deps import ProjectDep, StudioDep, UserDep
from app.api.uploads import uploaded
from app.language import language_of
from backend.services import bundles, projects, replays, reports
from backend.services.runs import About

router = APIRouter(tags=["runs"])
MOST_BYTES = 20_000_000_000
PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@router.get("/runs/{run_id}/bundle", response_class=StreamingResponse)
def read_bundle(run_id: int, studio: StudioDep, _project: ProjectDep) -> StreamingResponse:
    """The run as a ZIP that `palate replay` starts again: config, code version, seeds, metrics,
    adapters, samples, prompts. Sent while it is written."""
    name = bundles.filename(studio, run_id, ".zip")
    return StreamingResponse(
        bundles.stream(studio, run_id), media_type="application/zip", headers=_as(name)
    )


@router.get("/runs/{run_id}/report", response_class=StreamingResponse)
def read_report(
    run_id: int,
    request: Request,
    studio: StudioDep,
    _project: ProjectDep,
    language: Annotated[
        str, Query(max_length=20, description="Of the page; empty takes the reader's own.")
    ] = "",
) -> StreamingResponse:
    """One HTML page of the run with everything inside it, which asks nothing of any host."""
    name = bundles.filename(studio, run_id, ".html")
    page = reports.stream(studio, run_id, language or language_of(request))
    return StreamingResponse(page, media_type="text/html; charset=utf-8", headers=_as(name))


@router.get("/runs/{run_id}/adapter", response_class=FileResponse)
def read_adapter(run_id: int, studio: StudioDep, _project: ProjectDep) -> Response:
    """What the run has learned, as safetensors that stock diffusers loads."""
    name = bundles.filename(studio, run_id, ".safetensors")
    path = studio.media.local_path(bundles.delivered(studio, run_id))
    return FileResponse(path, media_type="application/octet-stream", headers=_as(name))


@router.post("/runs/replay", status_code=201)
async def replay_bundle(
    request: Request,
    studio: StudioDep,
    user: UserDep,
    filename: Annotated[
        str, Query(max_length=200, description="What sentences about the file call it.")
    ] = "",
) -> dict[str, Any]:
    """Start the run of a bundle again, in a project of its own, which is opened; the body is the
    ZIP. Answers with the run."""

    def started(path: Path) -> dict[str, Any]:
        whose = About(owner_id=user["id"])
        row = replays.bring(studio, path, title=filename or "The bundle", about_run=whose)
        projects.open_project(studio, user["id"], row["project_id"])
        return row

    return await uploaded(request, started, MOST_BYTES)


def _as(name: str) -> dict[str, Any]:
    return {**PRIVATE, "Content-Disposition": f'attachment; filename="{name}"'}
