"""Alarms of a run: signs that the numbers rise for the wrong reason, or do not mean anything any
more."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

from backend.rl.early_stop import History

Curve = list[tuple[int, dict[str, Any]]]
"""(step, metrics) by rising step."""

FEW_GROUPS = 0.2
MUCH_CLIPPED = 0.5
DIVERSITY_LEFT = 0.6
MANY_MISSING = 0.1
SURE = 2.0
"""Standard errors by which a gain must differ from zero to count."""


def of_run(
    run_id: int,
    trained: list[str],
    watched: list[str],
    curve: Curve,
    evaluations: Curve,
    history: History | None = None,
) -> list[dict[str, Any]]:
    """What a person should look at: [{level, title, text, step, url, action}], the worst first.

    `history` is that of the run's early stop, empty still; where it says that the run was cheated,
    the alarm leads to the step that was delivered instead.
    """
    stopped = _stopped(history, evaluations) if history else []
    found = [
        *stopped,
        *_iteration(trained + watched, curve),
        *(_cheating(trained, watched, evaluations) if not stopped else []),
        *_diversity(evaluations),
    ]
    address = f"/runs/{run_id}"
    found.sort(key=lambda alarm: alarm["level"] != "error")
    for alarm in found:
        shown = alarm.pop("best", alarm["step"])
        alarm["url"] = f"{address}?step={shown}" if shown else address
    return found


def _stopped(history: History, evaluations: Curve) -> list[dict[str, Any]]:
    """The early stop's own verdict, from the same evaluations."""
    for step, metrics in evaluations:
        history.add(step, {key: value for key, value in metrics.items() if _is_number(value)})
    text, best = history.verdict(), history.best_step
    if not text or best is None:
        return []
    alarm = _alarm("error", "Stopped before its reward is cheated", text, evaluations[-1][0])
    return [{**alarm, "best": best, "action": f"Show step {best}, which is delivered"}]


def _iteration(names: list[str], curve: Curve) -> list[dict[str, Any]]:
    if not curve:
        return []
    step, last = curve[-1]
    alarms = []
    for name in names:
        missing = last.get(f"missing/{name}") or 0.0
        if missing > MANY_MISSING:
            text = f"'{name}' gave no value for {missing:.0%} of the pictures."
            alarms.append(_alarm("error", "A reward is missing", text, step))
    broken = [key for key, value in last.items() if not _is_number(value)]
    if broken:
        text = f"{', '.join(broken[:4])} is not a number."
        alarms.append(_alarm("error", "A figure is not a number", text, step))
    kept, total = last.get("groups_kept"), last.get("groups_total")
    if _is_number(kept) and _is_number(total) and total and kept < FEW_GROUPS * total:
        text = f"Only {kept:.0f} of {total:.0f} groups differ enough to learn from."
        alarms.append(_alarm("warning", "Few groups teach anything", text, step))
    clipped = last.get("clip_share")
    if _is_number(clipped) and clipped > MUCH_CLIPPED:
        text = f"{clipped:.0%} of the edges are clipped; lower the learning rate."
        alarms.append(_alarm("warning", "Most of the update is clipped", text, step))
    return alarms


def _cheating(trained: list[str], watched: list[str], evaluations: Curve) -> list[dict[str, Any]]:
    """A trained reward rises while one that is only watched falls, both beyond doubt."""
    if not evaluations:
        return []
    step, last = evaluations[-1]
    rises = [name for name in trained if _sure(last, name) > 0]
    falls = [name for name in watched if _sure(last, name) < 0]
    if not rises or not falls:
        return []
    text = (
        f"'{rises[0]}' rises on held-out prompts while '{falls[0]}', which is not trained, falls."
    )
    return [_alarm("error", "The reward may be cheated", text, step)]


def _diversity(evaluations: Curve) -> list[dict[str, Any]]:
    if len(evaluations) < 2:
        return []
    before, (step, metrics) = evaluations[0][1].get("diversity"), evaluations[-1]
    after = metrics.get("diversity")
    if not _is_number(before) or not _is_number(after) or after >= DIVERSITY_LEFT * before:
        return []
    text = f"Pictures of one prompt differ {after / before:.0%} as much as before the run."
    return [_alarm("warning", "Pictures become alike", text, step)]


def _sure(metrics: dict[str, Any], name: str) -> int:
    gain, error = metrics.get(f"gain/{name}"), metrics.get(f"gain_se/{name}")
    if not _is_number(gain) or not _is_number(error) or abs(gain) <= SURE * error:
        return 0
    return 1 if gain > 0 else -1


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _alarm(level: str, title: str, text: str, step: int) -> dict[str, Any]:
    return {"level": level, "title": title, "text": text, "step": step}
