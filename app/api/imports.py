"""Labels and pairs from files: rows alone, or a ZIP of rows and the pictures they name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from typing import IO, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from app.api.deps import ProjectDep, StudioDep
from backend.errors import InputError
from backend.services import imports
from backend.services.placing import Added

router = APIRouter(tags=["labels"])
MAX_UPLOAD_BYTES = 4_000_000_000
MAX_MEMORY_BYTES = 32_000_000
"""Longer uploads wait in a temporary file."""
Name = Annotated[str, Query(description="What sentences about the file call it.")]


@router.post("/labels/import", status_code=201)
async def import_labels(
    request: Request,
    studio: StudioDep,
    project: ProjectDep,
    format: Literal["jsonl", "trl", "pickapic"] = "jsonl",
    annotator: Annotated[
        str, Query(description="Whose labels they are, where a row does not say.")
    ] = imports.SOMEBODY,
    filename: Name = "",
) -> dict[str, Any]:
    """Import judgements, whole or not at all; the body is JSON lines, or a ZIP of one .jsonl file
    and its pictures.

    Answers with the number of new labels, pairs, pictures and prompts, and of rows that were here.
    """

    def taken(file: IO[bytes]) -> Added:
        rows, pictures = imports.unpacked(file, filename)
        return imports.import_labels(
            studio,
            project,
            rows,
            format,
            pictures=pictures,
            filename=filename,
            annotator=annotator,
        )

    return await _uploaded(request, taken)


@router.post("/pairs/import", status_code=201)
async def import_pairs(
    request: Request, studio: StudioDep, project: ProjectDep, filename: Name = ""
) -> dict[str, Any]:
    """Import pairs that wait to be judged, whole or not at all; the body as for labels, each row
    with "prompt", "image_a" and "image_b"."""

    def taken(file: IO[bytes]) -> Added:
        rows, pictures = imports.unpacked(file, filename)
        return imports.import_pairs(studio, project, rows, pictures=pictures, filename=filename)

    return await _uploaded(request, taken)


async def _uploaded(request: Request, take: Callable[[IO[bytes]], Added]) -> dict[str, Any]:
    """Receive the body into a temporary file and hand that over, off the event loop."""
    with tempfile.SpooledTemporaryFile(MAX_MEMORY_BYTES) as file:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_UPLOAD_BYTES:
                raise InputError(
                    f"The upload is larger than {MAX_UPLOAD_BYTES // 1_000_000_000} GB; split it."
                )
            await run_in_threadpool(file.write, chunk)
        return asdict(await run_in_threadpool(take, file))
