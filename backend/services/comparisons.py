"""Comparisons: two policies on the same prompts and seeds, judged blind; votes are labels.

In every pair `a` is the base and `b` the tuned policy; which stands on the left is drawn per
annotator. Ties count half; both bad and skip are left out. People and simulated annotators are
shown apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from backend.errors import InputError, NotFound
from backend.preferences import intervals
from backend.services import events, jobs, pairs, policies, prompts
from backend.services.policies import PolicySpec
from backend.services.samples import url
from backend.services.studio import Studio
from db import queries
from db.tables import Comparison, Job, Pair, Policy, Prompt, Reward, Sample

KINDS = {"person": "people", "simulated": "simulated"}
UNLIMITED = 1_000_000
"""The overlap of a comparison's pairs: everybody may judge every one."""
VERDICTS = ("base", "tuned", "tie", "both_bad", "skip")


@dataclass(frozen=True)
class Plan:
    """What the compare job must draw: every prompt once with each policy, from the same noise."""

    id: int
    project_id: int
    base: PolicySpec
    tuned: PolicySpec
    prompts: list[tuple[int, str]]
    """(id, text)"""
    seed: int


@dataclass(frozen=True)
class DrawnPair:
    """A prompt drawn by both."""

    prompt_id: int
    base_sample_id: int
    tuned_sample_id: int


def create(
    studio: Studio,
    project_id: int,
    *,
    base_policy_id: int,
    tuned_policy_id: int,
    prompt_set_id: int,
    num_prompts: int,
    seed: int,
    name: str = "",
) -> dict[str, Any]:
    """Write a comparison down and ask the workers to draw it."""
    if base_policy_id == tuned_policy_id:
        raise InputError("A policy cannot be compared with itself; choose two different ones.")
    with studio.write() as session:
        base, tuned = (policies.find(session, i) for i in (base_policy_id, tuned_policy_id))
        prompts.find(session, prompt_set_id)
        available = queries.prompt_counts(session, [prompt_set_id]).get(prompt_set_id, 0)
        row = Comparison(
            project_id=project_id,
            name=name.strip() or f"{tuned.name} against {base.name}",
            base_policy_id=base_policy_id,
            tuned_policy_id=tuned_policy_id,
            prompt_set_id=prompt_set_id,
            num_prompts=min(num_prompts, available),
            seed=seed,
        )
        session.add(row)
        session.flush()
        job = jobs.add(session, "compare", {"comparison_id": row.id})
        row.job_id = job.id
        comparison_id = row.id
    jobs.enqueue(studio, job.id)
    return get(studio, comparison_id)


def plan(studio: Studio, comparison_id: int) -> Plan:
    """What the compare job must draw."""
    with studio.read() as session:
        row = _find(session, comparison_id)
        found = (row.project_id, row.base_policy_id, row.tuned_policy_id)
        wanted, seed, set_id = row.num_prompts, row.seed, row.prompt_set_id
    project_id, base, tuned = found
    return Plan(
        comparison_id,
        project_id,
        policies.spec(studio, base),
        policies.spec(studio, tuned),
        prompts.texts(studio, set_id, limit=wanted),
        seed,
    )


def ready(studio: Studio, comparison_id: int, drawn: Sequence[DrawnPair]) -> list[int]:
    """Open a comparison for votes; done again, the pairs stay those there are. Returns their
    ids."""
    with studio.write() as session:
        row = _find(session, comparison_id, lock=True)
        known = list(
            session.scalars(
                select(Pair.id).where(Pair.comparison_id == comparison_id).order_by(Pair.id)
            )
        )
        row.status = "ready"
        if known:
            return known
        text = f"Comparison '{row.name}' is ready to be judged."
        events.write(session, text, job_id=row.job_id, kind="status")
        return pairs.add(
            session,
            [
                {
                    "project_id": row.project_id,
                    "prompt_id": pair.prompt_id,
                    "sample_a_id": pair.base_sample_id,
                    "sample_b_id": pair.tuned_sample_id,
                    "comparison_id": comparison_id,
                    "source": "compare",
                    "chooser": "all",
                    "overlap": UNLIMITED,
                }
                for pair in drawn
            ],
        )


def failed(studio: Studio, comparison_id: int, error: str) -> None:
    """The comparison could not be drawn."""
    with studio.write() as session:
        row = _find(session, comparison_id)
        row.status = "failed"
        events.write(session, error, job_id=row.job_id, level="error")


def rows(studio: Studio, project_id: int) -> list[dict[str, Any]]:
    """The comparisons of a project, newest first, each with its result."""
    with studio.read() as session:
        found = list(
            session.scalars(
                select(Comparison)
                .where(Comparison.project_id == project_id)
                .order_by(Comparison.id.desc())
            )
        )
        return _rows(session, found)


def get(studio: Studio, comparison_id: int, *, reveal: bool = False) -> dict[str, Any]:
    """One comparison with its result; `reveal` adds the pictures, saying which is which."""
    with studio.read() as session:
        row = _find(session, comparison_id)
        found = _rows(session, [row])[0]
        return {**found, "cells": _cells(session, row)} if reveal else found


def result(votes: dict[str, int]) -> dict[str, Any]:
    """{votes, win_rate, low, high, pairs} of {base, tuned, tie, both_bad, skip}; None without
    votes."""
    share = intervals.win_rate(votes["tuned"], votes["base"], votes["tie"])
    num = votes["tuned"] + votes["base"] + votes["tie"]
    return {
        "votes": votes,
        "win_rate": share.value if num else None,
        "low": share.low if num else None,
        "high": share.high if num else None,
        "pairs": num,
    }


def _rows(session: Session, found: list[Comparison]) -> list[dict[str, Any]]:
    ids = [row.id for row in found]
    tallies = {row_id: {kind: dict.fromkeys(VERDICTS, 0) for kind in KINDS} for row_id in ids}
    for comparison_id, kind, choice, left, number in queries.votes(session, ids):
        tallies[comparison_id][kind][_verdict(choice, left)] += number
    wanted = {policy for row in found for policy in (row.base_policy_id, row.tuned_policy_id)}
    names = {
        policy_id: name
        for policy_id, name in session.execute(
            select(Policy.id, Policy.name).where(Policy.id.in_(wanted))
        )
    }
    job_ids = [row.job_id for row in found if row.job_id]
    drawing = {job.id: job for job in session.scalars(select(Job).where(Job.id.in_(job_ids)))}
    return [_row(row, tallies[row.id], names, drawing.get(row.job_id or 0)) for row in found]


def _row(
    row: Comparison, tally: dict[str, dict[str, int]], names: dict[int, str], job: Job | None
) -> dict[str, Any]:
    by = {KINDS[kind]: result(votes) for kind, votes in tally.items()}
    status = row.status
    if status == "drawing" and job is not None and job.status in ("failed", "stopped"):
        status = "failed"
    return {
        "id": row.id,
        "name": row.name,
        "base_policy_id": row.base_policy_id,
        "tuned_policy_id": row.tuned_policy_id,
        "base": names.get(row.base_policy_id, ""),
        "tuned": names.get(row.tuned_policy_id, ""),
        "prompt_set_id": row.prompt_set_id,
        "num_prompts": row.num_prompts,
        "seed": row.seed,
        "status": status,
        "progress": 1.0 if status == "ready" else job.progress if job else 0.0,
        "error": job.error if job is not None and status == "failed" else "",
        "job_id": row.job_id,
        "created_at": row.created_at,
        **by["people"],
        "by": by,
    }


def _verdict(choice: str, left: str) -> str:
    said = queries.by_sample(choice, left)
    return {"a": "base", "b": "tuned"}.get(said, said)


def _cells(session: Session, row: Comparison) -> list[dict[str, Any]]:
    base, tuned = aliased(Sample), aliased(Sample)
    found = list(
        session.execute(
            select(Pair.id, Prompt.text, base, tuned)
            .join(Prompt, Prompt.id == Pair.prompt_id)
            .join(base, base.id == Pair.sample_a_id)
            .join(tuned, tuned.id == Pair.sample_b_id)
            .where(Pair.comparison_id == row.id)
            .order_by(Pair.id)
        )
    )
    names = {
        reward_id: name
        for reward_id, name in session.execute(
            select(Reward.id, Reward.name).where(Reward.project_id == row.project_id)
        )
    }
    drawn = [sample.id for _pair, _prompt, one, other in found for sample in (one, other)]
    scores = queries.scores_of(session, drawn)

    def said(sample_id: int) -> dict[str, float | None]:
        return {
            names[i]: value for i, (value, _) in scores.get(sample_id, {}).items() if i in names
        }

    return [
        {
            "pair_id": pair_id,
            "prompt": prompt,
            "base_url": url(one.media),
            "tuned_url": url(other.media),
            "width": one.width,
            "height": one.height,
            "seed": one.seed,
            "rewards": {"base": said(one.id), "tuned": said(other.id)},
        }
        for pair_id, prompt, one, other in found
    ]


def _find(session: Session, comparison_id: int, *, lock: bool = False) -> Comparison:
    row = session.get(Comparison, comparison_id, with_for_update=lock)
    if row is None:
        raise NotFound(f"There is no comparison {comparison_id}.")
    return row
