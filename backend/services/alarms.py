"""Alarms of runs: remembered when a rule first finds something, shown with a way to the evidence.

The rules are `backend.rl.alarms`; whoever trains a run looks after every record and leaves what
holds here. A row speaks for one rule and one reward or figure, from the step it was first seen to
the last. Two signs are read at sight: that a run is silent, and what its own early stop said.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from backend import registry
from backend.errors import NotFound
from backend.rl.alarms import KEPT, RULES, Finding, Story, is_number
from backend.rl.alarms import look as look_at
from backend.rl.early_stop import History
from backend.services import events
from backend.services.studio import Studio
from db.tables import Evaluation, Iteration, Job, Run, RunAlarm

Curve = list[tuple[int, dict[str, Any]]]
"""(step, metrics) by rising step."""

SILENT_S = 30.0
"""A running run that nothing was heard of for so long is silent."""


def story_of(studio: Studio, run_id: int) -> Story:
    """What the rules need to know of a run that has records already."""
    with studio.read() as session:
        run = _run(session, run_id)
        newest = session.execute(
            select(Iteration.step, Iteration.metrics)
            .where(Iteration.run_id == run_id)
            .order_by(Iteration.step.desc())
            .limit(KEPT)
        )
        updates = [(step, metrics) for step, metrics in reversed(list(newest))]
        measured = session.execute(
            select(Evaluation.step, Evaluation.metrics)
            .where(Evaluation.run_id == run_id)
            .order_by(Evaluation.step)
        )
        found = [(step, metrics) for step, metrics in measured if metrics]
        trained, watched = parties(run.config)
        return Story(trained, watched, list(updates), list(found))


def parties(config: dict[str, Any]) -> tuple[list[str], list[str]]:
    """(trained, watched) rewards of a config; a statistic that is watched is no judge."""
    trained = [term["name"] for term in config.get("rewards", [])]
    watched = [term["name"] for term in config.get("watch", []) if not _is_statistic(term)]
    return trained, watched


def look(studio: Studio, run_id: int, story: Story) -> list[dict[str, Any]]:
    """Remember what holds at the end of a story; returns the alarms that are new."""
    found = look_at(story)
    if not found:
        return []
    with studio.write() as session:
        known = {
            (row.rule, row.about): row
            for row in session.scalars(select(RunAlarm).where(RunAlarm.run_id == run_id))
        }
        fresh = []
        for finding in found:
            row = known.get((finding.rule, finding.about))
            if row is None:
                fresh.append(_fired(session, run_id, finding))
            else:
                row.last_step = max(row.last_step, finding.step)
                row.text, row.value = finding.text, _or_none(finding.value)
        session.flush()
        return [_shown(row) for row in fresh]


def rewind(studio: Studio, run_id: int, step: int) -> None:
    """A run goes on from `step`: what was found later is found again or was not there."""
    mine, upto = RunAlarm.run_id == run_id, max(step, 0)
    with studio.write() as session:
        session.execute(delete(RunAlarm).where(mine, RunAlarm.step > upto))
        session.execute(
            update(RunAlarm).where(mine, RunAlarm.last_step > upto).values(last_step=upto)
        )


def of_runs(session: Session, runs: Sequence[Run]) -> dict[int, list[dict[str, Any]]]:
    """The open alarms of some runs, the worst first."""
    found: dict[int, list[dict[str, Any]]] = {run.id: _silent(session, run) for run in runs}
    stored = session.scalars(
        select(RunAlarm)
        .where(RunAlarm.run_id.in_(list(found)), RunAlarm.closed_at.is_(None))
        .order_by(RunAlarm.id.desc())
    )
    for row in stored:
        found[row.run_id].append(_shown(row))
    for alarms in found.values():
        alarms.sort(key=lambda alarm: alarm["level"] != "error")
    return found


def of_run(studio: Studio, run_id: int) -> list[dict[str, Any]]:
    """All alarms of a run, closed ones too, the newest first."""
    with studio.read() as session:
        run = _run(session, run_id)
        stored = session.scalars(
            select(RunAlarm).where(RunAlarm.run_id == run_id).order_by(RunAlarm.id.desc())
        )
        return [*_silent(session, run), *(_shown(row) for row in stored)]


def stopped(run_id: int, history: History | None, evaluations: Curve) -> list[dict[str, Any]]:
    """The early stop's own verdict, from the same evaluations; `history` is empty still."""
    if history is None:
        return []
    for step, metrics in evaluations:
        history.add(step, {key: value for key, value in metrics.items() if is_number(value)})
    text, best = history.verdict(), history.best_step
    if not text or best is None:
        return []
    step = evaluations[-1][0]
    alarm = _dressed("early-stop", "Stopped before its reward is cheated", "error", text, step)
    url = f"/runs/{run_id}?{urlencode({'step': best})}"
    return [{**alarm, "url": url, "action": f"Show step {best}, which is delivered"}]


def close(studio: Studio, run_id: int, alarm_id: int, by: str, *, again: bool) -> dict[str, Any]:
    """Put an alarm away, or open it again; a closed one does not fire anew."""
    with studio.write() as session:
        row = find(session, alarm_id, run_id)
        row.closed_at, row.closed_by = (None, "") if again else (time.time(), by)
        return _shown(row)


def note_told(studio: Studio, alarm_id: int, **how: Any) -> None:
    """Write down how telling somebody about an alarm went."""
    with studio.write() as session:
        row = find(session, alarm_id)
        row.told = {**row.told, **how, "at": time.time()}
        data = {"alarm": alarm_id}
        events.write(session, "An alarm was told.", run_id=row.run_id, kind="alarm", data=data)


def message(studio: Studio, alarm_id: int) -> dict[str, Any]:
    """What a webhook is told: {run, name, rule, title, level, step, text, path}."""
    with studio.read() as session:
        row = find(session, alarm_id)
        run = _run(session, row.run_id)
        shown = _shown(row)
        return {
            "run": run.id,
            "name": run.name,
            **{key: shown[key] for key in ("rule", "title", "level", "step", "text")},
            "path": shown["url"],
        }


def find(session: Session, alarm_id: int, run_id: int | None = None) -> RunAlarm:
    """The row of an alarm, or NotFound."""
    row = session.get(RunAlarm, alarm_id)
    if row is None or run_id not in (None, row.run_id):
        raise NotFound(f"There is no alarm {alarm_id} of this run.")
    return row


def rules() -> list[dict[str, Any]]:
    """Every rule as people read it."""
    return [
        {"rule": name, "title": rule.title, "level": rule.level, "looks": rule.explained()}
        for name, rule in RULES.items()
    ] + [
        {
            "rule": "silent",
            "title": "The run is silent",
            "level": "error",
            "looks": f"a running run was not heard of for {SILENT_S:.0f} s",
        }
    ]


def _fired(session: Session, run_id: int, finding: Finding) -> RunAlarm:
    rule = RULES[finding.rule]
    row = RunAlarm(
        run_id=run_id,
        rule=finding.rule,
        about=finding.about,
        level=rule.level,
        step=finding.step,
        last_step=finding.step,
        value=_or_none(finding.value),
        text=finding.text,
        told={},
    )
    session.add(row)
    data = {"rule": finding.rule, "step": finding.step}
    text = f"{rule.title}: {finding.text}"
    events.write(session, text, run_id=run_id, level=rule.level, kind="alarm", data=data)
    return row


def _shown(row: RunAlarm) -> dict[str, Any]:
    rule = RULES.get(row.rule)
    title = rule.title if rule else row.rule
    alarm = _dressed(row.rule, title, row.level, row.text, row.step)
    url, action = _evidence(row)
    return {
        **alarm,
        "id": row.id,
        "about": row.about,
        "last_step": row.last_step,
        "value": row.value,
        "fired_at": row.fired_at,
        "closed_at": row.closed_at,
        "closed_by": row.closed_by,
        "told": row.told,
        "url": url,
        "action": action,
    }


def _evidence(row: RunAlarm) -> tuple[str, str]:
    """(address, words) of what the alarm is about."""
    rule, page = RULES.get(row.rule), f"/runs/{row.run_id}"
    shows = rule.shows if rule else "log"
    if shows == "rollouts":
        wanted = FILTERS.get(row.rule, {})
        found = {key: value.format(about=row.about) for key, value in wanted.items()}
        query = {"step": row.last_step, **found}
        return f"{page}/rollouts?{urlencode(query)}", f"Show the groups of step {row.last_step}"
    part = f"chart-{rule.chart}" if rule and shows == "chart" else shows
    words = {"samples": "Show before and after", "chart": "Show the chart", "log": "Show the log"}
    return f"{page}?{urlencode({'step': row.last_step, 'show': part})}", words[shows]


FILTERS: dict[str, dict[str, str]] = {
    "judge-split": {"sort": "judge"},
    "conflict": {"sort": "apart"},
    "no-spread": {"kept": "0"},
    "bound": {"sort": "mean:{about}"},
}
"""What the Rollouts page is opened with, by rule."""


def _silent(session: Session, run: Run) -> list[dict[str, Any]]:
    if run.status != "running" or run.job_id is None:
        return []
    heard = session.scalar(select(Job.heartbeat_at).where(Job.id == run.job_id))
    silence = time.time() - (heard or time.time())
    if silence < SILENT_S:
        return []
    text = f"Nothing was heard of its worker for {silence:.0f} s; it goes on by itself, or resume."
    alarm = _dressed("silent", "The run is silent", "error", text, run.step)
    return [{**alarm, "url": f"/runs/{run.id}?show=log", "action": "Show the log"}]


def _dressed(rule: str, title: str, level: str, text: str, step: int) -> dict[str, Any]:
    return {"rule": rule, "title": title, "level": level, "text": text, "step": step}


def _run(session: Session, run_id: int) -> Run:
    run = session.get(Run, run_id)
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    return run


def _is_statistic(term: dict[str, Any]) -> bool:
    """A plain image statistic: its fall says nothing about quality."""
    return bool(getattr(registry.rewards.get(term["kind"]), "STATISTIC", False))


def _or_none(value: float | None) -> float | None:
    return value if is_number(value) else None
