"""Pairs behind a figure: their pictures, whose they are, and who said what of them.

For those who may know which sample is which; annotators see pairs by `services.pairs` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import NotFound
from backend.preferences.ledger import CHOICES, NUM_VERDICTS
from backend.services.samples import content
from backend.services.studio import Studio
from db import queries
from db.tables import Exclusion, Label, Pair, Policy, Prompt, Sample, User


class Pictured(NamedTuple):
    """A pair with its prompt and its samples: {id, policy, policy_id, seed} and what is seen."""

    pair: Pair
    prompt: str
    samples: list[dict[str, Any]]


def shown(studio: Studio, pair_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """pair → {pair_id, study_id, comparison_id, prompt, samples}, of two samples a and b in
    this order."""
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


def pictured(session: Session, pair_ids: Sequence[int]) -> dict[int, Pictured]:
    """Pairs with their prompts and samples, in three statements however many there are."""
    rows = session.execute(
        select(Pair, Prompt.text)
        .join(Prompt, Prompt.id == Pair.prompt_id)
        .where(Pair.id.in_(list(pair_ids)))
    ).all()
    of_pair = {pair.id: _sample_ids(pair) for pair, _prompt in rows}
    samples = {
        sample.id: _sample(sample, policy)
        for sample, policy in session.execute(
            select(Sample, Policy.name)
            .join(Policy, Policy.id == Sample.policy_id)
            .where(Sample.id.in_({one for every in of_pair.values() for one in every}))
        )
    }
    return {
        pair.id: Pictured(pair, prompt, [samples[one] for one in of_pair[pair.id]])
        for pair, prompt in rows
    }


def _shown(session: Session, pair_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    return {
        pair_id: {
            "pair_id": pair_id,
            "study_id": found.pair.study_id,
            "comparison_id": found.pair.comparison_id,
            "prompt": found.prompt,
            "samples": found.samples,
        }
        for pair_id, found in pictured(session, pair_ids).items()
    }


def _sample_ids(pair: Pair) -> list[int]:
    """The samples of an item; one alone stands in both places."""
    if pair.sample_a_id == pair.sample_b_id:
        return [pair.sample_a_id]
    return [pair.sample_a_id, pair.sample_b_id, *pair.detail.get("more", [])]


def _sample(sample: Sample, policy: str) -> dict[str, Any]:
    said = {
        "id": sample.id,
        "policy": policy,
        "policy_id": sample.policy_id,
        "seed": sample.seed,
    }
    return said | content(sample.media, sample.width, sample.height, sample.text)
