"""Prompt sets: list, import, look into."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from app.api.deps import Body, Limit, Offset, ProjectDep, StudioDep
from backend.errors import InputError
from backend.services import prompts

router = APIRouter(tags=["prompts"])
Split = Literal["train", "heldout"]


class NewPromptSet(Body):
    """Prompts to import, whole or not at all."""

    name: str
    split: Split = "train"
    text: str
    """One prompt a line, or JSONL with a key "prompt"."""
    filename: str = ""
    """Where the text came from, for the sentences about it."""


@router.get("/prompt-sets")
def list_prompt_sets(studio: StudioDep, project: ProjectDep) -> list[dict[str, Any]]:
    """The prompt sets of the project, oldest first."""
    return prompts.rows(studio, project)


@router.post("/prompt-sets", status_code=201)
def create_prompt_set(body: NewPromptSet, studio: StudioDep, project: ProjectDep) -> dict[str, Any]:
    """Import prompts from text."""
    return prompts.import_text(studio, project, body.name, body.split, body.text, body.filename)


@router.post("/prompt-sets/upload", status_code=201)
async def upload_prompt_set(
    request: Request,
    studio: StudioDep,
    project: ProjectDep,
    name: Annotated[str, Query()],
    split: Annotated[Split, Query()] = "train",
    filename: Annotated[str, Query()] = "",
) -> dict[str, Any]:
    """Import prompts from the bytes of a file, which are the body of the request."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > prompts.MAX_BYTES:
            raise InputError(
                f"The prompt file is larger than {prompts.MAX_BYTES // 1_000_000} MB; split it."
            )
    return await run_in_threadpool(
        prompts.import_text, studio, project, name, split, bytes(data), filename
    )


@router.get("/prompt-sets/{set_id}")
def read_prompt_set(
    set_id: int,
    studio: StudioDep,
    _project: ProjectDep,
    q: str = "",
    offset: Offset = 0,
    limit: Limit = 50,
) -> dict[str, Any]:
    """One prompt set with a page of its prompts, those that contain `q`."""
    return prompts.get(studio, set_id, q=q, offset=offset, limit=limit)
