"""Studies: a question, the items it is put to, and the people who are asked.

Items come from pictures that are there, or are drawn first: the checkpoints of a study draw the
same prompts from the same noise, and every two of them make a pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.errors import Conflict, InputError, NotFound
from backend.preferences.studies import KINDS, StudyConfig
from backend.registry import choosers
from backend.services import (
    attention,
    audit,
    blinding,
    choosing,
    handing,
    jobs,
    policies,
    prompts,
    study_items,
    users,
)
from backend.services.policies import PolicySpec
from backend.services.samples import url
from backend.services.studio import Studio
from db import queries
from db.queries import Scope
from db.tables import Job, Pair, Policy, Study, User


@dataclass(frozen=True)
class NewStudy:
    """What is asked for. Either `policy_ids` draw the items, or samples that are there make them.

    Samples are those named, or all of the project whose policy is in `from_policies`.
    """

    name: str = ""
    kind: str = "images"
    config: StudyConfig = field(default_factory=StudyConfig)
    policy_ids: tuple[int, ...] = ()
    prompt_set_id: int | None = None
    num_prompts: int = 50
    num_steps: int | None = None
    """Denoising steps of pictures that are drawn; None takes those of the checkpoints' runs."""
    seed: int = 0
    from_policies: tuple[int, ...] = ()
    sample_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What the study's job must draw."""

    id: int
    project_id: int
    kind: str
    policies: list[PolicySpec]
    prompts: list[tuple[int, str]]
    seed: int
    num_steps: int | None


def create(
    studio: Studio, project_id: int, wanted: NewStudy, by: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Write a study down with its items; those that must be drawn come with its job."""
    if wanted.kind not in KINDS:
        raise InputError(f"A study of '{wanted.kind}' is unknown; it is one of {', '.join(KINDS)}.")
    choosers.get(wanted.config.chooser)
    is_drawn = bool(wanted.policy_ids)
    if is_drawn and wanted.kind == "texts":
        raise InputError("Texts cannot be drawn by an image model; import them or name samples.")
    with studio.write() as session:
        for policy_id in wanted.policy_ids:
            policies.find(session, policy_id)
        _check_people(session, wanted.config)
        row = Study(
            project_id=project_id,
            name=_name(session, wanted),
            kind=wanted.kind,
            config=wanted.config.plain(),
            status="drawing" if is_drawn else "open",
        )
        session.add(row)
        session.flush()
        if is_drawn:
            _check_drawn(session, wanted)
            args = {
                "study_id": row.id,
                "policy_ids": list(dict.fromkeys(wanted.policy_ids)),
                "prompt_set_id": wanted.prompt_set_id,
                "num_prompts": wanted.num_prompts,
                "num_steps": wanted.num_steps,
                "seed": wanted.seed,
            }
            row.job_id = jobs.add(session, "study", args).id
        else:
            chosen = _samples(session, project_id, wanted)
            if chosen is not None:
                made = study_items.make(session, row, chosen, wanted.seed)
                study_items.refuse_none(made, row.kind)
        audit.note(session, by, "study", f"made the study '{row.name}'", study_id=row.id)
        study_id, job_id = row.id, row.job_id
    if job_id is not None:
        jobs.enqueue(studio, job_id)
    else:
        attention.add(studio, study_id, wanted.seed)
        choosing.request(studio, study_id)
    return get(studio, study_id)


def change(
    studio: Studio,
    study_id: int,
    *,
    name: str | None = None,
    config: StudyConfig | None = None,
    status: str | None = None,
    by: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Change what is asked, or close and open it; judgements that are there all stay."""
    with studio.write() as session:
        row = find(session, study_id, lock=True)
        done = {"closed": "closed", "open": "opened"}.get(status or "", "changed")
        audit.note(session, by, "study", f"{done} the study '{row.name}'", study_id=study_id)
        if name is not None:
            if not 1 <= len(name.strip()) <= 200:
                raise InputError("A study needs a name of 1 to 200 characters.")
            row.name = name.strip()
        if status is not None:
            if status not in ("open", "closed"):
                raise InputError(f"A study is open or closed, not '{status}'.")
            if row.status == "drawing":
                raise Conflict("This study is still being drawn; stop its job first.")
            row.status = status
        if config is not None:
            choosers.get(config.chooser)
            _check_people(session, config)
            before = StudyConfig.read(row.config)
            row.config = config.plain()
            if (config.overlap, config.overlap_most) != (before.overlap, before.overlap_most):
                queries.change_overlap(session, study_id, config.overlap)
    if config is not None:
        attention.add(studio, study_id)
        if config.chooser != before.chooser:
            choosing.forget(studio, study_id)
            choosing.request(studio, study_id)
    return get(studio, study_id)


def rows(studio: Studio, project_id: int, user: dict[str, Any]) -> list[dict[str, Any]]:
    """The studies of a project that this person may see, newest first, with how far they are."""
    with studio.read() as session:
        found = list(
            session.scalars(
                select(Study).where(Study.project_id == project_id).order_by(Study.id.desc())
            )
        )
        if user["role"] == "annotator":
            asking = users.find(session, user["id"])
            found = [
                row
                for row in found
                if row.status != "drawing" and users.may_judge(session, asking, row)
            ]
        counts = queries.study_counts(session, [row.id for row in found])
        working = {
            job.id: job
            for job in session.scalars(
                select(Job).where(Job.id.in_([row.job_id for row in found if row.job_id]))
            )
        }
        told = blinding.told(session, project_id)
        listed = [_row(row, counts.get(row.id), working.get(row.job_id or 0)) for row in found]
    for study in listed:
        study["shown"] = blinding.shown(study["id"], study["name"], told)
        if user["role"] == "annotator":
            study["name"] = study["shown"]
    return listed


def get(studio: Studio, study_id: int) -> dict[str, Any]:
    """One study with its settings, how far it is, and its first items to look at."""
    with studio.read() as session:
        row = find(session, study_id)
        counts = queries.study_counts(session, [study_id]).get(study_id)
        job = session.get(Job, row.job_id) if row.job_id else None
        return {
            **_row(row, counts, job),
            "config": StudyConfig.read(row.config).plain(),
            "sources": queries.study_sources(session, study_id, row.kind),
        }


def asked(studio: Studio, study_id: int, user_id: int) -> dict[str, Any]:
    """What an annotator needs to know of a study: the question and how it is answered."""
    with studio.read() as session:
        row = handing.open_to(session, study_id, users.find(session, user_id))
        config = StudyConfig.read(row.config)
        return {
            "id": row.id,
            "name": blinding.shown(row.id, row.name, blinding.told(session, row.project_id)),
            "kind": row.kind,
            "status": row.status,
            "question": config.question,
            "guidelines": config.guidelines,
            **config.model_dump(
                mode="json",
                include={
                    "aspects",
                    "reasons",
                    "checklist",
                    "ties",
                    "both_bad",
                    "regions",
                    "spans",
                },
            ),
        }


# --- items ----------------------------------------------------------------------------------------


def plan(studio: Studio, args: dict[str, Any]) -> Plan:
    """What the study's job must draw, from its args."""
    with studio.read() as session:
        row = find(session, args["study_id"])
        project_id, kind = row.project_id, row.kind
    return Plan(
        args["study_id"],
        project_id,
        kind,
        [policies.spec(studio, policy_id) for policy_id in args["policy_ids"]],
        prompts.texts(studio, args["prompt_set_id"], limit=args["num_prompts"]),
        args["seed"],
        args["num_steps"],
    )


def drawn(studio: Studio, study_id: int, sample_ids: Sequence[int], seed: int) -> int:
    """Make the items of what was drawn and open the study; done again, they stay those there are.

    Returns how many items it has.
    """
    with studio.write() as session:
        row = find(session, study_id, lock=True)
        known = session.scalar(select(func.count()).where(Pair.study_id == study_id)) or 0
        row.status = "open"
        made = known or study_items.make(session, row, sample_ids, seed)
    attention.add(studio, study_id, seed)
    choosing.request(studio, study_id)
    return int(made)


def add_samples(
    studio: Studio,
    study_id: int,
    sample_ids: Sequence[int] = (),
    seed: int = 0,
    *,
    from_policies: Sequence[int] = (),
    prompt_set_id: int | None = None,
    by: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Put further items into a study, made of samples that are there: those named, and those of
    policies, all or of one prompt set."""
    with studio.write() as session:
        row = find(session, study_id, lock=True)
        chosen = list(sample_ids)
        if from_policies:
            chosen += study_items.of_policies(
                session, row.project_id, row.kind, from_policies, prompt_set_id
            )
        made = study_items.make(session, row, list(dict.fromkeys(chosen)), seed)
        study_items.refuse_none(made, row.kind)
        text = f"added {made} item{'' if made == 1 else 's'} to the study '{row.name}'"
        audit.note(session, by, "study", text, study_id=study_id)
    attention.add(studio, study_id, seed)
    choosing.request(studio, study_id)
    return get(studio, study_id)


def set_subject(
    studio: Studio,
    study_id: int,
    pair_id: int,
    picture: bytes | None,
    *,
    of_prompt: bool = False,
    by: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The texts of an item (or of all items of its prompt) are about this picture; None: about
    none. Returns {items, subject}: of how many, and where the picture is."""
    name = None
    if picture is not None:
        name, _width, _height = studio.media.put_picture(picture, filename="The picture")
    with studio.write() as session:
        row = find(session, study_id, lock=True)
        items = study_items.set_subject(session, row, pair_id, name, of_prompt=of_prompt)
        done = "set" if name else "took away"
        text = f"{done} the picture of item {pair_id} of '{row.name}'"
        audit.note(session, by, "study", text, study_id=study_id, media=name)
    return {"items": items, "subject": url(name) if name else ""}


# --- inside --------------------------------------------------------------------------------------


def find(session: Session, study_id: int, *, lock: bool = False) -> Study:
    """The row of a study, or NotFound."""
    row = session.get(Study, study_id, with_for_update=lock)
    if row is None:
        raise NotFound(f"There is no study {study_id}; choose one of those on the page Studies.")
    return row


def scope_of(study_id: int | None, comparison_id: int | None = None) -> Scope:
    """The scope that a request names."""
    if study_id is not None and comparison_id is not None:
        raise InputError("Name a study or a comparison, not both.")
    return Scope(comparison_id, study_id)


def _check_drawn(session: Session, wanted: NewStudy) -> None:
    if wanted.prompt_set_id is None:
        raise InputError("Name the prompt set that is drawn.")
    prompts.find(session, wanted.prompt_set_id)
    if wanted.kind == "images" and len(set(wanted.policy_ids)) < 2:
        raise InputError("Two pictures are compared: choose two checkpoints, or samples there are.")


def _samples(session: Session, project_id: int, wanted: NewStudy) -> list[int] | None:
    if wanted.sample_ids:
        return list(wanted.sample_ids)
    if not wanted.from_policies:
        return None
    return study_items.of_policies(session, project_id, wanted.kind, wanted.from_policies)


def _check_people(session: Session, config: StudyConfig) -> None:
    known = set(session.scalars(select(User.id).where(User.id.in_(config.people))))
    unknown = [str(person) for person in config.people if person not in known]
    if unknown:
        raise InputError(
            f"Nobody here has the id {unknown[0]}; name people of /studies/people, or nobody to "
            "ask everybody."
        )


def _name(session: Session, wanted: NewStudy) -> str:
    if wanted.name.strip():
        return wanted.name.strip()[:200]
    ids = list(dict.fromkeys(wanted.policy_ids or wanted.from_policies))
    rows = session.execute(select(Policy.id, Policy.name).where(Policy.id.in_(ids)))
    names = {policy_id: name for policy_id, name in rows}
    return " against ".join(names[i] for i in ids[:3] if i in names)[:200] or "Study"


def _row(row: Study, counts: queries.StudyCounts | None, job: Job | None) -> dict[str, Any]:
    known = counts or queries.StudyCounts(row.id, 0, 0, 0, 0)
    status, error = row.status, ""
    if status == "drawing" and job is not None and job.status in ("failed", "stopped"):
        status, error = "failed", job.error or "The drawing was stopped."
    return {
        "id": row.id,
        "name": row.name,
        "kind": row.kind,
        "status": status,
        "error": error,
        "progress": job.progress if status == "drawing" and job is not None else 1.0,
        "job_id": row.job_id,
        "items": known.items,
        "settled": known.settled,
        "wanted": known.wanted,
        "labels": known.labels,
        "question": row.config.get("question", ""),
        "overlap": row.config.get("overlap", 1),
        "created_at": row.created_at,
    }
