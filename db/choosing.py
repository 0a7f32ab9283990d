"""Queries of which pair next: what is open in a study, what was said, whose pictures these are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from db.queries import NO_VERDICT, current, is_no_fact, is_trusted
from db.tables import Job, Label, Pair, Policy, Prompt, Sample, User


class OpenOfStudy(NamedTuple):
    """An item of a study that is not settled, by its samples."""

    pair_id: int
    sample_a: int
    sample_b: int
    utility: float


class Verdict(NamedTuple):
    """A standing verdict about two samples of a study, and its chance to have been asked for."""

    sample_a: int
    sample_b: int
    choice: str
    shown_left: str
    kind: str
    propensity: float


def open_pairs_of_study(session: Session, study_id: int, limit: int) -> list[OpenOfStudy]:
    """Items that are not settled, the first in their shuffled order; no attention checks."""
    rows = session.execute(
        select(Pair.id, Pair.sample_a_id, Pair.sample_b_id, Pair.utility)
        .where(Pair.study_id == study_id, Pair.settled.is_(False), is_no_fact())
        .order_by(Pair.shuffle)
        .limit(limit)
    )
    return [OpenOfStudy._make(row) for row in rows]


def verdicts_of_study(session: Session, study_id: int) -> list[Verdict]:
    """All that stand on its items, in the order given; no skips, no attention checks, nothing of
    people who are excluded."""
    rows = session.execute(
        select(
            Pair.sample_a_id,
            Pair.sample_b_id,
            Label.choice,
            Label.shown_left,
            User.kind,
            Pair.propensity * Label.propensity,
        )
        .select_from(Label)
        .join(Pair, Pair.id == Label.pair_id)
        .join(User, User.id == Label.user_id)
        .where(*_verdict_of(study_id))
        .order_by(Label.id)
    )
    return [Verdict._make(row) for row in rows]


def has_verdicts(session: Session, study_id: int) -> bool:
    """Whether anybody has judged an item of the study."""
    one = select(Label.id).join(Pair, Pair.id == Label.pair_id).where(*_verdict_of(study_id))
    return session.scalar(one.limit(1)) is not None


def _verdict_of(study_id: int) -> tuple[ColumnElement[bool], ...]:
    of_study = Pair.study_id == study_id
    return of_study, is_no_fact(), current(), is_trusted(), Label.choice.not_in(NO_VERDICT)


def sampled(
    session: Session, sample_ids: Sequence[int]
) -> dict[int, tuple[str, str, int, int | None]]:
    """Media, prompt, policy and the policy's step of samples."""
    found: dict[int, tuple[str, str, int, int | None]] = {}
    for start in range(0, len(sample_ids), 500):
        rows = session.execute(
            select(Sample.id, Sample.media, Prompt.text, Sample.policy_id, Policy.step)
            .join(Prompt, Prompt.id == Sample.prompt_id)
            .join(Policy, Policy.id == Sample.policy_id)
            .where(Sample.id.in_(sample_ids[start : start + 500]))
        )
        found |= {row[0]: (row[1], row[2], row[3], row[4]) for row in rows}
    return found


def pictures_of_pairs(session: Session, project_id: int, limit: int) -> list[tuple[str, str]]:
    """(media hash, prompt) of the pictures of the newest pairs of a project, each once."""
    found: dict[tuple[str, str], None] = {}
    for column in (Pair.sample_a_id, Pair.sample_b_id):
        rows = session.execute(
            select(Sample.media, Prompt.text)
            .select_from(Pair)
            .join(Sample, Sample.id == column)
            .join(Prompt, Prompt.id == Pair.prompt_id)
            .where(Pair.project_id == project_id, Sample.text.is_(None), is_no_fact())
            .order_by(Pair.id.desc())
            .limit(limit // 2)
        )
        found |= {(media, text): None for media, text in rows}
    return sorted(found)


def newest_pair(session: Session, project_id: int) -> int:
    """The id of a project's newest pair, 0 where there is none."""
    newest = select(Pair.id).where(Pair.project_id == project_id).order_by(Pair.id.desc()).limit(1)
    return session.scalar(newest) or 0


def waiting_jobs(session: Session, kind: str) -> list[dict[str, Any]]:
    """The args of jobs of a kind that are due, not yet begun."""
    return list(session.scalars(select(Job.args).where(Job.kind == kind, Job.status == "due")))
