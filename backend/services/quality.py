"""How far a study's labels can be trusted, and by whom they are bent.

`backend.preferences.agreement` and `flags` on the project's warm ledger. People who are excluded
are no part of any figure; they keep their row, held against those who count, so that it can be seen
what their answers are like. What each number means stands in docs/quality.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from backend.errors import InputError
from backend.preferences import agreement, flags
from backend.preferences.followed import Followed
from backend.preferences.intervals import Share, wilson
from backend.preferences.ledger import NONE, OVERALL, Answers, Codes, Ints
from backend.preferences.studies import StudyConfig
from backend.preferences.tallies import Band, Tallies
from backend.services import ledgers, marks, pair_views, studies
from backend.services.ledgers import PEOPLE, SIMULATED, Warm
from backend.services.studio import Studio
from db import ledgers as queries

MOST_PEOPLE = 200
"""Annotators listed; of more, those with flags and those with the most answers."""
MOST_IN_MATRIX = 24
"""Annotators whose agreement with each other is shown; of more, those with the most answers."""
OF_PAIRS = ("images", "texts")
"""Kinds of studies whose answers are verdicts about two."""


def figures(studio: Studio, study_id: int, *, simulated: bool = False) -> dict[str, Any]:
    """All figures of a study's people, or of its simulated annotators.

    {study, answers, pairs, aspects, left, checks, people, matrix, speed, days}; shares are {value,
    low, high, num}, unknown numbers null. Of studies of one picture or of four there are agreement
    and people alone.
    """
    with studio.read() as session:
        study = studies.find(session, study_id)
        about = {"id": study.id, "name": study.name, "kind": study.kind, "status": study.status}
        config = StudyConfig.read(study.config)
        asked, project = config.aspects, study.project_id
        out = {
            row.user_id: {"by": row.made_by, "at": row.created_at}
            for row in queries.exclusions(session, study_id)
        }
    kind = SIMULATED if simulated else PEOPLE
    with ledgers.opened(studio, project) as warm:
        key = ("quality", study_id, kind, config.model_dump_json(), tuple(sorted(out)))

        def work_out() -> dict[str, Any]:
            if about["kind"] in OF_PAIRS:
                return _figures(warm, study_id, kind, asked, list(out))
            with studio.read() as session:
                said = marks.given(session, study_id, kind)
            return _marks(str(about["kind"]), config, said, set(out))

        found = warm.figures(key, work_out)
        names = warm.names
        silent = (set(out) & set(warm.ids(kind))) - {row["id"] for row in found["people"]}
        people = [
            {**row, "name": names.get(row["id"], ""), "excluded": out.get(row["id"])}
            for row in [*found["people"], *map(_silent, sorted(silent))]
        ]
    return {"study": about, "kind": kind, **found, "people": people}


def disputed(
    studio: Studio,
    study_id: int,
    *,
    aspect: str = OVERALL,
    simulated: bool = False,
    offset: int = 0,
    limit: int = 24,
) -> dict[str, Any]:
    """{items, total}: pairs on which people part most, with their pictures and verdicts."""
    with studio.read() as session:
        study = studies.find(session, study_id)
        project, asked = study.project_id, StudyConfig.read(study.config).aspects
    if aspect and aspect not in asked:
        raise InputError(f"This study does not ask about '{aspect}'; it asks {_listed(asked)}.")
    kind = SIMULATED if simulated else PEOPLE
    with ledgers.opened(studio, project) as warm:
        answers = _answers(warm, study_id, kind, aspect)
        found = agreement.disputed(answers, limit=offset + limit)[offset:]
        total = _disputed(answers)
    shown = pair_views.shown(studio, [dispute.pair for dispute in found])
    return {
        "items": [
            {
                **shown[dispute.pair],
                "verdicts": pair_views.verdicts(dispute.counts),
                "disagreement": dispute.disagreement,
            }
            for dispute in found
            if dispute.pair in shown
        ],
        "total": total,
    }


# ---------------------------------------------------------------- figures


def _figures(
    warm: Warm, study_id: int, kind: str, asked: list[str], out: list[int]
) -> dict[str, Any]:
    everybody = _followed(warm, study_id, kind, OVERALL, barred=False)
    counted = everybody.tallies(out=out)
    checks = _answers(warm, study_id, kind, OVERALL, barred=False, facts=True)
    right = warm.ledger.expected(checks)
    theirs, known_right = _without(checks, right, out)
    raised = flags.raised(
        counted, lambda guilty: everybody.tallies(out=out, silent=guilty), theirs, known_right
    )
    whole = counted
    if out:
        whole = everybody.tallies(silent=out)
        alone = flags.raised(
            everybody.tallies(), lambda guilty: everybody.tallies(silent=guilty), checks, right
        )
        raised += [flag for flag in alone if flag.annotator in out]
    sided, left = counted.sides()
    known = known_right != NONE
    passed = int((theirs.choice[known] == known_right[known]).sum())
    return {
        "answers": counted.answers,
        "pairs": counted.pairs,
        "aspects": [_aspect(warm, study_id, kind, aspect) for aspect in [OVERALL, *asked]],
        "left": plain(wilson(int(left.sum()), int(sided.sum()))),
        "checks": plain(wilson(passed, int(known.sum()))),
        "people": _people(whole, checks, right, raised, out),
        "matrix": _matrix(counted),
        "speed": [_band(band) for band in counted.by_speed()],
        "days": [_band(band) for band in counted.by_day()],
    }


def _marks(kind: str, config: StudyConfig, said: marks.Given, out: set[int]) -> dict[str, Any]:
    """The same of answers that are no choice between two."""
    counted = [one for one in said if one[1] not in out]
    none = plain(wilson(0, 0))
    return {
        "answers": len(counted),
        "pairs": len({item for item, *_rest in counted}),
        "aspects": [
            {**row, **alpha_of(row.pop("found"))} for row in marks.aspects(kind, config, counted)
        ],
        "left": none,
        "checks": none,
        "people": [{**_silent(row["id"]), **row} for row in marks.people(said)[:MOST_PEOPLE]],
        "matrix": {"people": [], "cells": []},
        "speed": [],
        "days": [],
    }


def _answers(
    warm: Warm,
    study_id: int,
    kind: str,
    aspect: str,
    *,
    barred: bool = True,
    facts: bool = False,
    pairs: Ints | None = None,
) -> Answers:
    """Answers of a study; of an aspect that nobody has spoken of yet, none."""
    annotators: list[int] | None = warm.ids(kind)
    if aspect and aspect not in warm.ledger.aspects:
        aspect, annotators = OVERALL, []
    return warm.ledger.answers(
        aspect,
        groups=[study_id],
        annotators=annotators,
        barred=warm.barred_from(study_id) if barred else (),
        facts=facts,
        pairs=pairs,
    )


def _followed(
    warm: Warm, study_id: int, kind: str, aspect: str, *, barred: bool = True
) -> Followed:
    """The same, followed from one look to the next."""
    out = tuple(sorted(warm.barred_from(study_id))) if barred else None
    return warm.followed(
        ("quality", study_id, kind, aspect, out),
        lambda pairs: _answers(warm, study_id, kind, aspect, barred=barred, pairs=pairs),
    )


def _aspect(warm: Warm, study_id: int, kind: str, aspect: str) -> dict[str, Any]:
    patterns, times = _followed(warm, study_id, kind, aspect).patterns().table()
    return {
        "aspect": aspect,
        "level": "nominal",
        **alpha_of(agreement.alpha_of(patterns, times)),
        "disputed": int(times[(patterns > 0).sum(axis=1) > 1].sum()),
    }


def alpha_of(found: agreement.Alpha) -> dict[str, Any]:
    """{alpha, low, high, pairs, answers}; unknown numbers null."""
    return {
        "alpha": finite(found.value),
        "low": finite(found.low),
        "high": finite(found.high),
        "pairs": found.pairs,
        "answers": found.answers,
    }


def _disputed(answers: Answers) -> int:
    return int(((agreement.counts(answers) > 0).sum(axis=1) > 1).sum())


def _without(checks: Answers, right: Codes, out: list[int]) -> tuple[Answers, Codes]:
    """Attention checks of those who count."""
    if not out:
        return checks, right
    mine = ~np.isin(checks.annotator_ids[checks.annotator], out)
    return checks.where(mine), right[mine]


def _people(
    tallies: Tallies,
    checks: Answers,
    right: Codes,
    raised: Iterable[flags.Flag],
    out: list[int],
) -> list[dict[str, Any]]:
    passed = flags.pass_rates(checks, right)
    of_person: dict[int, list[dict[str, Any]]] = {}
    for flag in raised:
        said = {"kind": flag.kind, "text": flag.text, "evidence": flag.evidence}
        of_person.setdefault(flag.annotator, []).append(said)
    rows: list[dict[str, Any]] = [
        {
            "id": person.annotator,
            "answers": person.answers,
            "left": plain(person.left),
            "agreement": plain(person.agreement),
            "ties": finite(person.ties),
            "median_s": finite(person.median_s),
            "checks": plain(wilson(*passed.get(person.annotator, (0, 0)))),
            "flags": of_person.get(person.annotator, []),
        }
        for person in tallies.people()
    ]
    rows.sort(key=lambda row: (not row["flags"] and row["id"] not in out, -row["answers"]))
    return rows[:MOST_PEOPLE]


def _silent(person: int) -> dict[str, Any]:
    """The row of somebody who is excluded and has no answer that stands."""
    none = plain(wilson(0, 0))
    shares = {"left": none, "agreement": none, "checks": none}
    return {"id": person, "answers": 0, **shares, "ties": None, "median_s": None, "flags": []}


def _matrix(tallies: Tallies) -> dict[str, Any]:
    found = tallies.matrix(most=MOST_IN_MATRIX)
    cells = [
        [
            plain_of(found.share[i, j], found.low[i, j], found.high[i, j], int(found.num[i, j]))
            for j in range(len(found.annotators))
        ]
        for i in range(len(found.annotators))
    ]
    return {"people": found.annotators, "cells": cells}


def _band(band: Band) -> dict[str, Any]:
    return {
        "start": band.start,
        "end": band.end,
        "agreement": plain(band.agreement),
        "median_s": finite(band.median_s),
        "answers": band.answers,
    }


def finite(value: float) -> float | None:
    """The number, or None where it is not known: JSON has no NaN."""
    return float(value) if math.isfinite(value) else None


def plain(share: Share) -> dict[str, Any]:
    """{value, low, high, num} of a share."""
    found = asdict(share)
    return {**found, "value": finite(share.value)}


def plain_of(value: float, low: float, high: float, num: int) -> dict[str, Any]:
    """As `plain`, from numbers."""
    return {"value": finite(value), "low": finite(low), "high": finite(high), "num": num}


def _listed(asked: list[str]) -> str:
    return f"about {', '.join(asked)}" if asked else "about no aspect"
