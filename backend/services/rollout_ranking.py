"""Who is better in a group: the judge's verdicts and people's votes in one Bradley–Terry fit.

A run under a judge of pairs keeps each group's bouts. People's votes on pairs of the same group are
bouts of the same kind, so both enter one fit with the same Gaussian prior, each vote as one bout;
a strength comes with its standard deviation. Beside it the win rate that was trained on, and over
the whole run the win rate by index: the order of siblings means nothing, so a line that is not flat
is a judge who likes what stands first, or a fault.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from backend.preferences.intervals import Z95
from backend.rewards import _pairings
from backend.rewards.interface import Bout
from backend.services import runs
from backend.services.rollouts import find
from backend.services.studio import Studio
from db import queries
from db.tables import Pair, RolloutGroup, RolloutNode, Sample

WIN_RATE = "win-rate"
NEWEST = 400
"""Groups of a run that the win rate by index is drawn from."""
VALUE = {"a": 1.0, "b": 0.0, "tie": 0.5, "both_bad": 0.5}


def of_group(studio: Studio, group_id: int) -> dict[str, Any]:
    """{judges, votes}: for each reward of win rates in the group {name, bouts, spread, mark,
    samples}, a sample being {idx, tile, rate, judge, both, sd}: its win rate, its strength by the
    judge alone and with people's votes, and the deviation of the latter. `votes` are people's.
    """
    with studio.read() as session:
        group = find(session, group_id)
        leaves = queries.leaves_and_nodes(session, [group_id], leaves_only=True)[group_id]
        config = runs.find(session, group.run_id).config
        votes = _votes(session, group_id, {leaf.idx: leaf.tile for leaf in leaves})
    shown = sorted(
        (leaf for leaf in leaves if leaf.tile is not None), key=lambda one: one.tile or 0
    )
    bouts = group.detail.get("bouts") or {}
    names = [name for name in bouts if _is_known(bouts[name], len(shown))]
    if not names and votes:
        names = [""]  # nobody but people has compared
    judges = [
        _fitted(name, bouts.get(name, []), votes, shown, _rounds(config, name)) for name in names
    ]
    return {"judges": judges, "votes": len(votes)}


def by_index(studio: Studio, run_id: int) -> dict[str, Any]:
    """{name: {places, slope, low, high, groups}} for each win rate of a run's newest groups.

    `places` are {index, mean, se, num}; the slope is from the first sibling to the last, with its
    95 % interval: groups are independent, siblings are not.
    """
    with studio.read() as session:
        config = runs.find(session, run_id).config
        names = [term["name"] for term in _terms(config) if term["kind"] == WIN_RATE]
        newest = session.scalars(
            select(RolloutGroup.id)
            .where(RolloutGroup.run_id == run_id)
            .order_by(RolloutGroup.step.desc(), RolloutGroup.id)
            .limit(NEWEST if names else 0)
        )
        found = queries.leaves_and_nodes(session, list(newest), leaves_only=True)
    return {name: told for name in names if (told := _places(name, list(found.values())))}


def _places(name: str, groups: Sequence[Sequence[RolloutNode]]) -> dict[str, Any] | None:
    rows = [_rates(name, leaves) for leaves in groups]
    most = max((len(row) for row in rows), default=0)
    rows = [row for row in rows if len(row) == most and most > 1 and np.isfinite(row).all()]
    if not rows:
        return None
    rate_NG = np.stack(rows)
    place = np.arange(most) - (most - 1) / 2
    slopes = rate_NG @ place / (place @ place) * (most - 1)
    se = slopes.std(ddof=1) / math.sqrt(len(slopes)) if len(slopes) > 1 else math.nan
    error_G = rate_NG.std(axis=0, ddof=1) / math.sqrt(len(rows)) if len(rows) > 1 else None
    slope = float(slopes.mean())
    return {
        "groups": len(rows),
        "slope": slope,
        "low": _or_none(slope - Z95 * se),
        "high": _or_none(slope + Z95 * se),
        "places": [
            {
                "index": index,
                "mean": float(mean),
                "se": None if error_G is None else float(error_G[index]),
                "num": len(rows),
            }
            for index, mean in enumerate(rate_NG.mean(axis=0))
        ],
    }


def _rates(name: str, leaves: Sequence[RolloutNode]) -> np.ndarray[Any, Any]:
    said = [one.rewards.get(name, {}).get("raw") for one in _by_tile(leaves)]
    return np.array([np.nan if value is None else value for value in said], dtype=np.float64)


def _by_tile(leaves: Sequence[RolloutNode]) -> list[RolloutNode]:
    """Leaves with pictures in the order in which the trainer had them."""
    shown = [leaf for leaf in leaves if leaf.tile is not None]
    return sorted(shown, key=lambda leaf: leaf.tile or 0)


def _fitted(
    name: str,
    bouts: Sequence[Sequence[float]],
    votes: Sequence[Bout],
    shown: Sequence[RolloutNode],
    rounds: int,
) -> dict[str, Any]:
    judge = [(int(one), int(other), float(said)) for one, other, said in bouts]
    alone, _ = _strengths(judge, len(shown))
    both, deviation = _strengths([*judge, *votes], len(shown))
    first, second, beats = _columns(judge)
    return {
        "name": name,
        "bouts": len(judge),
        "spread": _pairings.spread(first, second, beats, len(shown)) if judge else None,
        "mark": _pairings.coin_mark(len(shown), rounds) if judge else None,
        "samples": [
            {
                "idx": leaf.idx,
                "tile": leaf.tile,
                "rate": leaf.rewards.get(name, {}).get("raw"),
                "judge": float(alone[at]) if judge else None,
                "both": float(both[at]),
                "sd": float(deviation[at]),
            }
            for at, leaf in enumerate(shown)
        ],
    }


def _strengths(bouts: Sequence[Bout], num: int) -> tuple[Any, Any]:
    return _pairings.strengths_and_deviations(*_columns(bouts), num)


def _columns(bouts: Sequence[Bout]) -> tuple[Any, Any, Any]:
    table = np.array(bouts, dtype=np.float64).reshape(-1, 3)
    return table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2]


def _votes(session: Session, group_id: int, tiles: dict[int, int | None]) -> list[Bout]:
    """People's votes on pairs of this group, by tile; a pair of two groups is no bout of either."""
    a, b = aliased(Sample), aliased(Sample)
    pairs = session.execute(
        select(Pair.id, a.settings, b.settings)
        .join(a, a.id == Pair.sample_a_id)
        .join(b, b.id == Pair.sample_b_id)
        .where(
            Pair.source == "rollouts",
            a.settings["group"].as_integer() == group_id,
            b.settings["group"].as_integer() == group_id,
        )
    ).all()
    said = queries.verdicts_by_sample(session, [pair_id for pair_id, _a, _b in pairs])
    found = []
    for pair_id, of_a, of_b in pairs:
        one, other = tiles.get(of_a["leaf"]), tiles.get(of_b["leaf"])
        if one is None or other is None:
            continue
        found += [(one, other, VALUE[v]) for v in said.get(pair_id, []) if v in VALUE]
    return found


def _is_known(bouts: Sequence[Sequence[float]], num: int) -> bool:
    return all(0 <= one < num and 0 <= other < num for one, other, _said in bouts)


def _rounds(config: dict[str, Any], name: str) -> int:
    own = [term.get("config", {}) for term in _terms(config) if term["name"] == name]
    return int(own[0].get("rounds", 0)) if own else 0


def _terms(config: dict[str, Any]) -> list[dict[str, Any]]:
    return [*config.get("rewards", []), *config.get("watch", [])]


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
