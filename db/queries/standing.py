"""Which pairs and which labels are meant: conditions that the other reads share.

A *current* label is one that is not itself a retraction and that no retraction names.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, exists, null, or_, select
from sqlalchemy.orm import aliased

from db.tables import Exclusion, Label, Lease, Pair, Study

NO_VERDICT = ("skip", "retract")
"""Choices that do not settle a pair."""
IMPLICIT = "implicit"
"""The source of weak pairs, and the kind of user behind their labels: what people clicked, liked or
downloaded. Nobody is asked about them, and nothing learns from them unless they are asked for."""


class Scope(NamedTuple):
    """Which pairs are meant: those of one comparison, of one study, or the project's queue."""

    comparison: int | None = None
    study: int | None = None


QUEUE = Scope()
OTHER = {"a": "b", "b": "a"}
"""The other sample of a pair."""


def current() -> ColumnElement[bool]:
    """The condition that a row of `label` stands: no retraction, and not retracted."""
    taken_back = aliased(Label)
    return and_(
        Label.choice != "retract",
        ~exists(select(1).where(taken_back.retracts == Label.id)),
    )


def is_trusted(of: type[Label] | type[Lease] = Label) -> ColumnElement[bool]:
    """The condition that whose label (or lease) it is is not excluded from the study of its
    pair."""
    return ~exists(
        select(1).where(Exclusion.study_id == Pair.study_id, Exclusion.user_id == of.user_id)
    ).correlate(Pair, of)


def in_scope(scope: Scope) -> ColumnElement[bool]:
    """Pairs of one comparison or of one study, or those of the label queue (which have neither)."""
    if scope.comparison is not None:
        return Pair.comparison_id == scope.comparison
    if scope.study is not None:
        return Pair.study_id == scope.study
    return and_(is_in_queue(), Pair.source != IMPLICIT)


def is_in_queue() -> ColumnElement[bool]:
    """Pairs of no comparison and no study, weak ones among them."""
    return and_(Pair.comparison_id.is_(None), Pair.study_id.is_(None))


def is_taste() -> ColumnElement[bool]:
    """Pairs whose labels say what people prefer between two pictures: what a reward learns from.

    Those of the queue and of studies of pictures; no votes of a comparison, no attention checks.
    """
    of_pictures = select(Study.id).where(Study.kind == "images")
    return and_(
        Pair.comparison_id.is_(None),
        Pair.source != IMPLICIT,
        is_no_fact(),
        or_(Pair.study_id.is_(None), Pair.study_id.in_(of_pictures)),
    )


def is_no_fact() -> ColumnElement[bool]:
    """Pairs that are no attention checks."""
    return Pair.fact.is_(null())


def by_sample(choice: str, left: str) -> str:
    """A choice of a side as the sample that stood there; other choices as they are."""
    if choice == "left":
        return left
    return OTHER[left] if choice == "right" else choice
