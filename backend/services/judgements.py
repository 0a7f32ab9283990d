"""Judgements: what judges on servers said, and what people said, read as rows of one shape.

A judge's answers are rows of `judgement`, kept so that nothing is paid for twice, not after a
restart either. People's answers stay in `label`: that table is append-only, knows how a pair came
to be handed out, and takes answers back by new rows, none of which a judge's answer has. `of_pair`
gives a judge's answers the shape of people's, so that they stand in one list.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from backend.rewards._judge_answers import GIVEN_UP_S, Ended, Known, Question, Reading
from backend.rewards._judge_client import digest
from backend.rewards._judge_purse import Budget
from backend.services.purses import StoredPurse
from backend.services.studio import Studio
from db.tables import Judgement, Pair, Sample

ASKED, GIVEN_UP, ANSWERED = "asked", "given up", "ok"
PAIRS = "judge-pair"
"""The kind of judge that is asked about two pictures at once."""


@dataclass(frozen=True)
class StoredAnswers:
    """The record of one judge; see `backend.rewards._judge_answers.Answers`."""

    studio: Studio
    kind: str
    version: str
    criterion: str

    def known(self, keys: Sequence[str]) -> dict[str, Known]:
        """Answers, questions that were given up today, and those that somebody awaits."""
        now = time.time()
        with self.studio.read() as session:
            found = session.scalars(select(Judgement).where(Judgement.question.in_(keys)))
            told = {row.question: _known(row, now) for row in found}
        return {key: known for key, known in told.items() if known is not None}

    def begin(self, question: Question) -> Known | None:
        """Put the question on record, or take up one that was given up long ago."""
        now = time.time()
        insert = sqlite.insert if self.studio.store.dialect == "sqlite" else postgresql.insert
        row = {
            "question": question.key,
            "version": self.version,
            "kind": self.kind,
            "criterion": self.criterion,
            "context": question.context,
            "first": question.first,
            "second": question.second,
            "vote": question.vote,
            "status": ASKED,
            "created_at": now,
        }
        with self.studio.write() as session:
            added = session.execute(
                insert(Judgement)
                .values(**row)
                .on_conflict_do_nothing(index_elements=["question"])
                .returning(Judgement.id)
            ).first()
            if added is not None:
                return None
            there = session.scalar(
                select(Judgement).where(Judgement.question == question.key).with_for_update()
            )
            known = None if there is None else _known(there, now)
            if there is not None and known is None:
                there.status, there.created_at, there.version = ASKED, now, self.version
            return known

    def end(self, ended: Ended) -> None:
        """Keep the answer as the server gave it, or that the question was given up."""
        with self.studio.write() as session:
            session.execute(
                update(Judgement)
                .where(Judgement.question == ended.key)
                .values(
                    status=GIVEN_UP if ended.data is None else ANSWERED,
                    reason=ended.reason,
                    answer=ended.data,
                    tokens=ended.tokens,
                    money=ended.money,
                    latency_s=ended.seconds,
                )
            )

    def release(self, key: str) -> None:
        """Take back a question that was never worked on."""
        with self.studio.write() as session:
            session.execute(
                delete(Judgement).where(Judgement.question == key, Judgement.status == ASKED)
            )

    def read(self, readings: Sequence[Reading]) -> None:
        """Write down values, and by which version they were read."""
        with self.studio.write() as session:
            for one in readings:
                session.execute(
                    update(Judgement)
                    .where(Judgement.question == one.key, Judgement.answer.is_not(None))
                    .values(
                        value=one.value,
                        status=one.status,
                        reason=one.reason,
                        version=self.version,
                    )
                )


@dataclass(frozen=True)
class Shelf:
    """What a reward may take from a studio: files by their hash, the record of a judge, and in a
    run what it may spend on one."""

    studio: Studio
    run_id: int | None = None

    def __call__(self, name: str) -> Path:
        """A local file with the content of that name."""
        return self.studio.media.local_path(name)

    def answers(self, kind: str, version: str, criterion: str) -> StoredAnswers:
        """The record of a judge of this kind and version, on what is asked."""
        return StoredAnswers(self.studio, kind, version, criterion)

    def purse(self, judge: str, budget: Budget) -> StoredPurse | None:
        """The run's purse for a judge; None outside of a run."""
        return None if self.run_id is None else StoredPurse(self.studio, self.run_id, judge, budget)


def spent(studio: Studio) -> dict[str, Any]:
    """{questions, answered, given_up, tokens, money} of all judges on servers."""
    with studio.read() as session:
        return _spent(session)


def of_version(studio: Studio, version: str) -> dict[str, Any]:
    """{answers, tokens, money}: what one version of a judge has answered, and what that took."""
    with studio.read() as session:
        row = session.execute(
            select(
                func.count(),
                func.coalesce(func.sum(Judgement.tokens), 0),
                func.coalesce(func.sum(Judgement.money), 0.0),
            ).where(Judgement.version == version, Judgement.tokens > 0)
        ).one()
    return dict(zip(("answers", "tokens", "money"), row, strict=True))


def of_pair(studio: Studio, pair_id: int) -> list[dict[str, Any]]:
    """What judges on servers said of the two pictures of a pair, in the shape of people's answers:
    {name, kind, criterion, version, choice, shown_left, value, status, reason, seconds, at}.

    `value` is how far a is preferred; a choice is by sample (a, b, tie), empty without a value. Two
    questions on single pictures make no verdict, so only those about both are here.
    """
    with studio.read() as session:
        pair = session.get(Pair, pair_id)
        if pair is None or pair.sample_a_id == pair.sample_b_id:
            return []
        shown = [session.get_one(Sample, one) for one in (pair.sample_a_id, pair.sample_b_id)]
        if any(sample.media is None for sample in shown):
            return []  # texts
        a, b = (_digest(studio, sample.media or "") for sample in shown)
        rows = session.scalars(
            select(Judgement)
            .where(
                or_(
                    and_(Judgement.first == a, Judgement.second == b),
                    and_(Judgement.first == b, Judgement.second == a),
                ),
                Judgement.kind == PAIRS,
                Judgement.latency_s.is_not(None),
            )
            .order_by(Judgement.id)
        )
        return [_as_answer(row, swapped=row.first == b) for row in rows]


def _as_answer(row: Judgement, *, swapped: bool) -> dict[str, Any]:
    value = None if row.value is None else 1 - row.value if swapped else row.value
    choice = "" if value is None else "tie" if value == 0.5 else "a" if value > 0.5 else "b"
    return {
        "name": row.kind,
        "kind": "judge",
        "criterion": row.criterion,
        "version": row.version,
        "choice": choice,
        "shown_left": "b" if swapped else "a",
        "value": value,
        "status": row.status,
        "reason": row.reason,
        "seconds": row.latency_s,
        "at": row.created_at,
    }


def _digest(studio: Studio, media: str) -> str:
    with Image.open(io.BytesIO(studio.media.read(media))) as image:
        return digest(np.asarray(image.convert("RGB")))


def _spent(session: Session) -> dict[str, Any]:
    total = func.coalesce(func.sum(Judgement.tokens), 0)
    money = func.coalesce(func.sum(Judgement.money), 0.0)
    row = session.execute(
        select(
            func.count(),
            func.count().filter(Judgement.latency_s.is_not(None)),
            func.count().filter(Judgement.status == GIVEN_UP),
            total,
            money,
        )
    ).one()
    names = ("questions", "ended", "given_up", "tokens", "money")
    return dict(zip(names, row, strict=True))


def _known(row: Judgement, now: float) -> Known | None:
    """What a row says; None where the question may be asked anew."""
    if row.answer is not None:
        return Known(row.answer)
    age = max(now - row.created_at, 0.0)
    if age > GIVEN_UP_S:
        return None
    if row.status == ASKED:
        return Known(None, awaited_s=age)
    return Known(None, row.reason)
