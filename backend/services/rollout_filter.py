"""Which groups of rollouts are meant, and in which order: a filter as conditions and keys of SQL.

Everything is asked of columns and of the facts by their index (run, name, value); nothing is
counted from the samples themselves. A page ends with a key, and the next one begins behind it.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select

from backend.errors import InputError
from db.tables import RolloutFact, RolloutGroup, RolloutSeen

MISSING = -1e300
"""Sorts groups without a value behind all others."""
FLAT = 1e-6
"""A group whose spread is not above this has none."""
SPLIT = 1.0
"""Standard deviations by which a sample stands above by A and below by B in "A up, B down"."""
SORTS = {
    "newest": "",
    "oldest": "",
    "spread": "",
    "mean": "",
    "far": "z",
    "apart": "apart",
    "judge": "judge",
    "missing": "missing",
}
"""Orders, and the fact that those are sorted by which need one."""
RISING = ("apart", "judge")
"""Of these the lowest value comes first."""


@dataclass(frozen=True)
class Filter:
    """Which groups, and in which order; what is None or empty does not restrict."""

    step_min: int | None = None
    step_max: int | None = None
    prompt: str = ""
    """Words that the prompt contains, upper or lower case alike."""
    kept: bool | None = None
    reward: str = ""
    """Whose mean `low` and `high` bound; empty: the total's."""
    low: float | None = None
    high: float | None = None
    far: float | None = None
    """A reward gives some sample a |z| above this."""
    flat: bool = False
    """No spread: all samples have the same reward."""
    up: str = ""
    down: str = ""
    """Some sample is at least one deviation up by the one reward and down by the other."""
    judge: str | None = None
    """A watched reward orders the samples rather against their advantages; empty: any of them."""
    missing: bool = False
    """A trained reward gave some sample no value."""
    seen: bool | None = None
    """Whether the person who asks has looked at the group."""
    user_id: int | None = None
    sort: str = "newest"
    """A key of SORTS, or `mean:R`, `sd:R` for a reward R."""


def check(wanted: Filter) -> None:
    """Refuse what cannot be asked."""
    kind, _, name = wanted.sort.partition(":")
    if wanted.sort not in SORTS and not (kind in ("mean", "sd") and name):
        raise InputError(
            f"Sort '{wanted.sort}' is unknown; it is one of {', '.join(SORTS)}, or mean:R or sd:R "
            "for a reward R."
        )
    if bool(wanted.up) != bool(wanted.down):
        raise InputError("'A up, B down' needs two rewards, `up` and `down`; name both.")
    if wanted.up and wanted.up == wanted.down:
        raise InputError("A reward cannot be up and down at once; choose two that differ.")


def conditions(run_id: int, wanted: Filter) -> list[ColumnElement[bool]]:
    """What every group that is meant fulfils."""
    group = RolloutGroup
    matching = [group.run_id == run_id]
    if wanted.step_min is not None:
        matching.append(group.step >= wanted.step_min)
    if wanted.step_max is not None:
        matching.append(group.step <= wanted.step_max)
    if wanted.prompt:
        matching.append(group.prompt.icontains(wanted.prompt, autoescape=True))
    if wanted.kept is not None:
        matching.append(group.kept.is_(wanted.kept))
    if wanted.low is not None or wanted.high is not None:
        matching.append(_within(run_id, wanted))
    if wanted.flat:
        matching.append(and_(group.spread.is_not(None), group.spread <= FLAT))
    value = RolloutFact.value
    if wanted.far is not None:
        matching.append(_fact(run_id, "z", value > wanted.far))
    if wanted.up and wanted.down:
        matching.append(_fact(run_id, f"split/{wanted.up}/{wanted.down}", value >= SPLIT))
    if wanted.judge is not None:
        name = f"judge/{wanted.judge}" if wanted.judge else "judge"
        matching.append(_fact(run_id, name, value < 0))
    if wanted.missing:
        matching.append(_fact(run_id, "missing", value > 0))
    if wanted.seen is not None:
        looked = exists().where(
            RolloutSeen.group_id == group.id, RolloutSeen.user_id == wanted.user_id
        )
        matching.append(looked if wanted.seen else ~looked)
    return matching


def sorted_by(query: Select[Any], run_id: int, sort: str) -> Select[Any]:
    """A query of groups in an order; those that lack the fact it sorts by fall out."""
    group = RolloutGroup
    if sort == "newest":
        return query.order_by(group.step.desc(), group.id.asc())
    if sort == "oldest":
        return query.order_by(group.step.asc(), group.id.asc())
    name = _fact_of(sort)
    if name is None:
        return query.order_by(_value(sort).desc(), group.id.desc())
    value = RolloutFact.value
    query = query.join(RolloutFact, RolloutFact.group_id == group.id)
    query = query.where(RolloutFact.run_id == run_id, RolloutFact.name == name)
    first = value.asc() if sort in RISING else value.desc()
    last = RolloutFact.group_id.asc() if sort in RISING else RolloutFact.group_id.desc()
    return query.order_by(first, last)


def key(sort: str, group: RolloutGroup, facts: dict[str, float]) -> str:
    """An opaque key of the last group on a page."""
    name = _fact_of(sort)
    if name is not None:
        value: float | None = facts.get(name)
    elif sort in ("newest", "oldest"):
        value = group.step
    else:
        value = {"spread": group.spread, "mean": group.mean}[sort]
    return base64.urlsafe_b64encode(json.dumps([value, group.id]).encode()).decode().rstrip("=")


def beyond(sort: str, after: str) -> ColumnElement[bool]:
    """Groups behind a key."""
    try:
        found, last = json.loads(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))
        last = int(last)
        mine = MISSING if found is None else float(found)
    except (ValueError, TypeError):
        raise InputError("The key `after` is not one that this list gave out.") from None
    group = RolloutGroup
    if sort in ("newest", "oldest"):
        step = int(mine)
        further = group.step < step if sort == "newest" else group.step > step
        return or_(further, and_(group.step == step, group.id > last))
    shown = RolloutFact.value if _fact_of(sort) else _value(sort)
    if sort in RISING:
        return or_(shown > mine, and_(shown == mine, group.id > last))
    return or_(shown < mine, and_(shown == mine, group.id < last))


def _within(run_id: int, wanted: Filter) -> ColumnElement[bool]:
    """The mean lies in the range."""
    column: Any = RolloutFact.value if wanted.reward else RolloutGroup.mean
    bounds = []
    if wanted.low is not None:
        bounds.append(column >= wanted.low)
    if wanted.high is not None:
        bounds.append(column <= wanted.high)
    inside = and_(*bounds)
    return _fact(run_id, f"mean/{wanted.reward}", inside) if wanted.reward else inside


def _fact(run_id: int, name: str, holds: ColumnElement[bool]) -> ColumnElement[bool]:
    fact = RolloutFact
    rows = select(fact.group_id).where(fact.run_id == run_id, fact.name == name, holds)
    return RolloutGroup.id.in_(rows)


def _fact_of(sort: str) -> str | None:
    kind, _, name = sort.partition(":")
    return f"{kind}/{name}" if name else SORTS.get(sort) or None


def _value(sort: str) -> Any:
    column = RolloutGroup.spread if sort == "spread" else RolloutGroup.mean
    return func.coalesce(column, MISSING)
