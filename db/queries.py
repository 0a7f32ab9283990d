"""Named reads, each a constant number of statements however many rows there are.

A *current* label is one that is not itself a retraction and that no retraction names. Labels of
people and of simulated annotators are counted apart everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    exists,
    func,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.orm import Session, aliased

from db.tables import (
    Comparison,
    Evaluation,
    Exclusion,
    Iteration,
    Label,
    Lease,
    Pair,
    Policy,
    Prompt,
    PromptSet,
    RolloutNode,
    Run,
    Sample,
    Score,
    Study,
    User,
)

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


def sample_pictures(session: Session, sample_ids: Iterable[int]) -> dict[int, tuple[str, int, int]]:
    """sample → (media, width, height)."""
    wanted = list(sample_ids)
    if not wanted:
        return {}
    rows = session.execute(
        select(Sample.id, Sample.media, Sample.width, Sample.height).where(Sample.id.in_(wanted))
    )
    return {sample_id: (media, width, height) for sample_id, media, width, height in rows}


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
    return [Candidate._make(row) for row in _shuffled(session, query, start, limit)]


def _shuffled(session: Session, query: Any, start: float, limit: int) -> list[Any]:
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
    return [Item._make(row) for row in _shuffled(session, query, start, limit)]


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


def by_sample(choice: str, left: str) -> str:
    """A choice of a side as the sample that stood there; other choices as they are."""
    if choice == "left":
        return left
    return OTHER[left] if choice == "right" else choice


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


def prompt_counts(session: Session, set_ids: Sequence[int]) -> dict[int, int]:
    """Prompts in each set."""
    rows = session.execute(
        select(Prompt.prompt_set_id, func.count())
        .where(Prompt.prompt_set_id.in_(list(set_ids)))
        .group_by(Prompt.prompt_set_id)
    )
    return {set_id: int(number) for set_id, number in rows}


def shared_prompts(session: Session, one: int, other: int) -> int:
    """How many prompts two sets have in common, word for word."""
    twin = aliased(Prompt)
    return int(
        session.scalar(
            select(func.count())
            .select_from(Prompt)
            .join(twin, and_(twin.text == Prompt.text, twin.prompt_set_id == other))
            .where(Prompt.prompt_set_id == one)
        )
        or 0
    )


def prompt_set_named(session: Session, project_id: int, name: str) -> PromptSet | None:
    """The prompt set of that name in the project."""
    return session.scalar(
        select(PromptSet).where(PromptSet.project_id == project_id, PromptSet.name == name)
    )


def pairs_with_counts(
    session: Session, project_id: int, *, after: int | None, limit: int
) -> list[tuple[Pair, str, str, str, int]]:
    """(pair, prompt, media a, media b, verdicts that stand) of the queue, the newest first, with
    ids below `after`."""
    a, b = aliased(Sample), aliased(Sample)
    verdicts = (
        select(func.count())
        .select_from(Label)
        .where(Label.pair_id == Pair.id, Label.choice.not_in(NO_VERDICT), current())
        .scalar_subquery()
    )
    query = (
        select(Pair, Prompt.text, a.media, b.media, verdicts)
        .join(Prompt, Prompt.id == Pair.prompt_id)
        .join(a, a.id == Pair.sample_a_id)
        .join(b, b.id == Pair.sample_b_id)
        .where(Pair.project_id == project_id, in_scope(QUEUE))
        .order_by(Pair.id.desc())
        .limit(limit)
    )
    if after is not None:
        query = query.where(Pair.id < after)
    return [(pair, text, of_a, of_b, n) for pair, text, of_a, of_b, n in session.execute(query)]


def prompts_by_text(session: Session, project_id: int, texts: Sequence[str]) -> dict[str, int]:
    """Ids of the prompts with these texts; of two in different sets the older one."""
    rows = session.execute(
        select(Prompt.text, Prompt.id)
        .join(PromptSet, PromptSet.id == Prompt.prompt_set_id)
        .where(PromptSet.project_id == project_id, Prompt.text.in_(texts))
        .order_by(Prompt.id.desc())
    )
    return {text: prompt_id for text, prompt_id in rows}


def samples_of_pictures(
    session: Session, project_id: int, media: Sequence[str]
) -> dict[tuple[int, str], int]:
    """(prompt id, media) → id of the project's samples with these pictures, the oldest of each."""
    rows = session.execute(
        select(Sample.prompt_id, Sample.media, Sample.id)
        .where(Sample.project_id == project_id, Sample.media.in_(media))
        .order_by(Sample.id.desc())
    )
    return {(prompt_id, name): sample_id for prompt_id, name, sample_id in rows}


def pairs_of_pictures(
    session: Session, project_id: int, media: Sequence[str], study_id: int | None = None
) -> list[tuple[int, str, list[str]]]:
    """(pair, prompt, its pictures a, b and further ones) of the queue's pairs, weak ones too, or of
    a study's, whose picture a is one of these, the oldest last."""
    a, b = aliased(Sample), aliased(Sample)
    rows = session.execute(
        select(Pair.id, Prompt.text, a.media, b.media, Pair.detail)
        .join(Prompt, Prompt.id == Pair.prompt_id)
        .join(a, a.id == Pair.sample_a_id)
        .join(b, b.id == Pair.sample_b_id)
        .where(
            Pair.project_id == project_id,
            is_in_queue() if study_id is None else in_scope(Scope(study=study_id)),
            is_no_fact(),
            a.media.in_(media),
        )
        .order_by(Pair.id.desc())
    ).all()
    more = further_media(session, [row[4] for row in rows])
    return [
        (pair_id, text, [of_a, of_b, *(more[sample] for sample in detail.get("more", []))])
        for pair_id, text, of_a, of_b, detail in rows
    ]


def further_media(session: Session, details: Iterable[dict[str, Any]]) -> dict[int, str]:
    """sample → media of the third and later samples that pairs' details name."""
    wanted = sorted({sample for detail in details for sample in detail.get("more", [])})
    found: dict[int, str] = {}
    for start in range(0, len(wanted), 500):
        pictures = sample_pictures(session, wanted[start : start + 500])
        found |= {sample: media for sample, (media, _width, _height) in pictures.items()}
    return found


def adopt(session: Session, pair_ids: Sequence[int], source: str, to: str) -> None:
    """Those of the pairs that came from one source are from another from now on, and open."""
    session.execute(
        update(Pair)
        .where(Pair.id.in_(list(pair_ids)), Pair.source == source)
        .values(source=to, settled=False)
    )


def scores_of(
    session: Session, sample_ids: Sequence[int]
) -> dict[int, dict[int, tuple[float | None, str]]]:
    """sample → reward → (total, status)."""
    found: dict[int, dict[int, tuple[float | None, str]]] = {}
    rows = session.execute(
        select(Score.sample_id, Score.reward_id, Score.value, Score.status).where(
            Score.sample_id.in_(list(sample_ids)), Score.criterion == "total"
        )
    )
    for sample_id, reward_id, value, status in rows:
        found.setdefault(sample_id, {})[reward_id] = (value, status)
    return found


def sparks(
    session: Session, run_ids: Sequence[int], points: int = 60
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(run, step, metrics) of at most `points` evenly spaced iterations of each run, last
    included."""
    stride = Run.step // points + 1
    rows = session.execute(
        select(Iteration.run_id, Iteration.step, Iteration.metrics)
        .join(Run, Run.id == Iteration.run_id)
        .where(
            Iteration.run_id.in_(list(run_ids)),
            or_(
                (Run.step - Iteration.step) % stride == 0,
                Iteration.step == Run.step,
            ),
        )
        .order_by(Iteration.run_id, Iteration.step)
    )
    yield from ((row[0], row[1], row[2]) for row in rows)


def leaves_and_nodes(
    session: Session, group_ids: Sequence[int], *, leaves_only: bool = False
) -> dict[int, list[RolloutNode]]:
    """Nodes of the named groups, in order; with `leaves_only` those that were decoded and
    scored."""
    found: dict[int, list[RolloutNode]] = {group_id: [] for group_id in group_ids}
    query = (
        select(RolloutNode)
        .where(RolloutNode.group_id.in_(list(group_ids)))
        .order_by(RolloutNode.group_id, RolloutNode.idx)
    )
    if leaves_only:
        query = query.where(RolloutNode.kind == "leaf")
    for node in session.scalars(query):
        found[node.group_id].append(node)
    return found


def explored_parents(session: Session, group_ids: Sequence[int]) -> dict[int, set[int]]:
    """Of each group the numbers of the nodes that an explored edge leaves."""
    found: dict[int, set[int]] = {}
    rows = session.execute(
        select(RolloutNode.group_id, RolloutNode.parent)
        .where(RolloutNode.group_id.in_(list(group_ids)))
        .where(or_(RolloutNode.kind == "child", RolloutNode.eta.is_not(None)))
        .distinct()
    )
    for group_id, parent in rows:
        if parent is not None:
            found.setdefault(group_id, set()).add(parent)
    return found


def comparisons_with_names(session: Session, project_id: int) -> list[Comparison]:
    """Comparisons of a project, newest first."""
    return list(
        session.scalars(
            select(Comparison)
            .where(Comparison.project_id == project_id)
            .order_by(Comparison.id.desc())
        )
    )


def prompt_texts_named(session: Session, project_id: int, name: str) -> list[str]:
    """The prompts of a set by its name, in its order; empty when there is no such set."""
    return list(
        session.scalars(
            select(Prompt.text)
            .join(PromptSet, PromptSet.id == Prompt.prompt_set_id)
            .where(PromptSet.project_id == project_id, PromptSet.name == name)
            .order_by(Prompt.position)
        )
    )


def recent_step_seconds(session: Session, run_ids: Sequence[int], recent: int) -> dict[int, float]:
    """Mean seconds of a step over the latest `recent` iterations of each run."""
    rows = session.execute(
        select(Iteration.run_id, Iteration.seconds)
        .join(Run, Run.id == Iteration.run_id)
        .where(Iteration.run_id.in_(list(run_ids)), Iteration.step > Run.step - recent)
    )
    found: dict[int, list[float]] = {}
    for run_id, seconds in rows:
        total = seconds.get("total")
        found.setdefault(run_id, []).append(sum(seconds.values()) if total is None else total)
    return {run_id: sum(values) / len(values) for run_id, values in found.items()}


def evaluation_metrics(
    session: Session, run_ids: Sequence[int]
) -> dict[int, list[tuple[int, dict[str, Any]]]]:
    """(step, metrics) of every evaluation of each run, by rising step; no pictures, nor what was
    only drawn."""
    found: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    rows = session.execute(
        select(Evaluation.run_id, Evaluation.step, Evaluation.metrics)
        .where(Evaluation.run_id.in_(list(run_ids)))
        .order_by(Evaluation.run_id, Evaluation.step)
    )
    for run_id, step, metrics in rows:
        if metrics:
            found.setdefault(run_id, []).append((step, metrics))
    return found
