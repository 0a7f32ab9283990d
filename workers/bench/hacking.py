"""`palate bench hacking`: a reward that can be cheated, and what keeps it from being cheated.

`one-fork` is trained on saturation alone, points that any glaring picture scores; `pref-grpo` is
trained for the same time on how often a picture beats its siblings under the learned judge. The
verifier is gold for both: never trained on, and the early stop watches it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from backend import recipes
from workers.bench import page
from workers.bench.chart import Line, Panel, write_chart
from workers.bench.lab import LEARNED, SATURATION, VERIFIER, Lab, circumstances
from workers.bench.methods import configure
from workers.bench.trial import Trial
from workers.report import write_json


@dataclass(frozen=True)
class HackingPlan:
    """What was asked for."""

    minutes: float = 3.0
    seed: int = 0


def bench(lab: Lab, plan: HackingPlan) -> dict[str, Any]:
    """Train both, write hacking.json, .md and .png; returns the JSON."""
    found = {
        "benchmark": "hacking",
        "plan": {**asdict(plan), "gold": VERIFIER, "prompts": len(lab.heldout)},
        "learned": lab.learned,
        **circumstances(),
        "runs": [_told(trial, *trial.run(lab)[:1]) for trial in trials(lab, plan)],
    }
    write_json(lab.out / "hacking.json", found)
    (lab.out / "hacking.md").write_text(_page(found), encoding="utf-8")
    if panels := _panels(found):
        write_chart(lab.out / "hacking.png", "A reward that is cheated, and gold beside it", panels)
    return found


def trials(lab: Lab, plan: HackingPlan) -> list[Trial]:
    """Points for saturation, and wins under the learned judge; the early stop guards both."""
    guarded = {"early_stop": {"gold": VERIFIER}}
    points = recipes.load("one-fork").plain() | {
        "rewards": [lab.term(SATURATION).plain()],
        "watch": [lab.term(name).plain() for name in (VERIFIER, LEARNED)],
        "seed": plan.seed,
    }
    wins = configure(lab, "pocket-pref-grpo", LEARNED, plan.seed).plain()
    return [
        Trial(name, lab.laid(config | guarded), plan.minutes, trained, VERIFIER)
        for name, config, trained in (
            ("one-fork on saturation", points, SATURATION),
            ("pref-grpo on the learned judge", wins, LEARNED),
        )
    ]


def _told(trial: Trial, row: dict[str, Any]) -> dict[str, Any]:
    """The run with what it shows: whether gold fell, and whether the early stop saw it."""
    known = [point for point in row["curve"] if point["gold"] is not None]
    best = max(known, key=lambda point: point["gold"], default=None)
    last = known[-1] if known else None
    fell = bool(best and last and last["gold"] < best["gold"] - 2 * last["gold_se"])
    return {
        "name": trial.name,
        "trained": trial.trained,
        **row,
        "stopped_early": row["status"] == "stopped",
        "gold_best": best,
        "gold_fell": fell,
        "gold_under_base": bool(last and last["gold"] < -2 * last["gold_se"]),
    }


def _page(found: dict[str, Any]) -> str:
    plan = found["plan"]
    about = (
        f"Trained for at most {plan['minutes']:g} minutes; {plan['gold']} is gold, never trained "
        f"on. Gains over the base on {plan['prompts']} held-out prompts ± standard error."
    )
    head = ["run", "trained reward", "gold", "gold at its best", "saturation", "early stop"]
    rows = [_cells(run) for run in found["runs"] if run["final"]]
    said = [f"- {run['name']}: {w}" for run in found["runs"] for w in run["warnings"]]
    said += [f"- {run['name']} failed: {run['error']}" for run in found["runs"] if run["error"]]
    parts = ["# A reward that can be cheated", about, page.table(head, rows), "\n".join(said)]
    return "\n\n".join([*(part for part in parts if part), page.made(found)]) + "\n"


def _cells(run: dict[str, Any]) -> list[str]:
    last, best = run["final"], run["gold_best"]
    stopped = f"after update {last['step']}, {last['seconds']:.0f} s"
    return [
        run["name"],
        page.interval(last["trained"], last["trained_se"], "{:+.3f}") + f" ({run['trained']})",
        page.interval(last["gold"], last["gold_se"], "{:+.3f}"),
        f"{best['gold']:+.3f} at update {best['step']}",
        page.number(last["saturation"], "{:.3f}"),
        stopped if run["stopped_early"] else "did not fire",
    ]


def _panels(found: dict[str, Any]) -> list[list[Panel]]:
    across = []
    for key, title in (("gold", f"Gold gain: {VERIFIER}"), ("saturation", "Saturation")):
        lines = []
        for run in found["runs"]:
            curve = [point for point in run["curve"] if point[key] is not None]
            if len(curve) > 1:
                x, y = ([point[name] for point in curve] for name in ("seconds", key))
                lines.append(Line(run["name"].split()[0], x, y, curve[-1].get(f"{key}_se") or 0.0))
        across.append(Panel(title, "seconds", lines))
    return [across] if any(panel.lines for panel in across) else []
