"""Pairs behind a figure: their pictures, whose they are, and who said what of them.

For those who may know which sample is which; annotators see pairs by `services.pairs` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from backend.errors import NotFound
from backend.preferences.ledger import CHOICES, NUM_VERDICTS
from backend.services.samples import content
from backend.services.studio import Studio
from db import queries
from db.tables import Exclusion, Label, Pair, Policy, Prompt, Sample, User


def shown(studio: Studio, pair_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """pair → {pair_id, study_id, comparison_id, prompt, samples}, the two samples as a and b."""
    with studio.read() as session:
        return _shown(session, pair_ids)


def verdicts(counts: Sequence[int]) -> dict[str, int]:
    """{a, b, tie, both_bad}: how often each was said, without those nobody said."""
    return {CHOICES[i]: int(counts[i]) for i in range(NUM_VERDICTS) if counts[i]}


def answers(studio: Studio, pair_id: int) -> dict[str, Any]:
    """One pair with every judgement of it that stands, oldest first.

    Choices are by sample (a, b, tie, both_bad, skip; rated and ranked with their answers).
    """
    with studio.read() as session:
        found = _shown(session, [pair_id])
        if pair_id not in found:
            raise NotFound(f"There is no pair {pair_id}.")
        rows = session.execute(
            select(Label, User.name, User.kind, Exclusion.created_at)
            .join(User, User.id == Label.user_id)
            .join(Pair, Pair.id == Label.pair_id)
            .outerjoin(
                Exclusion,
                (Exclusion.user_id == Label.user_id) & (Exclusion.study_id == Pair.study_id),
            )
            .where(Label.pair_id == pair_id, User.kind != queries.IMPLICIT, queries.current())
            .order_by(Label.id)
        )
        given = [
            {
                "label_id": label.id,
                "user_id": label.user_id,
                "name": name,
                "kind": kind,
                "excluded": excluded_at is not None,
                "choice": queries.by_sample(label.choice, label.shown_left),
                "shown_left": label.shown_left,
                "aspects": {
                    aspect: queries.by_sample(said, label.shown_left)
                    for aspect, said in (label.answers.get("aspects") or {}).items()
                },
                "answers": {k: v for k, v in label.answers.items() if k != "aspects"},
                "seconds": label.t_answer - label.t_shown,
                "at": label.t_answer,
                "reasons": label.reasons,
                "comment": label.comment,
            }
            for label, name, kind, excluded_at in rows
        ]
    return {**found[pair_id], "answers": given}


def _shown(session: Session, pair_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    a, b, of_a, of_b = aliased(Sample), aliased(Sample), aliased(Policy), aliased(Policy)
    rows = session.execute(
        select(Pair, Prompt.text, a, of_a.name, b, of_b.name)
        .join(Prompt, Prompt.id == Pair.prompt_id)
        .join(a, a.id == Pair.sample_a_id)
        .join(b, b.id == Pair.sample_b_id)
        .join(of_a, of_a.id == a.policy_id)
        .join(of_b, of_b.id == b.policy_id)
        .where(Pair.id.in_(list(pair_ids)))
    )
    return {
        pair.id: {
            "pair_id": pair.id,
            "study_id": pair.study_id,
            "comparison_id": pair.comparison_id,
            "prompt": prompt,
            "samples": [_sample(one, name) for one, name in ((first, one_name), (other, its_name))],
        }
        for pair, prompt, first, one_name, other, its_name in rows
    }


def _sample(sample: Sample, policy: str) -> dict[str, Any]:
    said = {"policy": policy, "policy_id": sample.policy_id, "seed": sample.seed}
    return said | content(sample.media, sample.width, sample.height, sample.text)
