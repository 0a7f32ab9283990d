"""What one annotator has judged: their own answers, and nothing about anybody else's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from backend.services.samples import url
from backend.services.studio import Studio
from db.tables import Label, Pair, Prompt, Sample


def page(
    studio: Studio, user_id: int, *, after: int | None = None, limit: int = 50
) -> dict[str, Any]:
    """{items, next, total, by_choice}: own judgements, newest first, `after` a label's id.

    Pictures stand as they stood then; one that was taken back is marked `is_undone`.
    """
    a, b, retraction = aliased(Sample), aliased(Sample), aliased(Label)
    undone = select(retraction.id).where(retraction.retracts == Label.id).exists()
    query = (
        select(Label, Prompt.text, a.media, b.media, a.text, b.text, undone)
        .join(Pair, Pair.id == Label.pair_id)
        .join(Prompt, Prompt.id == Pair.prompt_id)
        .join(a, a.id == Pair.sample_a_id)
        .join(b, b.id == Pair.sample_b_id)
        .where(Label.user_id == user_id, Label.choice != "retract")
        .order_by(Label.id.desc())
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(Label.id < after)
    counts = (
        select(Label.choice, func.count())
        .where(Label.user_id == user_id, Label.choice != "retract", ~undone)
        .group_by(Label.choice)
    )
    with studio.read() as session:
        found = list(session.execute(query))
        by_choice = {choice: count for choice, count in session.execute(counts)}
    items = []
    for label, prompt, media_a, media_b, text_a, text_b, is_undone in found[:limit]:
        was_left = label.shown_left == "a"
        sides = (media_a, media_b) if was_left else (media_b, media_a)
        texts = (text_a, text_b) if was_left else (text_b, text_a)
        items.append(
            {
                "id": label.id,
                "prompt": prompt,
                "left_url": url(sides[0]),
                "right_url": url(sides[1]),
                "left_text": texts[0],
                "right_text": texts[1],
                "choice": label.choice,
                "at": label.t_answer,
                "seconds": label.t_answer - label.t_shown,
                "is_undone": bool(is_undone),
            }
        )
    return {
        "items": items,
        "next": items[-1]["id"] if len(found) > limit else None,
        "total": sum(by_choice.values()),
        "by_choice": by_choice,
    }
