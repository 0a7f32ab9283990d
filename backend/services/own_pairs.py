"""The pairs of a project that its own people decided, as what a judge is audited on.

A pair's better picture is what most of its answers say. Pairs that two or more people answered come
first, for without them nobody knows how far people agree with one another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from sqlalchemy import select

from backend.errors import InputError
from backend.preferences import agreement as people
from backend.preferences.intervals import Share, wilson
from backend.preferences.ledger import OVERALL, Answers, Ints
from backend.services import ledgers
from backend.services.ledgers import Warm, answers_of, toward
from backend.services.studio import Studio
from db.tables import Prompt, Sample

LEAST: Final = 20
"""Decided pairs without which an audit says nothing."""

SPARE: Final = 5
"""So many times the wanted pairs are looked at, for some may be of texts."""


@dataclass(frozen=True)
class Decided:
    """M pairs of pictures, each with the one that most people chose first."""

    prompts: list[str]
    better: list[str]
    worse: list[str]
    """Names of their files among the media."""
    votes: list[list[float]]
    """(P, M) what each person said: 1 the better, 0 the worse, ½ neither; NaN nothing."""
    ties: Share
    """How often people said neither, of all answers of the project."""


def decided(
    studio: Studio, project_id: int, most: int = 200, *, simulated: bool = False, seed: int = 0
) -> Decided:
    """At most `most` of the pairs that people decided; InputError where there are too few."""
    with ledgers.opened(studio, project_id) as warm:
        answers = answers_of(warm, OVERALL, None, simulated)
        pairs, lead, num = _by_pair(answers)
        ties = wilson(float((toward(answers) == 0).sum()), len(answers))
        rng = np.random.default_rng([seed, 0x0_1A])
        order = np.lexsort((rng.random(len(pairs)), num < 2))
        order = order[lead[order] != 0][: SPARE * most]
        sides = _sides(warm, pairs[order])
        known = _pictures(studio, sides)
        kept = [
            i for i, (a, b) in zip(order, sides.tolist(), strict=True) if a in known and b in known
        ]
        chosen = np.array(kept[:most], dtype=np.int64)
        if len(chosen) < LEAST:
            raise InputError(
                f"People have decided {len(chosen)} pairs of pictures here; an audit on a "
                f"project's own pairs needs {LEAST}. Label more, or count simulated annotators too."
            )
        votes = _votes(answers, chosen, lead)
        shown = [
            (a, b) if lead[i] > 0 else (b, a)
            for i, (a, b) in zip(chosen, _sides(warm, pairs[chosen]).tolist(), strict=True)
        ]
    return Decided(
        prompts=[known[better][1] for better, _ in shown],
        better=[known[better][0] for better, _ in shown],
        worse=[known[worse][0] for _, worse in shown],
        votes=votes,
        ties=ties,
    )


def _by_pair(answers: Answers) -> tuple[Ints, Ints, Ints]:
    """Of each pair its id, by how much the first picture leads, and how many answered. (P,) each"""
    starts = people.starts(answers.pair)
    slot = np.cumsum(starts) - 1
    lead = np.bincount(slot, weights=toward(answers), minlength=int(starts.sum()))
    ids = answers.pair_ids[answers.pair[starts]]
    return ids, lead.astype(np.int64), np.bincount(slot, minlength=int(starts.sum()))


def _sides(warm: Warm, pair_ids: Ints) -> Ints:
    """First and second sample of pairs. (P, 2)"""
    return np.asarray(warm.pairs[np.searchsorted(warm.pairs[:, 0], pair_ids), 1:3])


def _pictures(studio: Studio, sides: Ints) -> dict[int, tuple[str, str]]:
    """Sample → its file and prompt; texts are left out."""
    wanted = (
        select(Sample.id, Sample.media, Prompt.text)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .where(Sample.id.in_(np.unique(sides).tolist()), Sample.text.is_(None))
    )
    with studio.read() as session:
        return {one: (media, text) for one, media, text in session.execute(wanted)}


def _votes(answers: Answers, chosen: Ints, lead: Ints) -> list[list[float]]:
    slot = np.cumsum(people.starts(answers.pair)) - 1
    place = np.full(int(slot[-1]) + 1, -1)
    place[chosen] = np.arange(len(chosen))
    at = place[slot]
    here = at >= 0
    toward_better = (toward(answers) * np.sign(lead)[slot])[here]
    who, person = np.unique(answers.annotator[here], return_inverse=True)
    votes = np.full((len(who), len(chosen)), np.nan)
    votes[person, at[here]] = (1 + toward_better) / 2
    return [row.tolist() for row in votes]
