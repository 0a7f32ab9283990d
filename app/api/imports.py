"""Labels out of a project and into it: any format, at once for what is small, as a job for what is
not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from app.api.deps import ProjectDep, StudioDep, UserDep
from app.api.uploads import uploaded
from backend.preferences import formats
from backend.services import audit, exports, imports, rollout_imports, sources, studies
from backend.services.imports import How

router = APIRouter(tags=["labels"])
MAX_UPLOAD_BYTES = 20_000_000_000
MAX_SMALL_BYTES = 4_000_000_000
Name = Annotated[str, Query(max_length=200, description="What sentences about the file call it.")]
Format = Annotated[
    str, Query(description="A name of /labels/formats, or auto: as the columns of the file say.")
]
Writable = Annotated[str, Query(description="A name of /labels/formats that writes.")]
Annotator = Annotated[str, Query(description="Whose labels they are, where a row does not say.")]


@dataclass
class Which:
    """Which labels are meant."""

    simulated: Annotated[bool, Query(description="Simulated annotators' labels too.")] = False
    implicit: Annotated[bool, Query(description="Weak ones, drawn from clicks, too.")] = False
    study_id: Annotated[int | None, Query(description="Those of a study alone.")] = None
    excluded: Annotated[
        bool, Query(description="Those of people who are excluded from their study, too.")
    ] = False

    def plain(self) -> dict[str, Any]:
        """As the service takes it."""
        scope = studies.scope_of(self.study_id, None) if self.study_id is not None else None
        return {
            "simulated": self.simulated,
            "implicit": self.implicit,
            "excluded": self.excluded,
            "scope": scope,
        }


@router.get("/labels/formats")
def list_formats() -> list[dict[str, Any]]:
    """Formats of labels: {name, title, summary, file, writes, loses}; `loses` is what has no place
    there."""
    return formats.described()


def noted(
    studio: StudioDep, user: UserDep, project: ProjectDep, format: Writable = "jsonl"
) -> None:
    """What leaves the studio stands in the audit trail."""
    audit.note_alone(studio, user, "export", f"exported labels as {format}", project=project)


@router.get("/labels/export", dependencies=[Depends(noted)])
def export(
    studio: StudioDep,
    project: ProjectDep,
    which: Annotated[Which, Depends()],
    format: Writable = "jsonl",
    file: Annotated[
        Literal["", "lines", "array", "parquet", "arrow"],
        Query(description="Another kind of file than the format's own."),
    ] = "",
    inside: Annotated[
        bool, Query(description="With the pictures inside; Parquet and Arrow alone.")
    ] = False,
) -> StreamingResponse:
    """All labels that stand, as a file of any size that is read while it is sent."""
    kind = file or formats.container(format)
    parts = exports.stream(studio, project, format, container=file, inside=inside, **which.plain())
    name = f"labels-{format}.{formats.SUFFIXES[kind]}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(parts, media_type=formats.MIME[kind], headers=headers)


@router.get("/labels/export/summary")
def summarise_export(
    studio: StudioDep,
    project: ProjectDep,
    which: Annotated[Which, Depends()],
    format: Writable = "jsonl",
) -> dict[str, Any]:
    """What an export in a format would hold, and what it has no place for: {written, left_out,
    changed, lost, sentence}."""
    return exports.summary(studio, project, format, **which.plain())


@router.post("/imports", status_code=202)
async def import_as_job(
    request: Request,
    studio: StudioDep,
    project: ProjectDep,
    what: Literal["labels", "pairs"] = "labels",
    format: Format = formats.AUTO,
    annotator: Annotator = imports.SOMEBODY,
    filename: Name = "",
    study_id: Annotated[int | None, Query(description="Into that study, not the queue.")] = None,
) -> dict[str, int]:
    """Import a file of any size by a worker; the body is the file, or a ZIP of rows and pictures.

    Answers with a job: its `result` counts what came in and lists the rows that could not be read
    ({file, line, column, reason}) while it works; stopped, and sent again, it adds nothing twice.
    """
    imports.check(what, format)

    def ordered(path: Path) -> dict[str, int]:
        how = How(what, format, annotator, study_id)
        job = imports.order(studio, project, path, how, filename)
        return {"job_id": job}

    return await uploaded(request, ordered, MAX_UPLOAD_BYTES)


@router.post("/imports/rollouts", status_code=202)
async def import_rollouts(
    request: Request,
    studio: StudioDep,
    project: ProjectDep,
    name: Annotated[str, Query(max_length=200, description="Of the run that they become.")],
    filename: Name = "",
) -> dict[str, int]:
    """Import what another trainer drew, by a worker: the body is a ZIP of its rows and pictures.

    Answers with a job; its `result` counts what came in, names the run, and lists the rows that
    could not be read. The same files again add nothing.
    """

    def ordered(path: Path) -> dict[str, int]:
        return {"job_id": rollout_imports.order(studio, project, path, name, filename)}

    return await uploaded(request, ordered, MAX_UPLOAD_BYTES)


@router.post("/labels/import", status_code=201)
async def import_labels(
    request: Request,
    studio: StudioDep,
    project: ProjectDep,
    format: Format = "jsonl",
    annotator: Annotator = imports.SOMEBODY,
    filename: Name = "",
) -> dict[str, Any]:
    """Import judgements and wait for it; the body is a file in a known format, or a ZIP of rows and
    their pictures.

    Answers with the number of new labels, pairs, pictures and prompts, of rows that were here, and
    with the rows that could not be read; refused when there is none that can.
    """
    imports.check(imports.LABELS, format)

    def taken(path: Path) -> dict[str, Any]:
        with sources.opened(path, name=filename or "the file") as parts:
            found = imports.bring(studio, project, parts, How(form=format, annotator=annotator))
        return found.plain()

    return await uploaded(request, taken, MAX_SMALL_BYTES)


@router.post("/pairs/import", status_code=201)
async def import_pairs(
    request: Request, studio: StudioDep, project: ProjectDep, filename: Name = ""
) -> dict[str, Any]:
    """Import pairs that wait to be judged and wait for it; the body as for labels, each row with
    "prompt", "image_a" and "image_b". Items of a study come in as a job: POST /imports."""

    def taken(path: Path) -> dict[str, Any]:
        with sources.opened(path, name=filename or "the file") as parts:
            return imports.bring(studio, project, parts, How(imports.PAIRS)).plain()

    return await uploaded(request, taken, MAX_SMALL_BYTES)
