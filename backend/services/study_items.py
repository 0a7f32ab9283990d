"""Items of a study: made of samples that are there, none of them twice; what texts are about.

Every sample of a prompt makes an item of one picture, every two one of a pair, four at random one
of best and worst.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import InputError, NotFound
from backend.preferences.studies import NUM_SAMPLES, StudyConfig
from backend.services import attention, pairs
from db import queries
from db.tables import Pair, Prompt, Sample, Study

MOST_ITEMS = 100_000


def of_policies(
    session: Session,
    project_id: int,
    kind: str,
    policy_ids: Sequence[int],
    prompt_set_id: int | None = None,
) -> list[int]:
    """Samples of a project that these policies made and that can stand in a study of the kind; of
    one prompt set where it is named."""
    is_text = Sample.text.is_not(None)
    query = (
        select(Sample.id)
        .where(
            Sample.project_id == project_id,
            Sample.policy_id.in_(policy_ids),
            is_text if kind == "texts" else ~is_text,
            attention.is_no_twin(),
        )
        .order_by(Sample.id)
        .limit(MOST_ITEMS)
    )
    if prompt_set_id is not None:
        query = query.join(Prompt, Prompt.id == Sample.prompt_id)
        query = query.where(Prompt.prompt_set_id == prompt_set_id)
    return list(session.scalars(query))


def make(session: Session, study: Study, sample_ids: Sequence[int], seed: int) -> int:
    """Items of these samples that the study does not have; returns how many there are."""
    of_prompt: dict[int, list[tuple[int, str]]] = {}
    for some in queries.batches(sample_ids):
        found = session.execute(
            select(Sample.id, Sample.prompt_id, Sample.media)
            .where(Sample.id.in_(some), Sample.project_id == study.project_id)
            .order_by(Sample.id)  # the same seed makes the same items on every store
        )
        for sample_id, prompt_id, media in found:
            of_prompt.setdefault(prompt_id, []).append((sample_id, media))
    rng, there = random.Random(seed), _there(session, study, of_prompt)
    if study.kind == "best_worst":  # a sample stands in one four
        used = {sample for item in there for sample in item}
        of_prompt = {
            prompt: [one for one in samples if one[0] not in used]
            for prompt, samples in of_prompt.items()
        }
    config = StudyConfig.read(study.config)
    made = [
        {
            "project_id": study.project_id,
            "prompt_id": prompt_id,
            "sample_a_id": item[0],
            "sample_b_id": item[1 % len(item)],
            "study_id": study.id,
            "source": "study",
            "chooser": "all",
            "overlap": config.overlap,
            "shuffle": rng.random(),
            "detail": {"more": list(item[2:])} if len(item) > 2 else {},
        }
        for prompt_id, samples in of_prompt.items()
        for item in _items(study.kind, samples, rng)
        if frozenset(item) not in there
    ]
    if len(made) > MOST_ITEMS:
        raise InputError(
            f"These samples make {len(made):,} items, more than {MOST_ITEMS:,}; take fewer samples "
            "of each prompt."
        )
    pairs.add(session, made)
    return len(made)


def refuse_none(made: int, kind: str) -> None:
    """Refuse samples of which nothing was made."""
    if not made:
        raise InputError(
            "These samples make no item that the study does not have: an item needs "
            f"{NUM_SAMPLES[kind]} different samples of one prompt."
        )


def set_subject(
    session: Session, study: Study, pair_id: int, media: str | None, *, of_prompt: bool = False
) -> int:
    """Texts of an item, or of all items of its prompt, are about this picture, or about none;
    returns of how many items."""
    if study.kind != "texts":
        raise InputError(
            "Pictures are about nothing else; only texts have a picture they are about."
        )
    pair = session.get(Pair, pair_id)
    if pair is None or pair.study_id != study.id:
        raise NotFound(f"The study '{study.name}' has no item {pair_id}.")
    meant = Pair.prompt_id == pair.prompt_id if of_prompt else Pair.id == pair.id
    found = session.scalars(select(Pair).where(Pair.study_id == study.id, meant)).all()
    for one in found:
        rest = {name: value for name, value in one.detail.items() if name != "subject"}
        one.detail = {**rest, "subject": media} if media else rest
    return len(found)


def _there(session: Session, study: Study, prompts: Iterable[int]) -> set[frozenset[int]]:
    """Items of these prompts that the study has, each by its samples."""
    there: set[frozenset[int]] = set()
    for some in queries.batches(prompts):
        rows = session.execute(
            select(Pair.sample_a_id, Pair.sample_b_id, Pair.detail).where(
                Pair.study_id == study.id, Pair.prompt_id.in_(some), queries.is_no_fact()
            )
        )
        there |= {frozenset((a, b, *detail.get("more", []))) for a, b, detail in rows}
    return there


def _items(kind: str, samples: list[tuple[int, str]], rng: random.Random) -> list[tuple[int, ...]]:
    if kind == "single":
        return [(sample,) for sample, _media in samples]
    if kind == "best_worst":
        order = rng.sample(samples, len(samples))
        fours = [order[i : i + 4] for i in range(0, len(order) - 3, 4)]
        return [tuple(sample for sample, _media in four) for four in fours]
    return [
        (one[0], other[0])
        for one, other in itertools.combinations(samples, 2)
        if one[1] != other[1]
    ]
