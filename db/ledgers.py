"""Reads that fill a ledger: pairs and labels of a project as plain rows, streamed in order of id.

No row becomes an object of the mapper, and drivers that can keep the result on the server do, so
memory does not grow with the store.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Text, and_, cast, func, select
from sqlalchemy.orm import Session, aliased

from db.tables import Exclusion, Label, Pair, Sample, Score, User

CHUNK = 20_000
"""Rows fetched at a time."""


class PairRow(NamedTuple):
    """A pair with what made its samples."""

    id: int
    sample_a: int
    sample_b: int
    policy_a: int
    policy_b: int
    study: int | None
    comparison: int | None
    prompt: int
    fact: dict[str, Any] | None


def pairs(session: Session, project_id: int, beyond: int) -> Iterator[PairRow]:
    """Pairs of a project with ids above that one, by rising id."""
    a, b = aliased(Sample), aliased(Sample)
    rows = session.execute(
        select(
            Pair.id,
            Pair.sample_a_id,
            Pair.sample_b_id,
            a.policy_id,
            b.policy_id,
            Pair.study_id,
            Pair.comparison_id,
            Pair.prompt_id,
            Pair.fact,
        )
        .join(a, a.id == Pair.sample_a_id)
        .join(b, b.id == Pair.sample_b_id)
        .where(Pair.id > beyond, Pair.project_id == project_id)
        .order_by(Pair.id),
        execution_options={"yield_per": CHUNK},
    )
    return (PairRow._make(row) for row in rows)


def newest_label(session: Session) -> int:
    """The greatest id of a label in the store, 0 where there is none."""
    return session.scalar(select(func.max(Label.id))) or 0


def label_ids(session: Session, beyond: int, upto: int | None = None) -> list[int]:
    """Ids of all labels of the store above that one, up to another."""
    query = select(Label.id).where(Label.id > beyond)
    return list(session.scalars(query if upto is None else query.where(Label.id <= upto)))


def num_labels(session: Session, beyond: int, upto: int) -> int:
    """How many labels of the store have an id above one, up to another."""
    query = select(func.count()).where(Label.id > beyond, Label.id <= upto)
    return session.scalar(query) or 0


def labels(session: Session, project_id: int, first: int, last: int) -> Iterator[Sequence[Any]]:
    """Labels of a project with ids from `first` to `last`, as `Labels.of` takes them."""
    rows = session.execute(
        select(
            Label.id,
            Label.pair_id,
            Label.user_id,
            Label.choice,
            Label.shown_left,
            Label.t_shown,
            Label.t_answer,
            Pair.propensity * Label.propensity,
            Label.retracts,
            cast(Label.answers, Text),
        )
        .join(Pair, Pair.id == Label.pair_id)
        .where(Label.id >= first, Label.id <= last, Pair.project_id == project_id)
        .order_by(Label.id),
        execution_options={"yield_per": CHUNK},
    )
    return ((*row[:-1], _aspects(row[-1])) for row in rows)


def annotators(session: Session) -> list[tuple[int, str, str]]:
    """(id, name, kind) of everybody who can have given a label."""
    return [
        (row[0], row[1], row[2]) for row in session.execute(select(User.id, User.name, User.kind))
    ]


def exclusions(session: Session, study_id: int | None = None) -> list[Exclusion]:
    """Who is excluded from which study."""
    query = select(Exclusion).order_by(Exclusion.created_at)
    return list(
        session.scalars(query if study_id is None else query.where(Exclusion.study_id == study_id))
    )


def totals_mark(session: Session, reward_id: int) -> tuple[int, float, float]:
    """What changes when a reward's values do: (how many, their sum, when the newest was given)."""
    row = session.execute(
        select(
            func.count(), func.coalesce(func.sum(Score.value), 0.0), func.max(Score.created_at)
        ).where(_total(reward_id))
    ).one()
    return int(row[0]), float(row[1] or 0.0), float(row[2] or 0.0)


def totals(session: Session, reward_id: int) -> Iterator[tuple[int, float]]:
    """(sample, value) of a reward, where it has one."""
    rows = session.execute(
        select(Score.sample_id, Score.value).where(
            _total(reward_id), Score.status == "ok", Score.value.is_not(None)
        ),
        execution_options={"yield_per": CHUNK},
    )
    return ((sample_id, float(value)) for sample_id, value in rows if value is not None)


def _total(reward_id: int) -> Any:
    return and_(Score.reward_id == reward_id, Score.criterion == "total")


def _aspects(answers: str | None) -> dict[str, Any] | None:
    """The aspects among what else was said, which is mostly nothing."""
    if not answers or '"aspects"' not in answers:
        return None
    found: dict[str, Any] | None = json.loads(answers).get("aspects")
    return found
