"""Rows of a file as judgements of the store: whose, under which id, of which pair, in its terms."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from backend.preferences.formats import PairRow, Row
from backend.preferences.formats._rows import RANKED, RATED
from backend.services import placing
from backend.services.placing import Key
from db import queries
from db.tables import Label, Pair, Prompt, Sample

Media = tuple[str, ...]
"""The hashes of a row's pictures, of one picture the same twice; of two texts those of the words,
and of the picture they are about."""
Judged = tuple[int, Row, Media, int, str]
"""A row with its line, its pictures, its user and its id."""


def pictured(row: PairRow) -> list[tuple[str, str]]:
    """(column, name) of the pictures of a row, those it judges or the one its texts are about."""
    if row.is_text:
        return [("subject", row.subject)] if row.subject else []
    more = [("more", name) for name in row.more]
    return [("image_a", row.image_a), ("image_b", row.image_b), *more]


def kind(row: Row) -> str:
    """Of whom a row tells: a person, a simulated annotator, or clicks."""
    return placing.IMPLICIT if row.implicit else "simulated" if row.simulated else "person"


def made_id(row: Row, *media: str) -> str:
    """An id for a row without one: the same judgement, brought in again, has the same."""
    chosen = {"a": media[0], "b": media[1]}.get(row.preferred, row.preferred)
    if row.preferred in (RATED, RANKED):
        said = [row.answers.get(name) for name in ("rating", "checklist")]
        chosen = str([*said, *(media[place] for place in _places(row))])
    content = "\n".join([*sorted(media), chosen, str(row.t_answer), row.prompt])
    return f"import/{hashlib.sha256(content.encode()).hexdigest()[:32]}"


def contents(session: Session, given: Iterable[Judged]) -> dict[tuple[int, str], tuple[int, Key]]:
    """(user, client id) → project and content of the pair of those judgements that are here."""
    people = sorted({one[3] for one in given})
    a, b = aliased(Sample), aliased(Sample)
    found: dict[tuple[int, str], tuple[int, Key]] = {}
    for some in queries.batches({one[4] for one in given}):
        rows = session.execute(
            select(
                Label.user_id,
                Label.client_id,
                Pair.project_id,
                Prompt.text,
                a.media,
                b.media,
                Pair.detail,
            )
            .join(Pair, Pair.id == Label.pair_id)
            .join(Prompt, Prompt.id == Pair.prompt_id)
            .join(a, a.id == Pair.sample_a_id)
            .join(b, b.id == Pair.sample_b_id)
            .where(Label.user_id.in_(people), Label.client_id.in_(some))
        ).all()
        more = queries.further_media(session, [row[-1] for row in rows])
        for who, label_id, project_id, *content, detail in rows:
            further = [more[sample] for sample in detail.get("more", [])]
            found[who, label_id] = (project_id, placing.key(*content, *further))
    return found


def _places(row: Row) -> list[int]:
    """Which of four are the best and the worst, from 0; of one picture nothing."""
    return ["abcd".index(row.answers[name]) for name in ("best", "worst") if name in row.answers]


def label(
    row: Row, media: Media, user_id: int, client_id: str, place: placing.Placed, now: float
) -> dict[str, Any]:
    """A row as the store has it: sides instead of letters, in the order of the pair."""
    is_turned = not row.more and media[0] != place.media[0]
    left = queries.OTHER[row.shown_left] if is_turned else row.shown_left
    answers = dict(row.answers)
    if row.preferred == RANKED:
        letters = ("abcd"[place.media.index(media[at])] for at in _places(row))
        answers |= dict(zip(("best", "worst"), letters, strict=True))
    choice: str = row.preferred
    if choice in ("a", "b"):
        choice = "left" if choice == row.shown_left else "right"
    return {
        "pair_id": place.pair_id,
        "user_id": user_id,
        "client_id": client_id,
        "choice": choice,
        "shown_left": left,
        "t_shown": row.t_shown or row.t_answer or now,
        "t_answer": row.t_answer or now,
        "reasons": list(row.reasons),
        "comment": row.comment,
        "answers": answers,
        "chooser": row.chooser,
        "propensity": row.propensity,
        # When it was given, as far as is known: Today counts what was judged today by this.
        "created_at": min(row.t_answer or now, now),
    }
