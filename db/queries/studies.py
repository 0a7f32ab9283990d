"""How far studies are, and what their items are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import case, func, select, true, update
from sqlalchemy.orm import Session

from db.queries.handing import shuffled
from db.queries.standing import is_no_fact
from db.tables import Pair, Policy, Prompt, Sample


class StudyCounts(NamedTuple):
    """How far a study is: items, those with verdicts enough, verdicts wanted and given."""

    study_id: int
    items: int
    settled: int
    wanted: int
    labels: int


def study_counts(session: Session, study_ids: Sequence[int]) -> dict[int, StudyCounts]:
    """Of each study that has items; attention checks are left out."""
    rows = session.execute(
        select(
            Pair.study_id,
            func.count(),
            func.sum(case((Pair.settled.is_(true()), 1), else_=0)),
            func.sum(Pair.overlap),
            func.sum(Pair.verdicts),
        )
        .where(Pair.study_id.in_(list(study_ids)), is_no_fact())
        .group_by(Pair.study_id)
    )
    return {int(row[0]): StudyCounts(*(int(value) for value in row)) for row in rows}


def study_check_counts(session: Session, study_id: int) -> tuple[int, int]:
    """(attention checks, other items) of a study."""
    row = session.execute(
        select(
            func.sum(case((is_no_fact(), 0), else_=1)), func.sum(case((is_no_fact(), 1), else_=0))
        ).where(Pair.study_id == study_id)
    ).one()
    return int(row[0] or 0), int(row[1] or 0)


class Item(NamedTuple):
    """An item of which an attention check is made."""

    pair_id: int
    prompt_id: int
    prompt: str
    sample_a: int
    sample_b: int
    media_a: str


def study_items(session: Session, study_id: int, start: float, limit: int) -> list[Item]:
    """Items of a study from a random place of their shuffled order, which wraps around."""
    query = (
        select(
            Pair.id,
            Pair.prompt_id,
            Prompt.text,
            Pair.sample_a_id,
            Pair.sample_b_id,
            Sample.media,
        )
        .join(Prompt, Prompt.id == Pair.prompt_id)
        .join(Sample, Sample.id == Pair.sample_a_id)
        .where(Pair.study_id == study_id, is_no_fact())
    )
    return [Item._make(row) for row in shuffled(session, query, start, limit)]


def study_sources(session: Session, study_id: int, kind: str) -> list[dict[str, Any]]:
    """{policy_id, name, items} of the policies whose samples stand in a study's items; of fours
    the first two are counted."""
    counted: dict[int, int] = {}
    for column in (Pair.sample_a_id, Pair.sample_b_id)[: 1 if kind == "single" else 2]:
        rows = session.execute(
            select(Sample.policy_id, func.count())
            .join(Pair, column == Sample.id)
            .where(Pair.study_id == study_id, is_no_fact())
            .group_by(Sample.policy_id)
        )
        for policy_id, number in rows:
            counted[policy_id] = counted.get(policy_id, 0) + number
    names = session.execute(select(Policy.id, Policy.name).where(Policy.id.in_(list(counted))))
    return [
        {"policy_id": policy_id, "name": name, "items": counted[policy_id]}
        for policy_id, name in names
    ]


def change_overlap(session: Session, study_id: int, overlap: int) -> None:
    """The new overlap for all items of a study, and which have verdicts enough by it."""
    session.execute(
        update(Pair)
        .where(Pair.study_id == study_id, is_no_fact())
        .values(overlap=overlap, settled=Pair.verdicts >= overlap)
    )
