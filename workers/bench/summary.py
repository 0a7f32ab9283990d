"""From runs to what is said of a method. Pure functions on plain rows.

gain     mean over seeds of the last held-out gain;  se: √(mean se²). Seeds share the prompts, so
         the error over prompts does not shrink with their number
beats    difference to the yardstick, paired by seed, over max(√(mean (se² + se₀²)), s/√n): what
         prompts and what seeds leave uncertain, whichever is larger
reach    seconds until the gain first was what the yardstick's is at its end, straight lines
         between evaluations; mean over the seeds that got there ± t·s/√n
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

YARDSTICK = "flow-grpo"
FEW = 2.0
"""Standard errors that tell two gains apart."""

Row = dict[str, Any]


def of(runs: Sequence[Row]) -> list[Row]:
    """One row a recipe, the largest gain first, those that failed last."""
    names = list(dict.fromkeys(run["recipe"] for run in runs))
    yard = {run["seed"]: run for run in _good(runs, f"pocket-{YARDSTICK}")}
    rows = [_method([run for run in runs if run["recipe"] == name], yard) for name in names]
    return sorted(rows, key=lambda row: (row["gain"] is None, -(row["gain"] or 0.0)))


def reached(curve: Sequence[Row], target: float) -> float | None:
    """Seconds at which the gain first is `target`; None if it never is.

    Example: gains 0 and .2 at 0 s and 100 s reach .15 at 75 s.
    """
    points = [(p["seconds"], p["trained"]) for p in curve if p["trained"] is not None]
    for (t0, y0), (t1, y1) in pairwise(points):
        if y0 < target <= y1:
            return float(t0 + (t1 - t0) * (target - y0) / (y1 - y0))
    return None


def half_width(values: Sequence[float]) -> float | None:
    """Half of the 95 % interval of a mean, by Student's t; None for fewer than two values.

    Example: 1, 2, 3: s = 1, t = 4.303 at 2 degrees of freedom, so 4.303/√3 = 2.484.
    """
    from scipy.stats import t

    if len(values) < 2:
        return None
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return float(t.ppf(0.975, len(values) - 1)) * error


def mean_curve(
    runs: Sequence[Row], recipe: str, x: str, y: str
) -> tuple[list[float], list[float], float] | None:
    """(x, y, standard error at the end), mean over seeds on the evaluations of the first of them.

    The curve ends where the shortest run does.
    """
    curves = [[p for p in run["curve"] if p[y] is not None] for run in _good(runs, recipe)]
    curves = [curve for curve in curves if len(curve) > 1]
    if not curves:
        return None
    end = min(curve[-1][x] for curve in curves)
    grid = sorted({point[x] for point in curves[0] if point[x] < end} | {end})
    each = [np.interp(grid, [p[x] for p in c], [p[y] for p in c]) for c in curves]
    error = _root_mean_square([curve[-1][f"{y}_se"] for curve in curves])
    return [float(at) for at in grid], np.mean(each, axis=0).tolist(), error or 0.0


def _method(runs: Sequence[Row], yard: dict[int, Row]) -> Row:
    good = _good(runs, runs[0]["recipe"])
    last = [run["final"] for run in good]
    row: Row = {key: runs[0][key] for key in ("recipe", "method", "offline")}
    row |= {
        "seeds": len(good),
        "errors": list(dict.fromkeys(run["error"] for run in runs if run["error"])),
        "gain": _mean([point["trained"] for point in last]),
        "gain_se": _root_mean_square([point["trained_se"] for point in last]),
        "gain_sd": _sd([point["trained"] for point in last]),
        "z_least": min((z for point in last if (z := _z(point)) is not None), default=None),
        "gold": _mean([point["gold"] for point in last]),
        "gold_se": _root_mean_square([point["gold_se"] for point in last]),
        "diversity": _mean([point["diversity"] for point in last]),
        "saturation": _mean([point["saturation"] for point in last]),
        "updates": _mean([point["step"] for point in last]),
        "nfe": _mean([point["nfe"] for point in last]),
        "seconds": _mean([point["seconds"] for point in last]),
        "wall_seconds": _mean([run["wall_seconds"] for run in good]),
    }
    return row | _against(good, yard)


def _against(good: Sequence[Row], yard: dict[int, Row]) -> Row:
    """How the recipe stands to the yardstick, seed by seed."""
    both = [(run, yard[run["seed"]]) for run in good if run["seed"] in yard]
    targets = [(run, of["final"]["trained"]) for run, of in both if of["final"]["trained"] > 0]
    times = [reached(run["curve"], target) for run, target in targets]
    there = [seconds for seconds in times if seconds is not None]
    reach = {
        "seconds": times,
        "mean": _mean(there),
        "half": half_width(there),
        "reached": len(there),
        "of": len(times),
    }
    mine = [pair for pair in both if pair[0]["recipe"] != f"pocket-{YARDSTICK}"]
    if not mine:
        return {"reach": reach, "difference": None, "difference_z": None, "beats": ""}
    apart = [run["final"]["trained"] - of["final"]["trained"] for run, of in mine]
    errors = [math.hypot(r["final"]["trained_se"], o["final"]["trained_se"]) for r, o in mine]
    between = (_sd(apart) or 0.0) / math.sqrt(len(apart))
    error = max(_root_mean_square(errors) or 0.0, between)
    z = float(np.mean(apart)) / error if error else 0.0
    beats = "yes" if z > FEW else "no, it is behind" if z < -FEW else "no, even"
    return {
        "reach": reach,
        "difference": float(np.mean(apart)),
        "difference_z": z,
        "beats": beats,
    }


def _good(runs: Sequence[Row], recipe: str) -> list[Row]:
    """Runs that ended with a measured gain."""
    mine = [run for run in runs if run["recipe"] == recipe and run["final"]]
    return [run for run in mine if run["final"]["trained"] is not None]


def _z(point: Row) -> float | None:
    return point["trained"] / point["trained_se"] if point["trained_se"] else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _sd(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _root_mean_square(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.sqrt(np.mean(np.square(known)))) if known else None
