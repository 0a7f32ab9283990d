"""How far marks of one picture, and the best and the worst of four, can be trusted.

Marks are ordinal values (4 against 5 parts people less than 1 against 5), each line of a checklist
is yes or no, and a best and a worst say who of two is better in five of the six pairs of four.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.preferences import agreement
from backend.preferences.agreement import Alpha
from backend.preferences.studies import StudyConfig
from db import queries
from db.tables import Label, Pair, User

MARKS = 5
T = TypeVar("T")
PLACES = "abcd"
Given = list[tuple[int, int, dict[str, Any], float]]
"""(item, annotator, answers, seconds), one of each person and item."""


def given(session: Session, study_id: int, kind: str) -> Given:
    """Judgements of a study that stand, by people or by simulated annotators; who is excluded has
    theirs too."""
    rows = session.execute(
        select(Label.pair_id, Label.user_id, Label.answers, Label.t_answer - Label.t_shown)
        .join(Pair, Pair.id == Label.pair_id)
        .join(User, User.id == Label.user_id)
        .where(
            Pair.study_id == study_id,
            Label.choice.in_(("rated", "ranked")),
            User.kind == kind,
            queries.is_no_fact(),
            queries.current(),
        )
        .order_by(Label.id)
    )
    newest = {(pair, user): (pair, user, answers, took) for pair, user, answers, took in rows}
    return list(newest.values())


def aspects(kind: str, config: StudyConfig, said: Given) -> list[dict[str, Any]]:
    """{aspect, level, found, disputed} of the question, then of each line of a checklist."""
    if kind == "best_worst":
        fours = _by_item((item, _ballot(answers)) for item, _who, answers, _s in said)
        found = agreement.alpha_of_fours(fours)
        return [_aspect("", "pairs implied", found, (set(b for b, _w in four) for four in fours))]
    marks = _by_item(
        (item, int(answers["rating"]) - 1)
        for item, _who, answers, _s in said
        if "rating" in answers
    )
    rows = [_aspect("", "ordinal", _alpha(marks, MARKS, "ordinal"), map(set, marks))]
    for line in config.checklist:
        ticks = _by_item(
            (item, int(answers["checklist"][line]))
            for item, _who, answers, _s in said
            if line in answers.get("checklist", {})
        )
        rows.append(_aspect(line, "nominal", _alpha(ticks, 2, "nominal"), map(set, ticks)))
    return rows


def people(said: Given) -> list[dict[str, Any]]:
    """{id, answers, median_s} of each annotator, those with the most answers first."""
    took: dict[int, list[float]] = defaultdict(list)
    for _item, who, _answers, seconds in said:
        took[who].append(seconds)
    return [
        {"id": who, "answers": len(took[who]), "median_s": statistics.median(took[who])}
        for who in sorted(took, key=lambda who: (-len(took[who]), who))
    ]


def _aspect(name: str, level: str, found: Alpha, values: Iterable[set[int]]) -> dict[str, Any]:
    disputed = sum(len(each) > 1 for each in values)
    return {"aspect": name, "level": level, "found": found, "disputed": disputed}


def _alpha(values: Sequence[Sequence[int]], num: int, level: agreement.Level) -> Alpha:
    counts = np.zeros((len(values), num), dtype=np.int64)
    for row, item in zip(counts, values, strict=True):
        np.add.at(row, list(item), 1)
    return agreement.alpha(counts, level=level)


def _by_item(values: Iterable[tuple[int, T]]) -> list[list[T]]:
    found: dict[int, list[T]] = defaultdict(list)
    for item, value in values:
        found[item].append(value)
    return list(found.values())


def _ballot(answers: dict[str, Any]) -> tuple[int, int]:
    return PLACES.index(answers["best"]), PLACES.index(answers["worst"])
