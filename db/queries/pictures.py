"""Samples and pairs by their pictures, and what rewards said of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, aliased

from db.queries.standing import NO_VERDICT, QUEUE, Scope, current, in_scope, is_in_queue, is_no_fact
from db.tables import Label, Pair, Prompt, Sample, Score


def sample_pictures(session: Session, sample_ids: Iterable[int]) -> dict[int, tuple[str, int, int]]:
    """sample → (media, width, height)."""
    wanted = list(sample_ids)
    if not wanted:
        return {}
    rows = session.execute(
        select(Sample.id, Sample.media, Sample.width, Sample.height).where(Sample.id.in_(wanted))
    )
    return {sample_id: (media, width, height) for sample_id, media, width, height in rows}


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


def pairs_of_pictures(
    session: Session, project_id: int, media: Sequence[str], study_id: int | None = None
) -> list[tuple[int, str, list[str], str]]:
    """(pair, prompt, its pictures a, b and further ones, what texts are about) of the queue's
    pairs, weak ones too, or of a study's, whose picture a is one of these, the oldest last."""
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
        (
            pair_id,
            text,
            [of_a, of_b, *(more[sample] for sample in detail.get("more", []))],
            detail.get("subject", ""),
        )
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
