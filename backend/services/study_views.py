"""What stands beside a study: what a new one can be made of, who can be asked, its items with the
verdicts they got. For those who may know which sample is which."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from backend.errors import InputError
from backend.services import attention, pair_views, studies
from backend.services.policies import IMPORTED
from backend.services.samples import url
from backend.services.studio import Studio
from db import queries
from db.tables import Account, Label, Pair, Policy, Sample, Study, User

LOOKED_AT = 2_000
"""Items, those with the most verdicts, among which the disputed ones are looked for."""
BATCH = 500
ALL, DISPUTED = "all", "disputed"


def sources(studio: Studio, project_id: int) -> list[dict[str, Any]]:
    """What items can be made of: every policy of a project with what it has drawn, newest first.

    {policy_id, name, run_id, step, draws, samples, texts, prompts}; one that does not draw stands
    for imported pictures, `texts` are those of its samples that are no pictures.
    """
    with studio.read() as session:
        rows = session.execute(
            select(
                Policy,
                func.count(Sample.id),
                func.count(Sample.text),
                func.count(func.distinct(Sample.prompt_id)),
            )
            .outerjoin(Sample, (Sample.policy_id == Policy.id) & attention.is_no_twin())
            .where(Policy.project_id == project_id)
            .group_by(Policy.id)
            .order_by(Policy.id.desc())
        ).all()
    return [
        {
            "policy_id": policy.id,
            "name": policy.name,
            "run_id": policy.run_id,
            "step": policy.step,
            "draws": policy.family != IMPORTED,
            "samples": number,
            "texts": num_texts,
            "prompts": num_prompts,
        }
        for policy, number, num_texts, num_prompts in rows
        if number or policy.family != IMPORTED
    ]


def people(studio: Studio) -> list[dict[str, Any]]:
    """{id, name, role} of everybody who could be asked, by name."""
    with studio.read() as session:
        rows = session.execute(
            select(User.id, User.name, User.role)
            .outerjoin(Account, Account.user_id == User.id)
            .where(
                User.kind == "person", or_(Account.user_id.is_(None), Account.disabled_at.is_(None))
            )
            .order_by(User.name)
        )
        return [row._asdict() for row in rows]


def items(
    studio: Studio, study_id: int, *, which: str = ALL, offset: int = 0, limit: int = 24
) -> dict[str, Any]:
    """{items, total, disputed}: a page of a study's items with how often each verdict was given.

    `which` is all of them in the order in which they were made, or the disputed ones, those on
    which people part most first; these are looked for among the items with the most verdicts.
    Attention checks are left out.
    """
    if which not in (ALL, DISPUTED):
        raise InputError(f"Items are '{ALL}' or '{DISPUTED}', not '{which}'.")
    with studio.read() as session:
        study = studies.find(session, study_id)
        disputed = _disputed(session, study)
        total = session.scalar(
            select(func.count()).where(Pair.study_id == study_id, queries.is_no_fact())
        )
        if which == DISPUTED:
            chosen = disputed[offset : offset + limit]
        else:
            chosen = list(
                session.scalars(
                    select(Pair.id)
                    .where(Pair.study_id == study_id, queries.is_no_fact())
                    .order_by(Pair.id)
                    .offset(offset)
                    .limit(limit)
                )
            )
        return {
            "items": _shown(session, chosen),
            "total": total or 0,
            "disputed": len(disputed),
        }


def _disputed(session: Session, study: Study) -> list[int]:
    """Ids of items on which people part, by the share that is not of the leading verdict."""
    asked_twice = list(
        session.scalars(
            select(Pair.id)
            .where(Pair.study_id == study.id, queries.is_no_fact(), Pair.verdicts > 1)
            .order_by(Pair.verdicts.desc(), Pair.id)
            .limit(LOOKED_AT)
        )
    )
    said = _verdicts(session, asked_twice)
    parted = {
        pair_id: 1 - max(counts.values()) / counts.total()
        for pair_id, counts in said.items()
        if len(counts) > 1
    }
    return sorted(parted, key=lambda pair_id: (-parted[pair_id], pair_id))


def _verdicts(session: Session, pair_ids: Sequence[int]) -> dict[int, Counter[str]]:
    """pair → how often people who are not excluded gave each verdict: a, b, tie, both_bad; a mark;
    the best of four."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for start in range(0, len(pair_ids), BATCH):
        rows = session.execute(
            select(Label.pair_id, Label.choice, Label.shown_left, Label.answers)
            .join(Pair, Pair.id == Label.pair_id)
            .join(User, User.id == Label.user_id)
            .where(
                Label.pair_id.in_(pair_ids[start : start + BATCH]),
                Label.choice.not_in(queries.NO_VERDICT),
                User.kind == "person",
                queries.current(),
                queries.is_trusted(),
            )
        )
        for pair_id, choice, left, answers in rows:
            verdict = queries.by_sample(choice, left)
            if choice == "rated":
                verdict = str(answers.get("rating") or "checklist")
            elif choice == "ranked":
                verdict = str(answers["best"])
            found[pair_id][verdict] += 1
    return found


def _shown(session: Session, pair_ids: Sequence[int]) -> list[dict[str, Any]]:
    found, said = pair_views.pictured(session, pair_ids), _verdicts(session, pair_ids)
    return [
        {
            "pair_id": pair_id,
            "prompt": found[pair_id].prompt,
            "samples": found[pair_id].samples,
            "subject": url(subject)
            if (subject := found[pair_id].pair.detail.get("subject"))
            else "",
            "verdicts": dict(said.get(pair_id, {})),
            "given": found[pair_id].pair.verdicts,
            "wanted": found[pair_id].pair.overlap,
            "settled": found[pair_id].pair.settled,
        }
        for pair_id in pair_ids
        if pair_id in found
    ]
