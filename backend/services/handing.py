"""Which items of a study go to whom next: by its chooser, one in four by chance, some to check.

Candidates are drawn from a random place of the shuffled order of open pairs, so a study of a
million costs what one of a thousand does. The chance of each draw is kept with the lease and then
with the label, so that estimates can be corrected for what was asked more often.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from backend.errors import Conflict, NotFound
from backend.preferences import choosing
from backend.preferences.studies import StudyConfig
from backend.services import users
from db import queries
from db.tables import Label, Study, User

GAP = 8
"""A pair is shown again, to see whether its judge agrees with themselves, after so many others."""
LOOK = 24
"""Attention checks that are looked at for one that may be shown now."""
CHECK = "attention"
"""The chooser of an attention check."""


@dataclass(frozen=True)
class Handed:
    """A pair that goes to an annotator, and how it came to."""

    pair_id: int
    left: str = ""
    """The sample on the left; empty draws it."""
    chooser: str = ""
    propensity: float = 1.0


def open_to(session: Session, study_id: int, user: User) -> Study:
    """The study, if this person may judge it now."""
    study = session.get(Study, study_id)
    if study is None:
        raise NotFound(f"There is no study {study_id}; choose one of those on the page Studies.")
    users.refuse_judging(session, user, study)
    return study


def refuse_closed(study: Study) -> None:
    """Refuse a judgement of a study that is closed."""
    if study.status == "closed":
        raise Conflict(f"The study '{study.name}' is closed; open it again to judge its items.")


def hand_out(
    session: Session, study: Study, user: User, n: int, taken: set[int], now: float
) -> list[Handed]:
    """The next `n` items that are not `taken`; none of a closed study."""
    if study.status == "closed":
        return []
    config = StudyConfig.read(study.config)
    rng = random.Random()
    checks = sum(rng.random() < config.attention for _ in range(n))
    facts = _facts(session, study, user, checks, taken, now, rng)
    items = _items(session, study, config, user, n - len(facts), taken, now, rng)
    handed = items + facts
    rng.shuffle(handed)
    return handed


def _items(
    session: Session,
    study: Study,
    config: StudyConfig,
    user: User,
    n: int,
    taken: set[int],
    now: float,
    rng: random.Random,
) -> list[Handed]:
    found = queries.candidates(
        session,
        study.id,
        user.id,
        user.kind,
        start=rng.random(),
        limit=choosing.CANDIDATES + len(taken),
        now=now,
    )
    free = [candidate for candidate in found if candidate.pair_id not in taken]
    if not free or n <= 0:
        return []
    drawn = choosing.draw(
        np.array([candidate.utility for candidate in free]),
        min(n, len(free)),
        np.random.default_rng(rng.getrandbits(64)),
        name=config.chooser,
    )
    return [Handed(free[one.index].pair_id, "", one.chooser, one.propensity) for one in drawn]


def _facts(
    session: Session,
    study: Study,
    user: User,
    n: int,
    taken: set[int],
    now: float,
    rng: random.Random,
) -> list[Handed]:
    """Attention checks this annotator has not seen; a repeat only a while after its original."""
    if n <= 0:
        return []
    found = queries.candidates(
        session,
        study.id,
        user.id,
        user.kind,
        start=rng.random(),
        limit=LOOK + len(taken),
        now=now,
        are_facts=True,
    )
    handed: list[Handed] = []
    for candidate in found:
        if candidate.pair_id in taken or len(handed) == n:
            continue
        fact = candidate.fact or {}
        left = ""
        if fact.get("kind") == "repeat":
            earlier = queries.label_of(session, fact["of"], user.id)
            if earlier is None or not _is_past(session, study.id, user.id, earlier):
                continue
            left = queries.OTHER[earlier.shown_left]
        handed.append(Handed(candidate.pair_id, left, CHECK))
    return handed


def _is_past(session: Session, study_id: int, user_id: int, label: Label) -> bool:
    return queries.labels_since(session, study_id, user_id, label.id) >= GAP
