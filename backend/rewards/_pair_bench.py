"""How often a judge finds the better of two, by category, with intervals: pure numbers.

Every pair is shown both ways round and the two verdicts are averaged, so that a liking for what
stands first cannot buy a right answer; how often the two contradict each other is told beside it.
A pair without both verdicts is missing: neither right nor wrong, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backend.rewards._audit import flips, right
from backend.rewards.interface import Floats

ALL = "all"


def figures(categories: Sequence[str], one: Floats, other: Floats) -> dict[str, Any]:
    """{"all": row, "categories": [rows], "macro": mean of the categories' accuracies}.

    one, other: (M,) how likely the better of each pair is preferred, shown first and shown second;
    NaN where the judge did not say.
    """
    named = np.array(categories, dtype=object)
    every = [_row(name, *_of(named == name, one, other)) for name in sorted(set(categories))]
    known = [row["accuracy"] for row in every if row["accuracy"] is not None]
    return {
        "all": _row(ALL, one, other),
        "categories": every,
        "macro": round(float(np.mean(known)), 4) if known else None,
    }


def _of(inside: Any, one: Floats, other: Floats) -> tuple[Floats, Floats]:
    return one[inside], other[inside]


def _row(name: str, one: Floats, other: Floats) -> dict[str, Any]:
    both = (one + other) / 2
    share, against = right(both), flips(one, other)
    there = share.num > 0
    return {
        "name": name,
        "pairs": len(both),
        "missing": int(np.isnan(both).sum()),
        "accuracy": round(share.value, 4) if there else None,
        "low": round(share.low, 4) if there else None,
        "high": round(share.high, 4) if there else None,
        "flips": round(float(against.mean()), 4) if len(against) else None,
        "ties": int((both == 0.5).sum()),
    }
