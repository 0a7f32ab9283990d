"""Sets of pictures for the Reward lab: what a key means, what is stored of it, who scores it.

    newest       the project's newest pictures          run:3@40   a run's held-out pictures
    policy:12    what one model drew                    study:5    the items of a study
    imported     what came from outside

A value is taken from the store where a reward of the same version has judged the same picture under
the same prompt, in whichever sample; only the rest is asked for, by a job (`score_set`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from backend.errors import InputError, NotFound
from backend.rewards.interface import Scores
from backend.services import board_sources, jobs, policies, rewards, runs, samples, studies
from backend.services.rewards import TOTAL, ScoreRow
from backend.services.samples import SampleFile
from backend.services.studio import Studio
from db import queries
from db.tables import Evaluation, Pair, Policy, Prompt, Run, Sample, Score, Study

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST: Final = 5000
"""Pictures of a set, the newest ones."""
MOST_REWARDS: Final = 8
NEWEST: Final = "newest"
KIND: Final = "score_set"
RUNS: Final = 40
"""Latest runs whose held-out pictures are offered."""
BATCH: Final = 2000
SETTLED: Final = ("ok", "abstain", "n/a")
"""What is not asked again: a value, or none on purpose."""
_KEY = re.compile(r"(?P<what>policy|study):(?P<id>\d{1,18})|run:(?P<run>\d{1,18})@(?P<step>\d+)")


@dataclass(frozen=True)
class Shown:
    """A picture of a set."""

    id: int
    prompt_id: int
    prompt: str
    media: str
    width: int


@dataclass(frozen=True)
class Said:
    """What one reward said of the pictures of a set: (N,) each, NaN and "" where nothing."""

    values: Floats
    status: list[str]
    detail: list[str]
    version: list[str]


def sources(studio: Studio, project_id: int) -> list[dict[str, Any]]:
    """Sets that have pictures: [{key, title, kind, pictures}]; of a run one for each evaluation."""
    with studio.read() as session:
        drawn = session.execute(
            select(Policy.id, Policy.name, Policy.family, func.count(Sample.id))
            .join(Sample, Sample.policy_id == Policy.id)
            .where(Policy.project_id == project_id, Sample.text.is_(None))
            .group_by(Policy.id, Policy.name, Policy.family)
            .order_by(Policy.id.desc())
        ).all()
        asked = session.execute(
            select(Study.id, Study.name, func.count(Pair.id))
            .join(Pair, Pair.study_id == Study.id)
            .where(Study.project_id == project_id, Study.kind != "texts")
            .group_by(Study.id, Study.name)
            .order_by(Study.id.desc())
        ).all()
        newest = select(Run.id).where(Run.project_id == project_id).order_by(Run.id.desc())
        shown = session.execute(
            select(Run.id, Run.name, Evaluation.step, Evaluation.samples)
            .join(Evaluation, Evaluation.run_id == Run.id)
            .where(Run.id.in_(list(session.scalars(newest.limit(RUNS)))))
            .order_by(Run.id.desc(), Evaluation.step.desc())
        ).all()
    whole = min(sum(row[3] for row in drawn), MOST)
    found = [_source(NEWEST, "Newest pictures", "project", whole)] if whole else []
    for policy_id, name, family, num in drawn:
        outside = family == policies.IMPORTED
        key = board_sources.IMPORTED if outside else f"policy:{policy_id}"
        kind = "imported" if outside else "model"
        found.append(_source(key, name, kind, min(num, MOST)))
    found += [_source(f"study:{i}", name, "study", num) for i, name, num in asked]
    for run_id, name, step, pictures in shown:
        if pictures:
            title = f"{name} @ {step}"
            found.append(_source(f"run:{run_id}@{step}", title, "run", len(pictures)))
    return found


def resolve(studio: Studio, project_id: int, key: str, limit: int = MOST) -> list[Shown]:
    """The pictures that a key means, newest first; NotFound or InputError where it means none."""
    with studio.read() as session:
        query = _query(session, project_id, key)
        rows = session.execute(query.order_by(Sample.id.desc()).limit(limit)).all()
    found = [Shown(*row) for row in rows]
    if key.startswith("run:"):  # a run's base may have drawn the same picture twice
        found = list({(one.media, one.prompt_id): one for one in reversed(found)}.values())[::-1]
    return found


def score(
    studio: Studio, project_id: int, key: str, reward_ids: Sequence[int], *, again: bool = False
) -> int:
    """Ask the workers to score a set with some rewards; returns the job's id.

    `again` asks about every picture anew, also where the store has an answer.
    """
    ids = checked_rewards(studio, project_id, reward_ids)
    if key.startswith("run:"):
        keep_evaluation(studio, project_id, key)
    if not resolve(studio, project_id, key, 1):
        raise InputError("This set has no pictures; draw some first.")
    args = {"project_id": project_id, "set": key, "reward_ids": ids, "again": again}
    return jobs.create(studio, KIND, args)


def checked_rewards(studio: Studio, project_id: int, reward_ids: Sequence[int]) -> list[int]:
    """The ids, each once and of this project."""
    ids = list(dict.fromkeys(reward_ids))
    if not 1 <= len(ids) <= MOST_REWARDS:
        raise InputError(f"{len(ids)} rewards were chosen; choose 1 to {MOST_REWARDS} at a time.")
    with studio.read() as session:
        for reward_id in ids:
            if rewards.find(session, reward_id).project_id != project_id:
                raise NotFound(f"There is no reward {reward_id} in this project.")
    return ids


def keep_evaluation(studio: Studio, project_id: int, key: str) -> None:
    """Make samples of a run's held-out pictures, so that any reward may score them."""
    with studio.write() as session:
        run, evaluation = _evaluation(session, project_id, key)
        texts = [shown["prompt"] for shown in evaluation.samples]
        known = queries.prompts_by_text(session, project_id, texts)
        names = [shown["media"] for shown in evaluation.samples]
        there = set(
            session.execute(
                select(Sample.media, Sample.prompt_id).where(
                    Sample.project_id == project_id, Sample.media.in_(names)
                )
            ).tuples()
        )
        side = policies.find(session, run.policy_id)
        for shown in evaluation.samples:
            prompt_id = known.get(shown["prompt"])
            if prompt_id is None or (shown["media"], prompt_id) in there:
                continue
            there.add((shown["media"], prompt_id))
            width, height = _size(studio, shown["media"])
            session.add(
                Sample(
                    project_id=project_id,
                    prompt_id=prompt_id,
                    policy_id=side.id,
                    seed=shown.get("seed") or 0,
                    media=shown["media"],
                    width=width,
                    height=height,
                    settings={"source": "evaluation", "run": run.id, "step": evaluation.step},
                )
            )


# --- what is stored -----------------------------------------------------------------------------


def values(studio: Studio, reward_id: int, sample_ids: Sequence[int]) -> Said:
    """What a reward said of these samples, in their order."""
    at = {sample_id: i for i, sample_id in enumerate(sample_ids)}
    said = Said(np.full(len(at), np.nan), [""] * len(at), [""] * len(at), [""] * len(at))
    with studio.read() as session:
        for some in queries.batches(sample_ids, BATCH):
            for sample_id, value, status, detail, version in session.execute(
                select(Score.sample_id, Score.value, Score.status, Score.detail, Score.version)
                .where(Score.reward_id == reward_id, Score.criterion == TOTAL)
                .where(Score.sample_id.in_(some))
            ):
                row = at[sample_id]
                said.values[row] = np.nan if value is None else value
                said.status[row], said.detail[row] = status, detail
                said.version[row] = version
    return said


def part(studio: Studio, reward_id: int, sample_ids: Sequence[int], criterion: str) -> Floats:
    """One aspect of what a reward said, as its deviation ("sd"); NaN where it has none. (N,)"""
    at = {sample_id: i for i, sample_id in enumerate(sample_ids)}
    found = np.full(len(at), np.nan)
    with studio.read() as session:
        for some in queries.batches(sample_ids, BATCH):
            for sample_id, value in session.execute(
                select(Score.sample_id, Score.value)
                .where(Score.reward_id == reward_id, Score.criterion == criterion)
                .where(Score.sample_id.in_(some), Score.value.is_not(None))
            ):
                found[at[sample_id]] = value
    return found


def take_over(studio: Studio, reward_id: int, version: str, wanted: Sequence[SampleFile]) -> int:
    """Copy what the same version has said of the same pictures under the same prompts, in other
    samples or as another reward; returns how many samples have an answer by it."""
    rows: list[ScoreRow] = []
    with studio.read() as session:
        for some in queries.batches(wanted, BATCH):
            mine = {(file.media, file.prompt): file.id for file in some}
            seen: dict[tuple[int, str], ScoreRow] = {}
            for media, prompt, value, status, detail, criterion in session.execute(
                select(
                    Sample.media,
                    Prompt.text,
                    Score.value,
                    Score.status,
                    Score.detail,
                    Score.criterion,
                )
                .join(Sample, Sample.id == Score.sample_id)
                .join(Prompt, Prompt.id == Sample.prompt_id)
                .where(Sample.media.in_({file.media for file in some}), Score.version == version)
                .order_by(Score.id)
            ):
                sample_id = mine.get((media, prompt))
                if sample_id is not None and (criterion != TOTAL or status in SETTLED):
                    row = ScoreRow(sample_id, value, status, detail, criterion)
                    seen[sample_id, criterion] = row
            whole = {sample_id for sample_id, criterion in seen if criterion == TOTAL}
            rows += [row for row in seen.values() if row.sample_id in whole]
    rewards.record_scores(studio, reward_id, rows, version)
    return len({row.sample_id for row in rows})


def rows_of(part: Sequence[SampleFile], said: Scores) -> list[ScoreRow]:
    """What a scorer said of some pictures as rows of the store: the total, then every aspect."""
    reasons = said.reasons or [""] * len(part)
    found = [
        ScoreRow(file.id, _or_none(value), status, reason)
        for file, value, status, reason in zip(part, said.values, said.status, reasons, strict=True)
    ]
    for name, aspect in said.parts.items():
        if name == TOTAL:
            continue
        found += [
            ScoreRow(file.id, _or_none(value), "ok" if math.isfinite(value) else "n/a", "", name)
            for file, value in zip(part, aspect, strict=True)
        ]
    return found


def to_ask(said: Said, version: str) -> list[int]:
    """Rows of a set that the present version of a reward has not settled."""
    return [
        i
        for i, (status, old) in enumerate(zip(said.status, said.version, strict=True))
        if status not in SETTLED or old not in ("", version)
    ]


# --- parts --------------------------------------------------------------------------------------


def _query(session: Session, project_id: int, key: str) -> Select[Any]:
    columns: list[Any] = [Sample.id, Sample.prompt_id, Prompt.text, Sample.media, Sample.width]
    query: Select[Any] = (
        select(*columns)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .where(Sample.project_id == project_id, Sample.text.is_(None))
    )
    if key == NEWEST:
        return query
    if key == board_sources.IMPORTED:
        imported = select(Policy.id).where(
            Policy.project_id == project_id, Policy.family == policies.IMPORTED
        )
        return query.where(Sample.policy_id.in_(imported))
    found = _KEY.fullmatch(key)
    if found is None:
        raise InputError(
            f"'{key[:60]}' is no set of pictures; write newest, policy:12, run:3@40, study:5 or "
            "imported."
        )
    if found["run"]:
        _run, evaluation = _evaluation(session, project_id, key)
        names = {shown["media"] for shown in evaluation.samples}
        texts = {shown["prompt"] for shown in evaluation.samples}
        return query.where(Sample.media.in_(names), Prompt.text.in_(texts))
    if found["what"] == "policy":
        policy = policies.find(session, int(found["id"]))
        if policy.project_id != project_id:
            raise NotFound(f"There is no policy {policy.id} in this project.")
        return query.where(Sample.policy_id == policy.id)
    study = studies.find(session, int(found["id"]))
    if study.project_id != project_id:
        raise NotFound(f"There is no study {study.id} in this project.")
    return query.where(Sample.id.in_(_of_study(session, study.id)))


def _of_study(session: Session, study_id: int) -> set[int]:
    ids: set[int] = set()
    for a, b, detail in session.execute(
        select(Pair.sample_a_id, Pair.sample_b_id, Pair.detail)
        .where(Pair.study_id == study_id)
        .order_by(Pair.id.desc())
        .limit(MOST)
    ):
        ids |= {a, b, *(detail or {}).get("more", [])}
    return ids


def _evaluation(session: Session, project_id: int, key: str) -> tuple[Run, Evaluation]:
    found = _KEY.fullmatch(key)
    if found is None or not found["run"]:
        raise InputError(f"'{key[:60]}' is no evaluation of a run; write run:3@40.")
    run = runs.find(session, int(found["run"]))
    evaluation = session.get(Evaluation, (run.id, int(found["step"])))
    if run.project_id != project_id or evaluation is None:
        raise NotFound(f"Run {found['run']} has no evaluation at step {found['step']} here.")
    return run, evaluation


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _size(studio: Studio, media: str) -> tuple[int, int]:
    from PIL import Image

    with Image.open(studio.media.local_path(media)) as picture:
        return picture.size


def _source(key: str, title: str, kind: str, pictures: int) -> dict[str, Any]:
    return {"key": key, "title": title, "kind": kind, "pictures": pictures}


def files_of(shown: Iterable[Shown]) -> list[SampleFile]:
    """The pictures as a scorer needs them."""
    return [SampleFile(one.id, one.prompt, one.media) for one in shown]


def row(shown: Shown) -> dict[str, Any]:
    """A picture as the API shows it."""
    return {
        "id": shown.id,
        "prompt": shown.prompt,
        "url": samples.url(shown.media),
        "width": shown.width,
    }
