"""Samples: decoded pictures with everything needed to draw them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, func, insert, select

from backend.errors import NotFound
from backend.rl.randomness import seed_of
from backend.services import addresses, jobs, policies, prompts
from backend.services.studio import Studio
from db import queries
from db.tables import Job, Policy, Prompt, Reward, Sample

REWRITTEN = "rewritten"
"""`source` in the settings of a picture for which the generator was asked in other words than the
prompt's; the words are its `request`."""

MOST_NAMED = 500
"""Samples named in one statement."""


@dataclass(frozen=True)
class NewSample:
    """A picture that was just drawn; `media` is its hash."""

    prompt_id: int
    seed: int
    media: str
    width: int
    height: int
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SampleFile:
    """A sample as a scorer needs it."""

    id: int
    prompt: str
    media: str


def picture_seed(seed: int, text: str, number: int) -> int:
    """The noise of the `number`-th picture of a prompt under a job's seed, whoever draws it."""
    return seed_of(seed, "picture", text, number)


def url(media: str) -> str:
    """Where a browser finds a picture; the hash of its content and, for an annotator, a seal."""
    return addresses.of(media)


def content(media: str, width: int, height: int, text: str | None) -> dict[str, Any]:
    """What there is to see of a sample: {text}, or {url, width, height}."""
    if text is not None:
        return {"text": text}
    return {"url": url(media), "width": width, "height": height}


def generate(
    studio: Studio,
    *,
    prompt_set_id: int,
    policy_id: int,
    num_prompts: int,
    samples_per_prompt: int,
    num_steps: int,
    seed: int,
    make_pairs: bool,
) -> int:
    """Ask the workers to draw; returns the job's id."""
    with studio.read() as session:
        prompts.find(session, prompt_set_id)
        policies.find(session, policy_id)
    args = {
        "prompt_set_id": prompt_set_id,
        "policy_id": policy_id,
        "num_prompts": num_prompts,
        "samples_per_prompt": samples_per_prompt,
        "num_steps": num_steps,
        "seed": seed,
        "make_pairs": make_pairs,
    }
    return jobs.create(studio, "generate", args)


def add(studio: Studio, project_id: int, policy_id: int, drawn: Sequence[NewSample]) -> list[int]:
    """Store samples in one transaction; returns their ids in the same order."""
    if not drawn:
        return []
    rows = [
        {
            "project_id": project_id,
            "policy_id": policy_id,
            "prompt_id": sample.prompt_id,
            "seed": sample.seed,
            "media": sample.media,
            "width": sample.width,
            "height": sample.height,
            "settings": sample.settings,
        }
        for sample in drawn
    ]
    with studio.write() as session:
        inserted = session.scalars(
            insert(Sample).returning(Sample.id, sort_by_parameter_order=True), rows
        )
        return list(inserted)


def drawn_before(
    studio: Studio, policy_id: int, prompt_ids: Sequence[int], settings: dict[str, Any]
) -> dict[tuple[int, int, str], int]:
    """(prompt id, seed, request) → id of the samples a policy has drawn of these prompts with these
    settings; the request is empty where the generator was asked in the words of the prompt.

    A job that is done again after its worker died, or asked for twice, finds its pictures here.
    """
    query = select(Sample.prompt_id, Sample.seed, Sample.id, Sample.settings).where(
        Sample.policy_id == policy_id, Sample.prompt_id.in_(list(prompt_ids))
    )
    found = {}
    with studio.read() as session:
        for prompt_id, seed, sample_id, drawn_with in session.execute(query):
            request = drawn_with.get("request", "")
            if drawn_with == asked_with(settings, request):
                found[prompt_id, seed, request] = sample_id
    return found


def asked_with(settings: dict[str, Any], request: str) -> dict[str, Any]:
    """The settings of a picture for which the generator was asked in other words, if in any."""
    return {**settings, "source": REWRITTEN, "request": request} if request else settings


def is_of_its_prompt() -> ColumnElement[bool]:
    """Samples for which the generator was asked in the words of their prompt."""
    return func.coalesce(Sample.settings["source"].as_string(), "") != REWRITTEN


def page(
    studio: Studio,
    project_id: int,
    *,
    policy_id: int | None = None,
    prompt_id: int | None = None,
    after: int | None = None,
    limit: int = 60,
) -> dict[str, Any]:
    """Newest samples first, `after` a sample's id; `next` is None on the last page."""
    query = (
        select(Sample, Prompt.text)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .where(Sample.project_id == project_id)
        .order_by(Sample.id.desc())
        .limit(limit + 1)
    )
    if policy_id is not None:
        query = query.where(Sample.policy_id == policy_id)
    if prompt_id is not None:
        query = query.where(Sample.prompt_id == prompt_id)
    if after is not None:
        query = query.where(Sample.id < after)
    with studio.read() as session:
        found = list(session.execute(query))
        shown = found[:limit]
        names = {
            reward_id: name
            for reward_id, name in session.execute(
                select(Reward.id, Reward.name).where(Reward.project_id == project_id)
            )
        }
        scores = queries.scores_of(session, [sample.id for sample, _ in shown])
    items = [
        {
            **row(sample, prompt),
            "scores": {
                names[reward_id]: value
                for reward_id, (value, _status) in scores.get(sample.id, {}).items()
                if reward_id in names
            },
        }
        for sample, prompt in shown
    ]
    return {"items": items, "next": shown[-1][0].id if len(found) > limit else None}


def drawing(studio: Studio, project_id: int) -> dict[str, Any] | None:
    """The job that draws pairs for this project now, or None: {job_id, progress}."""
    with studio.read() as session:
        of_project = set(session.scalars(select(Policy.id).where(Policy.project_id == project_id)))
        open_jobs = session.scalars(
            select(Job)
            .where(Job.kind == "generate", Job.status.in_(("due", "running")))
            .order_by(Job.id)
        )
        for job in open_jobs:
            if job.args.get("make_pairs") and job.args.get("policy_id") in of_project:
                return {"job_id": job.id, "progress": job.progress}
    return None


def is_being_drawn(studio: Studio, policy_id: int) -> bool:
    """Whether a job that waits or runs draws with this policy."""
    with studio.read() as session:
        open_jobs = session.scalars(
            select(Job.args).where(Job.kind == "generate", Job.status.in_(("due", "running")))
        )
        return any(args.get("policy_id") == policy_id for args in open_jobs)


def files(
    studio: Studio, project_id: int, *, policy_id: int | None = None, limit: int | None = None
) -> list[SampleFile]:
    """Pictures with their prompts for scoring, newest first."""
    query = (
        select(Sample.id, Prompt.text, Sample.media)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .where(Sample.project_id == project_id, Sample.text.is_(None))
        .order_by(Sample.id.desc())
        .limit(limit)
    )
    if policy_id is not None:
        query = query.where(Sample.policy_id == policy_id)
    with studio.read() as session:
        return [SampleFile(*found) for found in session.execute(query)]


def files_of(studio: Studio, ids: Sequence[int]) -> list[SampleFile]:
    """These pictures with their prompts, in their order."""
    query = select(Sample.id, Prompt.text, Sample.media).join(Prompt, Prompt.id == Sample.prompt_id)
    with studio.read() as session:
        found = {
            row.id: SampleFile(*row)
            for at in range(0, len(ids), MOST_NAMED)
            for row in session.execute(query.where(Sample.id.in_(ids[at : at + MOST_NAMED])))
        }
    return [found[sample_id] for sample_id in ids]


def at(studio: Studio, sample_id: int) -> dict[str, Any]:
    """One sample."""
    with studio.read() as session:
        sample = session.get(Sample, sample_id)
        if sample is None:
            raise NotFound(f"There is no sample {sample_id}.")
        prompt = session.get_one(Prompt, sample.prompt_id)
        return row(sample, prompt.text)


def row(sample: Sample, prompt: str) -> dict[str, Any]:
    """A sample as the API shows it to those who may know its policy."""
    return {
        "id": sample.id,
        "prompt": prompt,
        "url": url(sample.media),
        "width": sample.width,
        "height": sample.height,
        "seed": sample.seed,
        "policy_id": sample.policy_id,
    }
