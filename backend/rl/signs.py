"""What an alarm is made of: a run's story, a rule about it, and the ways in which a rule can look.

A way to look is given the story and the rule, and yields everything that holds at the story's end,
so the rules themselves (`backend.rl.alarms`) are data.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard

Row = tuple[int, Mapping[str, Any]]
"""(step, metrics); a figure without a finite value is None or not finite."""

KEPT = 200
"""Updates that a story keeps: more than any rule looks back."""
SURE = 2.0
"""Standard errors by which a gain must differ to count."""


@dataclass
class Story:
    """What is known of a run so far, by rising step; the base is the first evaluation."""

    trained: Sequence[str]
    watched: Sequence[str]
    """Watched rewards whose fall is bad news; plain statistics are left out."""
    updates: list[Row] = field(default_factory=list)
    evaluations: list[Row] = field(default_factory=list)

    def update(self, step: int, metrics: Mapping[str, Any]) -> None:
        """One more update."""
        self.updates = [*self.updates[1 - KEPT :], (step, metrics)]

    def evaluation(self, step: int, metrics: Mapping[str, Any]) -> None:
        """One more evaluation; pictures without figures tell nothing."""
        if metrics:
            self.evaluations.append((step, metrics))


@dataclass(frozen=True)
class Finding:
    """What a rule has found at the end of a story."""

    rule: str
    about: str
    """The reward or the figure it is about; empty: the run."""
    step: int
    value: float | None
    text: str


Find = Callable[[Story, "Rule"], Iterator[tuple[str, int, float | None]]]
"""(about, step, value) of everything that holds now."""


@dataclass(frozen=True)
class Rule:
    """One sign."""

    title: str
    looks: str
    """When it fires, in words; `{limit}` and `{window}` are filled in."""
    says: str
    """What it tells, with `{about}`, `{value}`, `{limit}`."""
    find: Find
    limit: float
    window: int = 1
    level: Literal["error", "warning"] = "warning"
    shows: Literal["rollouts", "samples", "chart", "log"] = "chart"
    """Where its evidence stands."""
    chart: str = ""
    """The chart that shows it."""

    def explained(self) -> str:
        """When it fires."""
        limit = f"{self.limit:g}".replace("-", "\u2212")
        return self.looks.format(limit=limit, window=self.window)


# --- the ways to look ---------------------------------------------------------------------------


def holds(key: str, *, below: bool = False, over: str = "") -> Find:
    """`key`, or every figure under it when it ends in "/", beyond the limit for a whole window.

    `over` divides it by another figure; what is looked at is then 1 − the quotient.
    """

    def find(story: Story, rule: Rule) -> Iterator[tuple[str, int, float | None]]:
        tail = story.updates[-rule.window :]
        if len(tail) < rule.window:
            return
        rows = [_named(metrics, key, over) for _, metrics in tail]
        for about, last in rows[-1].items():
            values = [row.get(about) for row in rows]
            beyond = [
                v is not None and (v < rule.limit if below else v > rule.limit) for v in values
            ]
            if all(beyond):
                yield about, tail[-1][0], last

    return find


def off(key: str) -> Find:
    """A standardised figure under `key` whose sum over the updates of a window that have it, at
    least half of them, is by its own error further than the limit from 0 (Stouffer's)."""

    def find(story: Story, rule: Rule) -> Iterator[tuple[str, int, float | None]]:
        tail = story.updates[-rule.window :]
        rows = [_named(metrics, key, "") for _, metrics in tail]
        for about in rows[-1] if rows else ():
            values = [row[about] for row in rows if about in row]
            together = sum(values) / math.sqrt(len(values))
            if 2 * len(values) >= rule.window and abs(together) > rule.limit:
                yield about, tail[-1][0], together

    return find


def _named(metrics: Mapping[str, Any], key: str, over: str) -> dict[str, float]:
    if key.endswith("/"):
        return {
            n.removeprefix(key): v for n, v in metrics.items() if n.startswith(key) and is_number(v)
        }
    value, divisor = metrics.get(key), metrics.get(over) if over else 1.0
    if not is_number(value) or not is_number(divisor) or not divisor:
        return {}
    return {"": 1 - value / divisor if over else value}


def not_finite(story: Story, rule: Rule) -> Iterator[tuple[str, int, float | None]]:
    """A figure that is there and has no finite value."""
    for step, metrics in (*story.updates[-1:], *story.evaluations[-1:]):
        broken = [name for name, value in metrics.items() if not is_number(value)]
        if broken:
            yield ", ".join(broken[:4]), step, None


def spikes(*keys: str) -> Find:
    """A figure over its own running median by more than `limit` times."""

    def find(story: Story, rule: Rule) -> Iterator[tuple[str, int, float | None]]:
        for key in keys:
            series = [m[key] for _, m in story.updates[-rule.window - 1 :] if is_number(m.get(key))]
            if len(series) <= rule.window // 2:
                continue
            usual = statistics.median(series[:-1])
            if usual > 0 and series[-1] > rule.limit * usual:
                yield key, story.updates[-1][0], series[-1] / usual

    return find


def falls(key: str, least: float = 0.0) -> Find:
    """An evaluation's figure, or every one under `key`, below so much of its value at the base.

    Figures that were under `least` at the base are left out: what was nothing cannot fall.
    """

    def find(story: Story, rule: Rule) -> Iterator[tuple[str, int, float | None]]:
        if len(story.evaluations) < 2:
            return
        (_, base), (step, last) = story.evaluations[0], story.evaluations[-1]
        first, now = _named(base, key, ""), _named(last, key, "")
        for about, was in first.items():
            if was > least and about in now and now[about] < rule.limit * was:
                yield about, step, now[about] / was

    return find


def drifts(mean: str, spread: str, *names: str) -> Find:
    """A look of the held-out pictures off the base by so many of its deviations over prompts."""

    def find(story: Story, rule: Rule) -> Iterator[tuple[str, int, float | None]]:
        if len(story.evaluations) < 2:
            return
        base, (step, last) = story.evaluations[0][1], story.evaluations[-1]
        for name in names:
            first, wide, now = base.get(mean + name), base.get(spread + name), last.get(mean + name)
            if is_number(first) and is_number(now) and is_number(wide) and wide > 0:
                off = (now - first) / wide
                if abs(off) > rule.limit:
                    yield name, step, off

    return find


def grows(*keys: str, least: float = 0.02) -> Find:
    """An evaluation's figure, or any under a key, over so many times its value at the base.

    What was under `least` at the base counts as that, so that something rare may stay rare. Of one
    name under several keys the largest growth is told; the value is how many times it has grown.
    """

    def find(story: Story, rule: Rule) -> Iterator[tuple[str, int, float | None]]:
        if len(story.evaluations) < 2:
            return
        (_, base), (step, last) = story.evaluations[0], story.evaluations[-1]
        grown: dict[str, float] = {}
        for key in keys:
            first, now = _named(base, key, ""), _named(last, key, "")
            for about in first.keys() & now.keys():
                times = now[about] / max(first[about], least)
                grown[about] = max(times, grown.get(about, times))
        for about, times in sorted(grown.items()):
            if times > rule.limit:
                yield about, step, times

    return find


def stands(key: str) -> Find:
    """Every figure of the last evaluation straight under `key` that is over the limit."""

    def find(story: Story, rule: Rule) -> Iterator[tuple[str, int, float | None]]:
        for step, last in story.evaluations[-1:]:
            for about, value in _named(last, key, "").items():
                if "/" not in about and value > rule.limit:
                    yield about, step, value

    return find


def either(*ways: Find) -> Find:
    """What any of several ways finds; each reward or figure once, by the first that finds it."""

    def find(story: Story, rule: Rule) -> Iterator[tuple[str, int, float | None]]:
        told = set()
        for way in ways:
            for about, step, value in way(story, rule):
                if about not in told:
                    told.add(about)
                    yield about, step, value

    return find


def parts(story: Story, rule: Rule) -> Iterator[tuple[str, int, float | None]]:
    """A trained reward goes on rising while a watched one has come down from its best.

    Both beyond doubt: at each of the last `window` evaluations the trained gain is over zero and
    over its value at the watched one's best, and the watched one is `limit` standard errors of its
    gain under that best. Where no trained reward has a held-out value, the fall alone counts.
    """
    if len(story.evaluations) <= rule.window:
        return
    tail = story.evaluations[-rule.window :]
    for name in story.watched:
        best_step, best = max(story.evaluations, key=lambda row: (_gain(row, name), -row[0]))
        top = _gain((best_step, best), name)
        if all(_under(row, name, top, rule.limit) and row[0] > best_step for row in tail):
            rising = [
                t for t in story.trained if all(_rises(row, t, (best_step, best)) for row in tail)
            ]
            told = any(f"gain/{t}" in tail[-1][1] for t in story.trained)
            if rising or not told:
                yield name, tail[-1][0], _gain(tail[-1], name) - top


def _gain(row: Row, name: str) -> float:
    value = row[1].get(f"gain/{name}")
    return value if is_number(value) else 0.0 if row[0] == 0 else -math.inf


def _under(row: Row, name: str, top: float, limit: float) -> bool:
    error = row[1].get(f"gain_se/{name}")
    return (
        is_number(error)
        and math.isfinite(_gain(row, name))
        and _gain(row, name) < top - limit * error
    )


def _rises(row: Row, name: str, best: Row) -> bool:
    error, gain = row[1].get(f"gain_se/{name}"), _gain(row, name)
    return is_number(error) and gain > SURE * error and gain > _gain(best, name)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a figure has a finite value."""
    return isinstance(value, int | float) and math.isfinite(value)
