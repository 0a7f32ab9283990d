"""Alarms: signs that a run's numbers rise for the wrong reason, or mean nothing any more.

A rule is data: what it looks at, how far is too far, for how long. `RULES` is open: a metric that
is recorded tomorrow is watched by one more entry. A rule looks at the end of a run's story and
says what holds there; whoever asks remembers since when. The limits were set on runs of the pocket
world that cheat and runs that do not: `palate bench alarms`, docs/benchmarks.md.
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


def look(story: Story) -> list[Finding]:
    """Everything that holds at the end of a story, errors first."""
    found = []
    for name, rule in RULES.items():
        for about, step, value in rule.find(story, rule):
            shown = math.nan if value is None else value
            text = rule.says.format(about=about, value=shown, limit=rule.limit)
            found.append(Finding(name, about, step, value, text))
    return sorted(found, key=lambda one: RULES[one.rule].level != "error")


# --- the ways to look ---------------------------------------------------------------------------


def _holds(key: str, *, below: bool = False, over: str = "") -> Find:
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


def _named(metrics: Mapping[str, Any], key: str, over: str) -> dict[str, float]:
    if key.endswith("/"):
        return {
            n.removeprefix(key): v for n, v in metrics.items() if n.startswith(key) and is_number(v)
        }
    value, divisor = metrics.get(key), metrics.get(over) if over else 1.0
    if not is_number(value) or not is_number(divisor) or not divisor:
        return {}
    return {"": 1 - value / divisor if over else value}


def _not_finite(story: Story, rule: Rule) -> Iterator[tuple[str, int, float | None]]:
    """A figure that is there and has no finite value."""
    for step, metrics in (*story.updates[-1:], *story.evaluations[-1:]):
        broken = [name for name, value in metrics.items() if not is_number(value)]
        if broken:
            yield ", ".join(broken[:4]), step, None


def _spikes(*keys: str) -> Find:
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


def _falls(key: str, least: float = 0.0) -> Find:
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


def _drifts(mean: str, spread: str, *names: str) -> Find:
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


def _grows(key: str) -> Find:
    """An evaluation's share that was small at the base and has grown by so many times."""

    def find(story: Story, rule: Rule) -> Iterator[tuple[str, int, float | None]]:
        if len(story.evaluations) < 2:
            return
        first, (step, last) = story.evaluations[0][1].get(key), story.evaluations[-1]
        now = last.get(key)
        if is_number(first) and is_number(now) and now > rule.limit * max(first, 0.02):
            yield "", step, now

    return find


def _parts(story: Story, rule: Rule) -> Iterator[tuple[str, int, float | None]]:
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


# --- the rules ----------------------------------------------------------------------------------

RULES: dict[str, Rule] = {
    "not-a-number": Rule(
        "A figure is not a number",
        "any figure of an update or an evaluation has no finite value",
        "{about} has no finite value.",
        _not_finite,
        limit=0,
        level="error",
        shows="log",
    ),
    "missing": Rule(
        "A reward is missing",
        "a reward gives no value for more than {limit} of the pictures",
        "'{about}' gave no value for {value:.0%} of the pictures.",
        _holds("missing/"),
        limit=0.1,
        level="error",
        shows="log",
    ),
    "judge-split": Rule(
        "The reward may be cheated",
        "at {window} evaluations in a row a trained reward stands higher than at a watched one's "
        "best, and the watched one {limit} standard errors under that best",
        "'{about}', which is not trained, has come down by {value:.3g} from its best on held-out "
        "prompts while the trained reward went on rising.",
        _parts,
        limit=2.0,
        window=2,
        level="error",
        shows="rollouts",
        chart="hero",
    ),
    "conflict": Rule(
        "Two rewards pull apart",
        "the correlation of two rewards inside groups is below {limit} for {window} updates",
        "Inside groups {about} have a correlation of {value:.2f}: where one is high, the other is "
        "low.",
        _holds("agreement/", below=True),
        limit=-0.3,
        window=10,
        shows="rollouts",
    ),
    "no-spread": Rule(
        "Few groups teach anything",
        "more than {limit} of the groups have no spread for {window} updates",
        "{value:.0%} of the groups differ too little to learn from.",
        _holds("groups_kept", over="groups_total"),
        limit=0.5,
        window=3,
        shows="rollouts",
        chart="spread",
    ),
    "bound": Rule(
        "A reward is at its end",
        "more than {limit} of the samples stand at an end of a reward's range for {window} updates",
        "{value:.0%} of the samples have the highest or lowest '{about}' there is.",
        _holds("bound/"),
        limit=0.2,
        window=3,
        shows="rollouts",
        chart="rewards",
    ),
    "diversity": Rule(
        "Pictures become alike",
        "pictures of one prompt differ less than {limit} of what they did before the run",
        "Pictures of one prompt differ {value:.0%} as much as before the run.",
        _falls("diversity"),
        limit=0.6,
        shows="samples",
        chart="diversity",
    ),
    "prompts": Rule(
        "All prompts look alike",
        "pictures of different prompts differ less than {limit} of what they did before the run",
        "Pictures of different prompts differ {value:.0%} as much as before the run.",
        _falls("prompts_apart"),
        limit=0.6,
        shows="samples",
        chart="diversity",
    ),
    "dependence": Rule(
        "Pictures no longer mind the prompt",
        "with another's prompt a reward loses less than {limit} of what it lost at the base",
        "What '{about}' loses with another's prompt is {value:.0%} of what it lost at the base.",
        _falls("dependence/", least=0.02),
        limit=0.5,
        shows="samples",
    ),
    "bought": Rule(
        "The reward pays for a look",
        "plain looks explain more than {limit} of the advantages for {window} updates",
        "{value:.0%} of the advantages follow from brightness, saturation, contrast, texture and "
        "the like, whatever is shown.",
        _holds("style_r2"),
        limit=0.3,
        window=5,
        shows="rollouts",
    ),
    "texture": Rule(
        "Texture drifts",
        "the finest detail of held-out pictures is {limit} deviations off the base",
        "The finest detail of held-out pictures is {value:+.1f} deviations off the base: grain, "
        "ringing or smear.",
        _drifts("style/", "style_sd/", "texture"),
        limit=0.5,
        shows="samples",
        chart="style",
    ),
    "look": Rule(
        "The look drifts",
        "brightness, contrast or saturation of held-out pictures is {limit} deviations off the "
        "base",
        "The {about} of held-out pictures is {value:+.1f} deviations off the base, whatever they "
        "show.",
        _drifts("style/", "style_sd/", "brightness", "contrast", "saturation"),
        limit=0.5,
        shows="samples",
        chart="style",
    ),
    "text": Rule(
        "Pictures fill with text",
        "the share of pictures with readable text is {limit} times that of the base",
        "{value:.0%} of the held-out pictures hold readable text.",
        _grows("style/text"),
        limit=2.0,
        shows="samples",
        chart="style",
    ),
    "spike": Rule(
        "An update leaps",
        "gradient norm, distance, clipped share or ratio is {limit} times its running median",
        "{about} is {value:.0f} times its running median.",
        _spikes("grad_norm", "kl", "clip_share", "ratio_max_dev"),
        limit=5.0,
        window=20,
        chart="grad",
    ),
    "clipped": Rule(
        "Most of the update is clipped",
        "more than {limit} of the edges are clipped",
        "{value:.0%} of the edges are clipped; lower the learning rate.",
        _holds("clip_share"),
        limit=0.5,
        chart="clip",
    ),
}
"""Every rule by its name, which settings and webhooks use."""
