"""Judgements: what judges on servers said, and what people said, read as rows of one shape.

A judge's answers are rows of `judgement`, kept so that nothing is paid for twice, not after a
restart either. People's answers stay in `label`: that table is append-only, knows how a pair came
to be handed out, and takes answers back by new rows, none of which a judge's answer has. `of_pairs`
reads both as the same record, so that agreement, ranking and audits see one list.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from backend.rewards._judge_answers import GIVEN_UP_S, Ended, Known, Question, Reading
from backend.services.studio import Studio
from db.tables import Judgement

ASKED, GIVEN_UP, ANSWERED = "asked", "given up", "ok"


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
    """What a reward may take from a studio: files by their hash, and the record of a judge."""

    studio: Studio

    def __call__(self, name: str) -> Path:
        """A local file with the content of that name."""
        return self.studio.media.local_path(name)

    def answers(self, kind: str, version: str, criterion: str) -> StoredAnswers:
        """The record of a judge of this kind and version, on what is asked."""
        return StoredAnswers(self.studio, kind, version, criterion)


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


def pixels_of(shape: Sequence[int], pixels: bytes) -> str:
    """The hash by which a judgement knows a picture, (H, W, 3) of bytes."""
    return hashlib.sha256(str(tuple(shape)).encode() + pixels).hexdigest()


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
