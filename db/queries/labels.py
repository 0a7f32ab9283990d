"""What was said of pairs: judgements page by page, one annotator's own, counts and votes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import Session, aliased

from db.queries.standing import (
    IMPLICIT,
    NO_VERDICT,
    Scope,
    by_sample,
    current,
    in_scope,
    is_in_queue,
    is_no_fact,
    is_taste,
    is_trusted,
)
from db.tables import Label, Pair, Prompt, PromptSet, Sample, User


class Judgement(NamedTuple):
    """A current label with its pictures in the order in which they were shown."""

    label_id: int
    pair_id: int
    comparison_id: int | None
    prompt_id: int
    prompt: str
    choice: str
    shown_left: str
    media_a: str
    media_b: str
    user_id: int
    user: str
    kind: str
    t_shown: float
    t_answer: float
    reasons: list[Any]
    comment: str
    source: str
    chooser: str
    propensity: float
    client_id: str
    study_id: int | None
    answers: dict[str, Any]
    detail: dict[str, Any]
    text_a: str | None = None
    text_b: str | None = None


def judgements(
    session: Session,
    project_id: int,
    *,
    kind: str | None = None,
    scope: Scope | None = None,
    after: int = 0,
    limit: int = 2000,
    excluded: bool = False,
) -> list[Judgement]:
    """Current labels by rising id after `after`; `kind` person or simulated, None for both,
    implicit for the weak ones, which no other kind brings. `excluded`: also those of people who
    are excluded from the study they judged.

    Without a scope those that say what is preferred (see `is_taste`): votes in a comparison and
    attention checks never train.
    """
    left, right = aliased(Sample), aliased(Sample)
    meant = is_taste() if scope is None else and_(in_scope(scope), is_no_fact())
    query = (
        select(
            Label.id,
            Label.pair_id,
            Pair.comparison_id,
            Pair.prompt_id,
            Prompt.text,
            Label.choice,
            Label.shown_left,
            left.media,
            right.media,
            Label.user_id,
            User.name,
            User.kind,
            Label.t_shown,
            Label.t_answer,
            Label.reasons,
            Label.comment,
            Pair.source,
            case((Label.chooser != "", Label.chooser), else_=Pair.chooser),
            Pair.propensity * Label.propensity,
            Label.client_id,
            Pair.study_id,
            Label.answers,
            Pair.detail,
            left.text,
            right.text,
        )
        # "+ 0": labels are walked by their id, page after page, and never sorted for each page,
        # as they are when a planner comes to them by their pairs or their annotators.
        .join(Pair, Pair.id == Label.pair_id + 0)
        .join(Prompt, Prompt.id == Pair.prompt_id)
        .join(left, left.id == Pair.sample_a_id)
        .join(right, right.id == Pair.sample_b_id)
        .join(User, User.id == Label.user_id + 0)
        .where(
            Pair.project_id == project_id,
            is_in_queue() if kind == IMPLICIT else meant,
            current(),
            Label.id > after,
        )
        .order_by(Label.id)
        .limit(limit)
    )
    query = query.where(User.kind != IMPLICIT if kind is None else User.kind == kind)
    if not excluded:
        query = query.where(is_trusted())
    return [Judgement._make(row) for row in session.execute(query)]


def verdicts_by_sample(session: Session, pair_ids: Sequence[int]) -> dict[int, list[str]]:
    """Of each pair people's verdicts that stand and count: a, b, tie, both_bad, rated or ranked."""
    found: dict[int, list[str]] = {}
    rows = session.execute(
        select(Label.pair_id, Label.choice, Label.shown_left)
        .join(Pair, Pair.id == Label.pair_id)
        .join(User, User.id == Label.user_id)
        .where(
            Label.pair_id.in_(pair_ids),
            Label.choice.not_in(NO_VERDICT),
            User.kind == "person",
            current(),
            is_trusted(),
        )
    )
    for pair_id, choice, left in rows:
        found.setdefault(pair_id, []).append(by_sample(choice, left))
    return found


def pairs_of_judge(session: Session, study_id: int, user_id: int) -> list[int]:
    """Pairs of a study about which somebody has said anything."""
    return list(
        session.scalars(
            select(Label.pair_id)
            .join(Pair, Pair.id == Label.pair_id)
            .where(Label.user_id == user_id, Pair.study_id == study_id)
            .distinct()
        )
    )


def pair_counts(session: Session, project_id: int, user_id: int, scope: Scope) -> tuple[int, int]:
    """(pairs this annotator has judged, pairs there are), attention checks left out."""
    total = session.scalar(
        select(func.count()).where(Pair.project_id == project_id, in_scope(scope), is_no_fact())
    )
    return pairs_judged(session, project_id, user_id, scope), int(total or 0)


def pairs_judged(session: Session, project_id: int, user_id: int, scope: Scope) -> int:
    """How many pairs this annotator has judged, attention checks left out."""
    done = session.scalar(
        select(func.count(func.distinct(Label.pair_id)))
        .select_from(Label)
        .join(Pair, Pair.id == Label.pair_id)
        .where(
            Label.user_id == user_id,
            Pair.project_id == project_id,
            in_scope(scope),
            is_no_fact(),
            current(),
        )
    )
    return int(done or 0)


def recent_seconds(session: Session, project_id: int, user_id: int, limit: int = 50) -> list[float]:
    """How long this annotator's latest judgements took, newest first."""
    rows = session.execute(
        select(Label.t_shown, Label.t_answer)
        .join(Pair, Pair.id == Label.pair_id)
        .where(Label.user_id == user_id, Pair.project_id == project_id, Label.choice != "retract")
        .order_by(Label.id.desc())
        .limit(limit)
    )
    return [answered - shown for shown, answered in rows]


def last_label(session: Session, project_id: int, user_id: int, scope: Scope) -> Label | None:
    """This annotator's latest current label: what an undo takes back."""
    return session.scalar(
        select(Label)
        .join(Pair, Pair.id == Label.pair_id)
        .where(
            Label.user_id == user_id,
            Pair.project_id == project_id,
            in_scope(scope),
            current(),
        )
        .order_by(Label.id.desc())
        .limit(1)
    )


def label_of(session: Session, pair_id: int, user_id: int) -> Label | None:
    """This annotator's standing judgement of a pair."""
    return session.scalar(
        select(Label)
        .where(Label.pair_id == pair_id, Label.user_id == user_id, current())
        .order_by(Label.id.desc())
        .limit(1)
    )


def labels_since(session: Session, study_id: int, user_id: int, label_id: int) -> int:
    """How many judgements of a study an annotator has given after that one."""
    return int(
        session.scalar(
            select(func.count())
            .select_from(Label)
            .join(Pair, Pair.id == Label.pair_id)
            .where(Label.user_id == user_id, Label.id > label_id, Pair.study_id == study_id)
        )
        or 0
    )


class LabelCounts(NamedTuple):
    """What Today says of the labels of a project's queue; skips are left out of all but `skips`."""

    people: int
    simulated: int
    today: int
    left: int
    decided: int
    ties: int


def label_counts(session: Session, project_id: int, since: float) -> LabelCounts:
    """Current labels of the queue: people's and simulated, people's since `since`, sides, ties."""
    person = User.kind == "person"
    verdict = Label.choice.not_in(NO_VERDICT)

    def count(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
        return func.coalesce(func.sum(case((and_(*conditions), 1), else_=0)), 0)

    row = session.execute(
        select(
            count(person, verdict),
            count(User.kind == "simulated", verdict),
            count(person, verdict, Label.created_at >= since),
            count(person, Label.choice == "left"),
            count(person, Label.choice.in_(("left", "right"))),
            count(person, Label.choice == "tie"),
        )
        .select_from(Label)
        .join(Pair, Pair.id == Label.pair_id)
        .join(User, User.id == Label.user_id)
        .where(Pair.project_id == project_id, is_taste(), current())
    ).one()
    return LabelCounts(*(int(value) for value in row))


def decided_pairs(session: Session, project_id: int, heldout_set: str) -> tuple[int, int]:
    """(people's, simulated) current verdicts left or right in the queue, of prompts whose text is
    not in the set of that name."""
    held = (
        select(Prompt.text)
        .join(PromptSet, PromptSet.id == Prompt.prompt_set_id)
        .where(PromptSet.project_id == project_id, PromptSet.name == heldout_set)
    )
    rows = session.execute(
        select(User.kind, func.count())
        .select_from(Label)
        .join(Pair, Pair.id == Label.pair_id)
        .join(Prompt, Prompt.id == Pair.prompt_id)
        .join(User, User.id == Label.user_id)
        .where(Pair.project_id == project_id, is_taste(), current(), is_trusted())
        .where(Label.choice.in_(("left", "right")), Prompt.text.not_in(held))
        .group_by(User.kind)
    )
    counted = {kind: int(num) for kind, num in rows}
    return counted.get("person", 0), counted.get("simulated", 0)


def votes(session: Session, comparison_ids: Sequence[int]) -> list[tuple[int, str, str, str, int]]:
    """(comparison, kind of annotator, choice, sample on the left, number) of current votes."""
    rows = session.execute(
        select(Pair.comparison_id, User.kind, Label.choice, Label.shown_left, func.count(Label.id))
        .join(Pair, Pair.id == Label.pair_id)
        .join(User, User.id == Label.user_id)
        .where(Pair.comparison_id.in_(list(comparison_ids)), current())
        .group_by(Pair.comparison_id, User.kind, Label.choice, Label.shown_left)
    )
    return [(int(row[0] or 0), row[1], row[2], row[3], int(row[4])) for row in rows]
