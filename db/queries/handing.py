"""Which pairs an annotator may be handed next, and what is shown of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.orm import Session, aliased

from db.queries.standing import NO_VERDICT, QUEUE, Scope, current, in_scope, is_no_fact, is_trusted
from db.tables import Label, Lease, Pair, Prompt, Sample, User


class OpenPair(NamedTuple):
    """A pair that an annotator has not judged, with what is needed to show it."""

    pair_id: int
    prompt: str
    media_a: str
    width_a: int
    height_a: int
    media_b: str
    width_b: int
    height_b: int
    text_a: str | None
    text_b: str | None
    detail: dict[str, Any]


def _shown(pairs: Select[int]) -> Any:
    """Everything about pairs that the person who judges may see, in queue order."""
    left, right = aliased(Sample), aliased(Sample)
    return (
        select(
            Pair.id,
            Prompt.text,
            left.media,
            left.width,
            left.height,
            right.media,
            right.width,
            right.height,
            left.text,
            right.text,
            Pair.detail,
        )
        .join(Prompt, Prompt.id == Pair.prompt_id)
        .join(left, left.id == Pair.sample_a_id)
        .join(right, right.id == Pair.sample_b_id)
        .where(Pair.id.in_(pairs))
        .order_by(Pair.priority, Pair.id)
    )


def shown_pairs(session: Session, pair_ids: Sequence[int]) -> list[OpenPair]:
    """Prompts and pictures of the named pairs, in queue order."""
    rows = session.execute(_shown(select(Pair.id).where(Pair.id.in_(pair_ids))))
    return [OpenPair._make(row) for row in rows]


def _judged_by(user_id: int) -> ColumnElement[bool]:
    return exists(
        select(1).where(Label.pair_id == Pair.id, Label.user_id == user_id, current())
    ).correlate(Pair)


def leased_pairs(session: Session, project_id: int, user_id: int, scope: Scope) -> dict[int, str]:
    """Pairs this annotator holds and has not judged → the sample on the left, as they were leased
    or, in the queue, in its order."""
    rows = session.execute(
        select(Pair.id, Lease.shown_left)
        .join(Lease, and_(Lease.pair_id == Pair.id, Lease.user_id == user_id))
        .where(Pair.project_id == project_id, in_scope(scope), ~_judged_by(user_id))
        .order_by(Pair.priority, Pair.id)
    )
    return {pair_id: side for pair_id, side in rows}


def _verdicts(kind: str) -> Any:
    """How many verdicts of this kind of annotator stand on a pair, as a part of a statement; those
    of people who are excluded do not count."""
    other = aliased(User)
    return (
        select(func.count())
        .select_from(Label)
        .join(other, other.id == Label.user_id)
        .where(
            Label.pair_id == Pair.id,
            Label.choice.not_in(NO_VERDICT),
            other.kind == kind,
            current(),
            is_trusted(),
        )
        .correlate(Pair)
        .scalar_subquery()
    )


def wants_more(user_id: int, kind: str, now: float) -> ColumnElement[bool]:
    """Pairs that still want a verdict of this kind of annotator and that nobody else holds.

    A pair is free while verdicts plus leases of others of the same kind are fewer than its overlap,
    of which excluded people have no part; a skip is nobody's verdict, but the one who skipped is
    not asked again.
    """
    verdicts = _verdicts(kind)
    holder = aliased(User)
    held = (
        select(func.count())
        .select_from(Lease)
        .join(holder, holder.id == Lease.user_id)
        .where(
            Lease.pair_id == Pair.id,
            Lease.user_id != user_id,
            Lease.until > now,
            holder.kind == kind,
            is_trusted(Lease),
        )
        .correlate(Pair)
        .scalar_subquery()
    )
    free = and_(~_judged_by(user_id), verdicts + held < Pair.overlap)
    if kind == "person":  # the hint spares a walk over all that was judged before
        return and_(free, Pair.settled.is_(False))
    return free


def free_pairs(
    session: Session,
    project_id: int,
    user_id: int,
    kind: str,
    *,
    limit: int,
    now: float,
    scope: Scope = QUEUE,
    among: Iterable[int] | None = None,
) -> list[int]:
    """Pairs that want a verdict (see `wants_more`) in queue order."""
    query = (
        select(Pair.id)
        .where(Pair.project_id == project_id, in_scope(scope), wants_more(user_id, kind, now))
        .order_by(Pair.priority, Pair.id)
        .limit(limit)
    )
    if among is not None:
        query = query.where(Pair.id.in_(list(among)))
    return list(session.scalars(query))


class Candidate(NamedTuple):
    """A pair that could be handed out next, and how much a judgement of it would tell."""

    pair_id: int
    utility: float
    fact: dict[str, Any] | None
    """Of an attention check."""


def candidates(
    session: Session,
    study_id: int,
    user_id: int,
    kind: str,
    *,
    start: float,
    limit: int,
    now: float,
    are_facts: bool = False,
) -> list[Candidate]:
    """Free pairs of a study (or its attention checks) from a random place of their shuffled order.

    `start` is uniform in [0, 1); the order wraps around, so all open pairs are alike to it.
    """
    query = select(Pair.id, Pair.utility, Pair.fact).where(
        Pair.study_id == study_id,
        ~is_no_fact() if are_facts else is_no_fact(),
        wants_more(user_id, kind, now),
    )
    return [Candidate._make(row) for row in shuffled(session, query, start, limit)]


def shuffled(session: Session, query: Any, start: float, limit: int) -> list[Any]:
    """Rows of a query of pairs from that place of their shuffled order, which wraps around."""
    found: list[Any] = []
    for side in (Pair.shuffle >= start, Pair.shuffle < start):
        if len(found) < limit:
            part = query.where(side).order_by(Pair.shuffle).limit(limit - len(found))
            found += session.execute(part).all()
    return found


class Counted(NamedTuple):
    """What is kept with a pair of how often it was judged."""

    id: int
    study: int | None
    is_fact: bool
    overlap: int
    verdicts: int
    settled: bool


def lock_pairs(session: Session, pair_ids: Sequence[int]) -> list[Counted]:
    """Pairs by their id, locked until the transaction ends."""
    rows = session.execute(
        select(Pair.id, Pair.study_id, ~is_no_fact(), Pair.overlap, Pair.verdicts, Pair.settled)
        .where(Pair.id.in_(pair_ids))
        .order_by(Pair.id)
        .with_for_update()
    )
    return [Counted._make(row) for row in rows]
