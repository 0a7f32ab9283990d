"""Studies: made, changed, looked at; what an annotator needs to know of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field

from app import forms
from app.api.deps import Body, Limit, Offset, ProjectDep, StudioDep, UserDep
from app.api.uploads import uploaded
from backend.preferences.studies import TEMPLATES, Kind, StudyConfig
from backend.registry import choosers
from backend.services import studies, study_views
from backend.services.studies import NewStudy

router = APIRouter(tags=["studies"])
MAX_PICTURE_BYTES = 100_000_000
OfPrompt = Annotated[bool, Query(description="Of all items of the same prompt.")]


class Asked(Body):
    """A study to make: of checkpoints that draw its items, or of samples that are there."""

    name: str = Field("", max_length=200)
    kind: Kind = "images"
    config: dict[str, Any] = Field(default_factory=dict)
    """Settings of `GET /studies/form`; what is left out has its default."""
    policy_ids: list[int] = Field(default_factory=list, max_length=12)
    """Checkpoints that draw the same prompts; every two pictures of a prompt make an item."""
    prompt_set_id: int | None = None
    """What they draw."""
    num_prompts: int = Field(50, ge=1, le=10_000)
    num_steps: int | None = Field(None, ge=1, le=1000)
    """Denoising steps; left out, those of the checkpoints' runs."""
    seed: int = Field(0, ge=0, lt=2**53)
    from_policies: list[int] = Field(default_factory=list, max_length=100)
    """Take the samples these have drawn already."""
    sample_ids: list[int] = Field(default_factory=list, max_length=100_000)
    """Take these samples."""


class Change(Body):
    """What of a study is changed; the rest stays."""

    name: str | None = Field(None, max_length=200)
    config: dict[str, Any] | None = None
    """All of its settings; judgements that are there stay whatever changes."""
    status: Literal["open", "closed"] | None = None


class More(Body):
    """Samples of which further items are made: those named, or all of some policies."""

    sample_ids: list[int] = Field(default_factory=list, max_length=100_000)
    from_policies: list[int] = Field(default_factory=list, max_length=100)
    """Checkpoints, or what was imported (`GET /studies/sources`)."""
    prompt_set_id: int | None = None
    """Of these policies' samples only those of a prompt set."""
    seed: int = Field(0, ge=0, lt=2**53)


@router.get("/studies")
def list_studies(studio: StudioDep, project: ProjectDep, user: UserDep) -> list[dict[str, Any]]:
    """The studies of a project, newest first; to an annotator those they may judge."""
    return studies.rows(studio, project, user)


@router.get("/studies/form")
def study_form() -> list[dict[str, Any]]:
    """The settings of a study as the form draws them."""
    fields = forms.form(StudyConfig)
    for field in fields:
        if field["path"] == "chooser":
            field.update(kind="choice", choices=choosers.names())
    return fields


@router.get("/studies/templates")
def templates() -> list[dict[str, Any]]:
    """Studies to begin from: {name, title, summary, kind, config}."""
    return [template.plain() for template in TEMPLATES]


@router.get("/studies/choosers")
def list_choosers() -> list[dict[str, str]]:
    """Policies that say which item comes next: {name, title, summary}."""
    modules = {name: choosers.get(name) for name in choosers.names()}
    return [
        {"name": name, "title": module.TITLE, "summary": module.SUMMARY}
        for name, module in modules.items()
    ]


@router.get("/studies/sources")
def list_sources(studio: StudioDep, project: ProjectDep) -> list[dict[str, Any]]:
    """What items can be made of: policies that draw, and pictures that are there."""
    return study_views.sources(studio, project)


@router.get("/studies/people")
def list_people(studio: StudioDep) -> list[dict[str, Any]]:
    """Everybody who can be asked: {id, name, role}."""
    return study_views.people(studio)


@router.post("/studies", status_code=201)
def make_study(
    body: Asked, studio: StudioDep, project: ProjectDep, user: UserDep
) -> dict[str, Any]:
    """Make a study; `job_id` draws its items when there are checkpoints to draw them."""
    wanted = NewStudy(
        name=body.name,
        kind=body.kind,
        config=StudyConfig.read(body.config),
        policy_ids=tuple(body.policy_ids),
        prompt_set_id=body.prompt_set_id,
        num_prompts=body.num_prompts,
        num_steps=body.num_steps,
        seed=body.seed,
        from_policies=tuple(body.from_policies),
        sample_ids=tuple(body.sample_ids),
    )
    return studies.create(studio, project, wanted, user)


@router.get("/studies/{study_id}")
def study(study_id: int, studio: StudioDep) -> dict[str, Any]:
    """One study with its settings, its sources and how far it is."""
    return studies.get(studio, study_id)


@router.get("/studies/{study_id}/asked")
def asked(study_id: int, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """The question of a study and how it is answered; no word about where its items come from."""
    return studies.asked(studio, study_id, user["id"])


@router.patch("/studies/{study_id}")
def change_study(study_id: int, body: Change, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """Change name, settings, or close and open it."""
    config = None if body.config is None else StudyConfig.read(body.config)
    return studies.change(
        studio, study_id, name=body.name, config=config, status=body.status, by=user
    )


@router.post("/studies/{study_id}/items")
def add_items(study_id: int, body: More, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """Put further items into a study; those that it has are not made again."""
    return studies.add_samples(
        studio,
        study_id,
        body.sample_ids,
        body.seed,
        from_policies=body.from_policies,
        prompt_set_id=body.prompt_set_id,
        by=user,
    )


@router.post("/studies/{study_id}/items/{pair_id}/subject")
async def set_subject(
    study_id: int,
    pair_id: int,
    request: Request,
    studio: StudioDep,
    user: UserDep,
    of_prompt: OfPrompt = False,
) -> dict[str, Any]:
    """The picture that the texts of an item are about; the body is the picture."""

    def taken(path: Path) -> dict[str, Any]:
        picture = path.read_bytes()
        return studies.set_subject(studio, study_id, pair_id, picture, of_prompt=of_prompt, by=user)

    return await uploaded(request, taken, MAX_PICTURE_BYTES)


@router.delete("/studies/{study_id}/items/{pair_id}/subject")
def drop_subject(
    study_id: int, pair_id: int, studio: StudioDep, user: UserDep, of_prompt: OfPrompt = False
) -> dict[str, Any]:
    """The texts of an item are about no picture."""
    return studies.set_subject(studio, study_id, pair_id, None, of_prompt=of_prompt, by=user)


@router.get("/studies/{study_id}/items")
def list_items(
    study_id: int,
    studio: StudioDep,
    which: Literal["all", "disputed"] = "all",
    offset: Offset = 0,
    limit: Limit = 24,
) -> dict[str, Any]:
    """Items with their verdicts, for those who may know which sample is which; the disputed ones
    those on which people part most first."""
    return study_views.items(studio, study_id, which=which, offset=offset, limit=limit)
