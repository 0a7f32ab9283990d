"""Labels: one judgement each, stored once however often it is sent, never deleted.

An undo is a new row that names the label it takes back; which labels stand is derived from both.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from backend.errors import Conflict, InputError, NotFound
from backend.preferences import studies
from backend.preferences.studies import StudyConfig
from backend.services import choosing, handing, pairs, settling, users
from backend.services.judged import JudgedPair, of
from backend.services.studio import Studio
from db import queries
from db.queries import QUEUE, Scope
from db.tables import Label, Lease, Pair, Sample

LONGEST_COMMENT = 10_000
LONGEST_ID = 100
PAGE = 2000


@dataclass(frozen=True)
class NewLabel:
    """A judgement as it is given. Times are seconds since 1970 by the annotator's clock."""

    client_id: str
    pair_id: int
    choice: str
    shown_left: str
    """Which sample stood on the left, a or b."""
    t_shown: float
    t_answer: float
    reasons: list[str] = field(default_factory=list)
    comment: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    """What else was said: `backend.preferences.studies.Answers`."""


def store(studio: Studio, user_id: int, label: NewLabel, *, veiled: bool = False) -> dict[str, Any]:
    """Store a judgement; sent again with the same client id it is answered as the first time.

    `veiled`: `shown_left` is the letter that `pairs.view` gave to the browser. Returns {label_id,
    repeated, done}.
    """
    _check(label)
    with studio.write() as session:
        studio.store.serialise(session, "count", user_id)  # who excludes them waits for this label
        pair = session.get(Pair, label.pair_id, with_for_update=True)
        if pair is None:
            raise NotFound(f"There is no pair {label.pair_id}; load the page again for new pairs.")
        label = _of_study(session, pair, user_id, label)
        lease = session.get(Lease, (pair.id, user_id))
        left = _side(session, pair, lease, label, veiled)
        values = _values(user_id, label, left)
        if lease is not None:
            values |= {"chooser": lease.chooser, "propensity": lease.propensity}
        label_id = insert(session, studio.store.dialect, [values])
        repeated = not label_id
        if repeated:
            label_id = [_first(session, user_id, label).id]
        else:
            _replace_earlier(session, user_id, label, label_id[0])
            session.execute(delete(Lease).where(Lease.pair_id == pair.id, Lease.user_id == user_id))
            settling.settle(session, pair)
        scope = Scope(pair.comparison_id, pair.study_id)
        done = queries.pairs_judged(session, pair.project_id, user_id, scope)
    if not repeated:
        choosing.after_label(studio, scope.study, label_id[0])
    return {"label_id": label_id[0], "repeated": repeated, "done": done}


def store_many(studio: Studio, user_id: int, labels: Sequence[NewLabel]) -> int:
    """Store many judgements of one (simulated) annotator in one transaction; returns how many were
    new."""
    if not labels:
        return 0
    for label in labels:
        _check(label)
    rows = [_values(user_id, label, label.shown_left) for label in labels]
    with studio.write() as session:
        return len(insert(session, studio.store.dialect, rows))


def undo(
    studio: Studio,
    project_id: int,
    user_id: int,
    client_id: str,
    scope: Scope = QUEUE,
) -> dict[str, Any]:
    """Take back this annotator's latest standing judgement and hand its pair out again.

    Returns {label_id, pair, verdict, done}: what was said, and how many pairs are judged now; sent
    again with the same client id it takes back nothing further.
    """
    _check_client_id(client_id)
    with studio.write() as session:
        studio.store.serialise(session, "undo", user_id)
        retraction = session.scalar(
            select(Label).where(Label.user_id == user_id, Label.client_id == client_id)
        )
        if retraction is None:
            retraction = _retract(session, project_id, user_id, client_id, scope)
        elif retraction.choice != "retract":
            raise Conflict("This client id belongs to a judgement; an undo needs one of its own.")
        pair = pairs.again(session, retraction.pair_id, user_id, retraction.shown_left)
        taken = session.get_one(Label, retraction.retracts)
        done = queries.pairs_judged(session, project_id, user_id, scope)
        return {"label_id": taken.id, "pair": pair, "verdict": _said(taken), "done": done}


def _said(label: Label) -> dict[str, Any]:
    """A judgement as the page can show it again; best and worst are chosen anew."""
    answers = {key: said for key, said in label.answers.items() if key not in ("best", "worst")}
    return {
        "choice": label.choice,
        "reasons": label.reasons,
        "comment": label.comment,
        "answers": answers,
    }


def judged(
    studio: Studio,
    project_id: int,
    *,
    simulated: bool | None = False,
    implicit: bool = False,
    excluded: bool = False,
    scope: Scope | None = None,
) -> Iterator[JudgedPair]:
    """Current labels in the order they were given, read page by page.

    People's labels by default; `simulated=True` those of simulated annotators, None both;
    `implicit` instead the weak ones drawn from clicks, which no other call brings; `excluded` also
    those of people who are excluded from the study. Without
    a scope those of the queue and of all studies of pictures; votes of a comparison only when it
    is named, attention checks never.
    """
    kind = {None: None, True: "simulated", False: "person"}[simulated]
    kind = queries.IMPLICIT if implicit else kind
    after = 0
    while True:
        with studio.read() as session:
            page = queries.judgements(
                session,
                project_id,
                kind=kind,
                scope=scope,
                after=after,
                limit=PAGE,
                excluded=excluded,
            )
            more = queries.further_media(session, [row.detail for row in page])
        yield from (of(row, more) for row in page)
        if len(page) < PAGE:
            return
        after = page[-1].label_id


def counts(studio: Studio, project_id: int, since: float) -> dict[str, Any]:
    """{total, today, people, simulated, left_share, ties}; `today` counts people's since
    `since`."""
    with studio.read() as session:
        found = queries.label_counts(session, project_id, since)
    return {
        "total": found.people + found.simulated,
        "today": found.today,
        "people": found.people,
        "simulated": found.simulated,
        "left_share": found.left / found.decided if found.decided else None,
        "ties": found.ties,
    }


def _retract(
    session: Session, project_id: int, user_id: int, client_id: str, scope: Scope
) -> Label:
    last = queries.last_label(session, project_id, user_id, scope)
    if last is None:
        raise NotFound("There is nothing to undo.")
    now = time.time()
    retraction = Label(
        pair_id=last.pair_id,
        user_id=user_id,
        client_id=client_id,
        choice="retract",
        shown_left=last.shown_left,
        t_shown=now,
        t_answer=now,
        retracts=last.id,
    )
    pair = session.get_one(Pair, last.pair_id, with_for_update=True)
    session.add(retraction)
    session.flush()
    settling.settle(session, pair)
    return retraction


def _of_study(session: Session, pair: Pair, user_id: int, label: NewLabel) -> NewLabel:
    """The judgement, checked against what its study asks."""
    if pair.study_id is None:
        users.refuse_judging(session, users.find(session, user_id), None)
        if label.choice not in studies.CHOICES["images"]:
            raise InputError(
                f"Choice '{label.choice}' is unknown; it is one of "
                f"{', '.join(studies.CHOICES['images'])}."
            )
        answers = studies.Answers.read(label.answers)
        return replace(label, answers=answers.said())
    study = handing.open_to(session, pair.study_id, users.find(session, user_id))
    handing.refuse_closed(study)
    config, answers = StudyConfig.read(study.config), studies.Answers.read(label.answers)
    studies.check(study.kind, config, label.choice, answers)
    return replace(label, answers=_in_samples(pair, user_id, answers).said())


def _in_samples(pair: Pair, user_id: int, answers: studies.Answers) -> studies.Answers:
    """Best and worst by the letter of the sample, where the browser names the place it stood in."""
    if answers.best is None and answers.worst is None:
        return answers
    order = pairs.slots(pair.id, user_id, 2 + len(pair.detail.get("more", [])))
    letters = {"abcd"[place]: "abcd"[sample] for place, sample in enumerate(order)}
    said = {"best": answers.best, "worst": answers.worst}
    return answers.model_copy(
        update={name: letters.get(place) for name, place in said.items() if place is not None}
    )


def _replace_earlier(session: Session, user_id: int, label: NewLabel, label_id: int) -> None:
    """Judged twice (in two windows): the later judgement stands, the earlier one is retracted."""
    earlier = session.scalars(
        select(Label).where(
            Label.pair_id == label.pair_id,
            Label.user_id == user_id,
            Label.id != label_id,
            queries.current(),
        )
    )
    for number, old in enumerate(list(earlier)):
        session.add(
            Label(
                pair_id=old.pair_id,
                user_id=user_id,
                client_id=f"{label.client_id}/replaces/{number}",
                choice="retract",
                shown_left=old.shown_left,
                t_shown=label.t_shown,
                t_answer=label.t_answer,
                retracts=old.id,
            )
        )


def _side(session: Session, pair: Pair, lease: Lease | None, label: NewLabel, veiled: bool) -> str:
    """Which sample was on the left: as the browser says, unless the lease knows better."""
    if lease is not None:
        return lease.shown_left
    if not veiled:
        return label.shown_left
    rows = session.execute(
        select(Sample.id, Sample.media).where(Sample.id.in_([pair.sample_a_id, pair.sample_b_id]))
    )
    media = {sample_id: name for sample_id, name in rows}
    return pairs.veil(media[pair.sample_a_id], media[pair.sample_b_id], label.shown_left)


def insert(session: Session, dialect: str, rows: list[dict[str, Any]]) -> list[int]:
    """Insert labels whose client id is new; returns the ids of those alone."""
    insert_into = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = (
        insert_into(Label)
        .on_conflict_do_nothing(index_elements=["user_id", "client_id"])
        .returning(Label.id)
    )
    return list(session.scalars(statement, rows))


def _first(session: Session, user_id: int, label: NewLabel) -> Label:
    found = session.scalars(
        select(Label).where(Label.user_id == user_id, Label.client_id == label.client_id)
    ).one()
    if found.pair_id != label.pair_id or found.choice == "retract":
        raise Conflict(
            f"Client id '{label.client_id}' already belongs to another judgement; make a new one "
            f"for "
            "each."
        )
    return found


def _values(user_id: int, label: NewLabel, left: str) -> dict[str, Any]:
    return {
        "pair_id": label.pair_id,
        "user_id": user_id,
        "client_id": label.client_id,
        "choice": label.choice,
        "shown_left": left,
        "t_shown": label.t_shown,
        "t_answer": label.t_answer,
        "reasons": list(label.reasons),
        "comment": label.comment,
        "answers": label.answers,
        "created_at": time.time(),
    }


def _check(label: NewLabel) -> None:
    _check_client_id(label.client_id)
    if label.shown_left not in ("a", "b"):
        raise InputError(f"shown_left is '{label.shown_left}'; it is 'a' or 'b'.")
    if not 0 <= label.t_shown <= label.t_answer < 1e11:
        raise InputError(
            "t_shown and t_answer are seconds since 1970, the answer not before the showing; "
            f"{label.t_shown} and {label.t_answer} are not."
        )
    if len(label.comment) > LONGEST_COMMENT or "\x00" in label.comment:
        raise InputError(f"A comment has at most {LONGEST_COMMENT:,} characters and no zero byte.")


def _check_client_id(client_id: str) -> None:
    if not 1 <= len(client_id) <= LONGEST_ID or not client_id.isprintable():
        raise InputError("client_id needs 1 to 100 printable characters, made anew for each label.")
