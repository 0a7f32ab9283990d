"""Which policy is better, by people, by simulated annotators or by a reward; never mixed.

`backend.preferences.ranking` on the project's warm ledger: votes of the queue, of studies and of
blind comparisons. People excluded from a study do not count there; attention checks never do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import InputError
from backend.preferences import agreement, ranking
from backend.preferences.ledger import OVERALL, Answers, Ledger
from backend.preferences.ranking import Board, Cell, Method, Standing
from backend.preferences.strengths import Tally
from backend.rewards._prompt_kinds import KINDS
from backend.services import ledgers, pair_views, rewards
from backend.services.ledgers import PEOPLE, SIMULATED, Warm
from backend.services.quality import OF_PAIRS, finite
from backend.services.studio import Studio
from db.tables import Comparison, Policy, Prompt, PromptSet, Reward, Study

REWARD = "reward"
VOTERS = {"people": PEOPLE, "simulated": SIMULATED, REWARD: ""}
MOST_VOTERS = 200
"""Annotators that can be chosen, those with the most votes."""
MOST_IN_MATRIX = 16
"""The best models of the win matrix; further ones are ranked, and meet in the pairs behind."""


@dataclass(frozen=True)
class Votes:
    """Which votes are meant."""

    by: str = "people"
    """people, simulated, or reward: what a reward says of the same pairs."""
    reward_id: int | None = None
    study_id: int | None = None
    comparison_id: int | None = None
    aspect: str = OVERALL
    prompt_set_id: int | None = None
    prompt_kind: str = ""
    """One of `KINDS`; empty: prompts of all kinds."""
    annotators: tuple[int, ...] = ()
    """Whose votes count; empty: everybody's."""
    since: float | None = None
    """Answered from then (seconds since 1970)."""
    until: float | None = None
    """Answered before then."""


def board(
    studio: Studio,
    project_id: int,
    votes: Votes,
    *,
    method: Method = "bradley-terry",
    weighted: bool = True,
) -> dict[str, Any]:
    """The ranking of the project's policies by these votes.

    {method, votes, pairs, models, brackets, cells, tie, anchored}; models best first, brackets as
    first and last place from 0, cells of the best models in both directions.
    """
    if method not in ranking.METHODS:
        raise InputError(f"There is no ranking '{method}'; choose {', '.join(ranking.METHODS)}.")
    with ledgers.opened(studio, project_id) as warm, studio.read() as session:
        ledger = _ledger(session, warm, votes)
        key = ("board", votes, method, weighted, id(ledger), ledger.version)
        prompts = _prompts(session, warm, votes)

        def work_out() -> dict[str, Any]:
            answers = _answers(warm, ledger, votes, prompts)
            return _board(answers, method, weighted)

        found = warm.figures(key, work_out) if prompts is None else work_out()
        names = _names(session, [row["model"] for row in found["models"]])
    models = [{**row, **names.get(row["model"], {"name": ""})} for row in found["models"]]
    return {**found, "models": models}


def behind(
    studio: Studio,
    project_id: int,
    votes: Votes,
    model: int,
    other: int | None = None,
    *,
    offset: int = 0,
    limit: int = 24,
) -> dict[str, Any]:
    """{items, total}: pairs of a model, or of two, with what these votes said; newest first."""
    with ledgers.opened(studio, project_id) as warm, studio.read() as session:
        ledger = _ledger(session, warm, votes)
        answers = _answers(warm, ledger, votes, _prompts(session, warm, votes))
    a, b = answers.source_ids[answers.a], answers.source_ids[answers.b]
    mine = ((a == model) | (b == model)) & (a != b)
    if other is not None:
        mine &= (a == other) | (b == other)
    answers = answers.where(mine)
    counts = agreement.counts(answers)
    starts = np.flatnonzero(np.append(True, answers.pair[1:] != answers.pair[:-1])[: len(answers)])
    newest = np.maximum.reduceat(answers.label, starts) if len(starts) else starts
    order = np.argsort(-newest, kind="stable")[offset : offset + limit]
    ids = answers.pair_ids[answers.pair[starts[order]]]
    shown = pair_views.shown(studio, ids.tolist())
    items = [
        {**shown[pair], "verdicts": pair_views.verdicts(counts[row])}
        for pair, row in zip(ids.tolist(), order.tolist(), strict=True)
        if pair in shown
    ]
    return {"items": items, "total": len(starts)}


def choices(studio: Studio, project_id: int) -> dict[str, Any]:
    """What the board can be filtered by: {votes, annotators, rewards, studies, comparisons,
    prompt_sets, prompt_kinds, aspects, methods}; annotators as {people, simulated}, each a list of
    {id, name, votes}, most votes first."""
    with ledgers.opened(studio, project_id) as warm, studio.read() as session:
        given = {
            name: warm.ledger.answers(annotators=warm.ids(kind), barred=warm.barred)
            for name, kind in VOTERS.items()
            if kind
        }
        counted = {name: len(answers) for name, answers in given.items()}
        voters = {name: _voters(answers, warm.names) for name, answers in given.items()}
        aspects = warm.ledger.aspects
        studies = session.execute(
            select(Study.id, Study.name, Study.config)
            .where(Study.project_id == project_id, Study.kind.in_(OF_PAIRS))
            .order_by(Study.id.desc())
        )
        return {
            "votes": counted,
            "annotators": voters,
            "prompt_kinds": list(KINDS),
            "aspects": aspects,
            "methods": list(ranking.METHODS),
            "studies": [
                {"id": i, "name": name, "aspects": config.get("aspects", [])}
                for i, name, config in studies
            ],
            "rewards": _listed(session, Reward, project_id),
            "comparisons": _listed(session, Comparison, project_id),
            "prompt_sets": _listed(session, PromptSet, project_id),
        }


# ---------------------------------------------------------------- parts


def _ledger(session: Session, warm: Warm, votes: Votes) -> Ledger:
    if votes.by not in VOTERS:
        raise InputError(f"Votes are by {', '.join(VOTERS)}, not by '{votes.by}'.")
    if votes.by != REWARD:
        return warm.ledger
    if votes.reward_id is None:
        raise InputError("Name the reward whose votes are meant (reward_id).")
    reward = rewards.find(session, votes.reward_id)
    if reward.project_id != warm.project_id:
        raise InputError(f"Reward {reward.id} belongs to another project.")
    return warm.votes_of(session, reward.id)


def _voters(answers: Answers, names: dict[int, str]) -> list[dict[str, Any]]:
    votes = np.bincount(answers.annotator, minlength=len(answers.annotator_ids))
    order = np.argsort(-votes, kind="stable")[:MOST_VOTERS]
    ids = answers.annotator_ids[order].tolist()
    return [
        {"id": i, "name": names.get(i, ""), "votes": number}
        for i, number in zip(ids, votes[order].tolist(), strict=True)
        if number
    ]


def _prompts(session: Session, warm: Warm, votes: Votes) -> Sequence[int] | None:
    """Ids of the prompts that are meant; None for all."""
    if votes.prompt_kind and votes.prompt_kind not in KINDS:
        raise InputError(
            f"There is no kind of prompt '{votes.prompt_kind}'; choose {', '.join(KINDS)}."
        )
    of_kind = warm.prompts_of_kind(session, votes.prompt_kind) if votes.prompt_kind else None
    if votes.prompt_set_id is None:
        return of_kind
    of_set = session.scalars(select(Prompt.id).where(Prompt.prompt_set_id == votes.prompt_set_id))
    return list(of_set) if of_kind is None else list(set(of_kind).intersection(of_set))


def _answers(warm: Warm, ledger: Ledger, votes: Votes, prompts: Sequence[int] | None) -> Answers:
    if votes.study_id is not None and votes.comparison_id is not None:
        raise InputError("Name a study or a comparison, not both.")
    groups = None
    if votes.study_id is not None or votes.comparison_id is not None:
        groups = [ledgers.group_of(votes.study_id, votes.comparison_id)]
    meant = None
    if prompts is not None:
        meant = warm.pairs[np.isin(warm.pairs[:, 5], np.array(prompts, dtype=np.int64)), 0]
    if votes.by == REWARD:
        if votes.aspect or votes.annotators or votes.since is not None or votes.until is not None:
            raise InputError(
                "A reward gives no aspects and no times, and no annotator votes for it; leave "
                "those filters out."
            )
        return ledger.answers(groups=groups, pairs=meant)
    since, until = votes.since, votes.until
    is_dated = since is not None or until is not None
    return ledger.answers(
        votes.aspect,
        groups=groups,
        annotators=[
            one
            for one in warm.ids(VOTERS[votes.by])
            if not votes.annotators or one in votes.annotators
        ],
        barred=warm.barred,
        between=(since or 0.0, 2.0**40 if until is None else until) if is_dated else None,
        pairs=meant,
    )


def _board(answers: Answers, method: Method, weighted: bool) -> dict[str, Any]:
    tally = Tally.of(answers, weighted=weighted)
    found = Board(method, [], [], np.zeros((0, 0), bool), np.zeros((0, 0)), None, False)
    if len(tally.pairs):
        found = ranking.rank(tally, method)
    best = {standing.model for standing in found.standings[:MOST_IN_MATRIX]}
    cells = ranking.win_matrix(tally) if len(tally.pairs) else []
    return {
        "method": method,
        "weighted": weighted,
        "votes": int(tally.votes.sum()),
        "pairs": int(tally.pairs.sum()),
        "models": [_standing(standing) for standing in found.standings],
        "brackets": [list(bracket) for bracket in found.brackets],
        "cells": [_cell(cell) for cell in cells if {cell.model, cell.other} <= best],
        "tie": found.tie,
        "anchored": found.anchored,
    }


def _standing(standing: Standing) -> dict[str, Any]:
    return {
        "model": standing.model,
        "rank": standing.rank,
        "strength": finite(standing.strength),
        "low": finite(standing.low),
        "high": finite(standing.high),
        "votes": standing.votes,
        "wins": standing.wins,
        "both_bad": finite(standing.both_bad),
        "tops": standing.tops,
        "needed": standing.needed,
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "model": cell.model,
        "other": cell.other,
        "share": finite(cell.share),
        "low": finite(cell.low),
        "high": finite(cell.high),
        "wins": cell.wins,
        "ties": cell.ties,
        "losses": cell.losses,
        "pairs": cell.pairs,
    }


def _names(session: Session, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """{name, run_id, step} of policies."""
    named: dict[int, dict[str, Any]] = {}
    for start in range(0, len(ids), 500):
        rows = session.execute(
            select(Policy.id, Policy.name, Policy.run_id, Policy.step).where(
                Policy.id.in_(ids[start : start + 500])
            )
        )
        named |= {i: {"name": name, "run_id": run, "step": step} for i, name, run, step in rows}
    return named


def _listed(
    session: Session, table: type[Reward | Comparison | PromptSet], project_id: int
) -> list[dict[str, Any]]:
    rows = session.execute(
        select(table.id, table.name).where(table.project_id == project_id).order_by(table.id.desc())
    )
    return [{"id": i, "name": name} for i, name in rows]
