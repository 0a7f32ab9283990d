"""What a report tells of a run, read from the store: figures, pictures' names, alarms, votes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.preferences.intervals import Z95
from backend.services import alarms, bundles, comparisons, policies, runs
from backend.services.studio import Studio
from db import queries
from db.tables import Comparison, Evaluation, Policy, Run, RunOrder

Records = list[tuple[int, dict[str, Any]]]
"""(step, metrics) by rising step."""
MOST_PICTURES = 12
"""Prompts shown at each of the chosen steps."""
COLUMNS = 5
"""Steps of which pictures are shown: the first, the last, the delivered, and some between."""
MOST_POINTS = 400


@dataclass(frozen=True)
class Gain:
    """How far a reward rose on held-out prompts, from the base to one evaluation."""

    name: str
    is_trained: bool
    value: float
    half: float | None
    """Half of the 95 % interval, over prompts."""
    before: float | None
    after: float | None

    @property
    def verdict(self) -> int:
        """1: the whole interval is above 0; −1: below; 0: neither is shown."""
        if self.half is None:
            return 0
        return (self.value > self.half) - (self.value < -self.half)


@dataclass(frozen=True)
class Vote:
    """What one kind of judge said of a blind comparison."""

    tuned: str
    base: str
    who: str
    win_rate: float
    low: float
    high: float
    pairs: int


@dataclass(frozen=True)
class Facts:
    """All that a report needs but the pictures themselves."""

    run: dict[str, Any]
    model: str
    trained: Records
    """Updates, at most `MOST_POINTS` of them."""
    evaluated: Records
    told_step: int | None
    """The evaluation that the headline is of: that of what the run delivered, or the last."""
    delivered: int | None
    """Step of the adapter that the run delivered."""
    gains: list[Gain]
    alarms: list[dict[str, Any]]
    shown: list[tuple[int, list[dict[str, Any]]]]
    """(step, samples of the fixed prompts)"""
    votes: list[Vote]
    prompts: dict[str, int]
    """Prompt set → how many prompts it has now."""
    nfe: int
    seconds: float
    """Of all updates."""
    changes: int
    """Settings that people changed while it ran."""

    @property
    def terms(self) -> list[tuple[dict[str, Any], bool]]:
        """(reward, whether it is trained on) in the order of the settings."""
        config = self.run["config"]
        return [(t, True) for t in config["rewards"]] + [(t, False) for t in config["watch"]]

    @property
    def main(self) -> str:
        """The reward that pictures are labelled with."""
        return self.gains[0].name if self.gains else next((t["name"] for t, _ in self.terms), "")


def read(studio: Studio, run_id: int) -> Facts:
    """Everything of a run, or NotFound."""
    run = runs.get(studio, run_id)
    trained: Records = []
    nfe, seconds = 0, 0.0
    for row in bundles.iterations(studio, run_id):
        trained.append((row.step, row.metrics))
        nfe += row.nfe
        seconds += row.seconds.get("total") or sum(row.seconds.values())
    with studio.read() as session:
        evaluated: Records = [
            (step, metrics)
            for step, metrics in session.execute(
                select(Evaluation.step, Evaluation.metrics)
                .where(Evaluation.run_id == run_id)
                .order_by(Evaluation.step)
            )
        ]
        tuned = session.get(Policy, run["tuned_policy_id"]) if run["tuned_policy_id"] else None
        delivered = tuned.step if tuned is not None else None
        steps = [step for step, _ in evaluated]
        told = delivered if delivered in steps else steps[-1] if steps else None
        model = policies.find(session, run["policy_id"]).name
        shown = _samples(session, run_id, steps, told)
        counted = _prompts(session, session.get_one(Run, run_id))
        changes = session.scalar(
            select(func.count())
            .select_from(RunOrder)
            .where(RunOrder.run_id == run_id, RunOrder.kind == "setting")
        )
    early = [one for one in run["alarms"] if one["rule"] == "early-stop"]
    return Facts(
        run,
        model,
        _thinned(trained),
        evaluated,
        told,
        delivered,
        _gains(run["config"], dict(evaluated), told),
        [*early, *alarms.of_run(studio, run_id)],
        shown,
        _votes(studio, run_id),
        counted,
        nfe,
        seconds,
        changes or 0,
    )


def _gains(
    config: dict[str, Any], evaluated: dict[int, dict[str, Any]], told: int | None
) -> list[Gain]:
    """Of every reward that was measured, those that are trained on first."""
    if told is None:
        return []
    after, before = evaluated[told], evaluated[min(evaluated)]
    found = []
    for part in ("rewards", "watch"):
        for name in (term["name"] for term in config[part]):
            value, se = after.get(f"gain/{name}"), after.get(f"gain_se/{name}")
            if told and value is not None:
                means = before.get(f"heldout/{name}"), after.get(f"heldout/{name}")
                half = None if se is None else se * Z95
                found.append(Gain(name, part == "rewards", value, half, *means))
    return found


def _thinned(rows: Records) -> Records:
    """At most so many points, the first and the last among them."""
    if len(rows) <= MOST_POINTS:
        return rows
    last = len(rows) - 1
    return [rows[round(i * last / (MOST_POINTS - 1))] for i in range(MOST_POINTS)]


def _samples(
    session: Session, run_id: int, steps: list[int], told: int | None
) -> list[tuple[int, list[dict[str, Any]]]]:
    """The first evaluation, the last, the one that is told of, and some evenly between."""
    if not steps:
        return []
    last = len(steps) - 1
    many = min(COLUMNS, len(steps))
    picked = {steps[round(i * last / max(many - 1, 1))] for i in range(many)}
    if told is not None and told not in picked:
        between = picked - {steps[0], steps[-1]}
        picked -= {min(between, key=lambda step: abs(step - told))} if between else set()
        picked.add(told)
    found = [
        (step, list(session.get_one(Evaluation, (run_id, step)).samples)[:MOST_PICTURES])
        for step in sorted(picked)
    ]
    return [(step, samples) for step, samples in found if samples]


def _prompts(session: Session, run: Run) -> dict[str, int]:
    found = {}
    for key in ("prompt_set", "heldout_set"):
        name = run.config.get(key, "")
        row = queries.prompt_set_named(session, run.project_id, name)
        if row is not None:
            found[name] = queries.prompt_counts(session, [row.id]).get(row.id, 0)
    return found


def _votes(studio: Studio, run_id: int) -> list[Vote]:
    """Blind comparisons of what the run taught against other models."""
    with studio.read() as session:
        taught = set(session.scalars(select(Policy.id).where(Policy.run_id == run_id)))
        here = select(Comparison.id).where(
            Comparison.tuned_policy_id.in_(taught) | Comparison.base_policy_id.in_(taught)
        )
        ids = list(session.scalars(here.order_by(Comparison.id)))
    found = []
    for row in (comparisons.get(studio, one) for one in ids):
        for who, part in row["by"].items():
            if part["pairs"]:
                rate = (part["win_rate"], part["low"], part["high"])
                found.append(Vote(row["tuned"], row["base"], who, *rate, part["pairs"]))
    return found
