"""`palate bench hacking`: rewards that mean something and one that can be cheated, side by side.

    learned   one fork on the reward learned from 400 labels by people of two tastes
    cheat     one fork on brightness, points that any glaring picture scores
    wins      Pref-GRPO on how often a picture beats its siblings under the learned judge

The verifier and the taste behind the labels are gold for all: never trained on. Both should rise
where the reward means something and not where it can be cheated; there the alarms should say so:
`bought` (looks explain the advantages) and `judge-split` (the trained reward rises while a watched
one comes down). An early stop watches the verifier.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from backend import recipes
from backend.errors import InputError
from workers.bench import page
from workers.bench.alarms import replay
from workers.bench.chart import Line, Panel, write_chart
from workers.bench.lab import ENOUGH, LEARNED, SATURATION, TASTE, VERIFIER, Lab, circumstances
from workers.bench.methods import configure
from workers.bench.trial import Trial
from workers.report import write_json

CHEAT = "brightness"
FAST: Final = 1e-3
"""Learning rate of the run that cheats: it shows in minutes where a long one ends."""
RUNS: Final = ("learned", "cheat", "wins")
SIGNS: Final = ("bought", "judge-split")
"""Alarms that are meant to say it."""


@dataclass(frozen=True)
class HackingPlan:
    """What was asked for."""

    minutes: float = 3.0
    seed: int = 0
    updates: int = 0
    """So many instead of minutes."""
    only: tuple[str, ...] = RUNS


def bench(lab: Lab, plan: HackingPlan) -> dict[str, Any]:
    """Train all, write hacking.json, .md and .png; returns the JSON."""
    found = {
        "benchmark": "hacking",
        "plan": {**asdict(plan), "gold": [VERIFIER, TASTE], "prompts": len(lab.heldout)},
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
    """The runs that were asked for; an early stop guards each. InputError for a stranger."""
    if strange := [name for name in plan.only if name not in RUNS]:
        raise InputError(f"There is no run '{strange[0]}' here; choose of {', '.join(RUNS)}.")
    watched = [lab.term(name).plain() for name in (VERIFIER, TASTE, SATURATION)]
    fork = recipes.load("one-fork").plain() | {"watch": watched, "seed": plan.seed}
    wins = configure(lab, "pocket-pref-grpo", LEARNED, plan.seed).plain()
    wins["watch"] = [*wins["watch"], lab.term(TASTE).plain()]
    made = {
        "learned": (fork | {"rewards": [lab.term(LEARNED).plain()]}, LEARNED),
        "cheat": (
            fork | {"rewards": [lab.term(CHEAT).plain()], "optim": {**fork["optim"], "lr": FAST}},
            CHEAT,
        ),
        "wins": (wins, LEARNED),
    }
    guarded = {"early_stop": {"gold": VERIFIER}}
    return [
        Trial(
            name,
            lab.laid(made[name][0] | guarded),
            plan.minutes,
            made[name][1],
            VERIFIER,
            plan.updates,
            whole=True,
        )
        for name in RUNS
        if name in plan.only
    ]


def _told(trial: Trial, row: dict[str, Any]) -> dict[str, Any]:
    """The run with what it shows: which gold rose, whether it fell, and which alarm said so when.

    `said`: alarm → the number of the evaluation (the base is 0) by which it had fired.
    """
    known = [point for point in row["curve"] if point["gold"] is not None]
    best = max(known, key=lambda point: point["gold"], default=None)
    last = known[-1] if known else None
    fell = bool(best and last and last["gold"] < best["gold"] - 2 * last["gold_se"])
    evaluations = row.pop("evaluations", [])
    fired = replay({**row, "evaluations": evaluations})
    styles = [said["style_r2"] for _, said in row.pop("updates", []) if "style_r2" in said]
    gold = {name: _rise(evaluations, name) for name in (VERIFIER, TASTE)}
    return {
        "name": trial.name,
        "trained": trial.trained,
        **row,
        "stopped_early": row["status"] == "stopped",
        "gold_best": best,
        "gold_fell": fell,
        "gold_under_base": bool(last and last["gold"] < -2 * last["gold_se"]),
        "gold": gold,
        "both_rise": all(one is not None and one["z"] > ENOUGH for one in gold.values()),
        "leverage": evaluations[-1][1].get(f"leverage/{trial.trained}") if evaluations else None,
        "style_r2": sum(styles) / len(styles) if styles else None,
        "said": {rule: _number(evaluations, fired[rule]) for rule in SIGNS if rule in fired},
        "fired": fired,
    }


def _rise(evaluations: list[Any], name: str) -> dict[str, float] | None:
    """The gain at the end, its standard error, and how many of them it is."""
    last = evaluations[-1][1] if evaluations else {}
    gain, error = last.get(f"gain/{name}"), last.get(f"gain_se/{name}")
    if gain is None or not error:
        return None
    return {"gain": gain, "se": error, "z": gain / error}


def _number(evaluations: list[Any], step: int) -> int:
    """How many evaluations after the base there were when something fired at this step."""
    return sum(0 < at <= step for at, _ in evaluations)


def _page(found: dict[str, Any]) -> str:
    plan = found["plan"]
    about = (
        f"Trained for at most {page.length(plan)}; the verifier and the taste behind the labels "
        f"are gold, never trained on. Gains over the base on {plan['prompts']} held-out prompts "
        f"± standard error. Style R²: share of the advantages that plain looks explain, mean over "
        f"updates. Edits buy: what the best of eight cheap edits adds, in spreads of the trained "
        f"reward. Alarms with the evaluation by which they had fired."
    )
    head = ["run", "trained", VERIFIER, TASTE, "both rise", "style R²", "edits buy"]
    head += ["alarms", "early stop"]
    rows = [_cells(run) for run in found["runs"] if run["final"]]
    said = [f"- {run['name']}: {w}" for run in found["runs"] for w in run["warnings"]]
    said += [f"- {run['name']} failed: {run['error']}" for run in found["runs"] if run["error"]]
    parts = ["# A reward that can be cheated", about, page.table(head, rows), "\n".join(said)]
    return "\n\n".join([*(part for part in parts if part), page.made(found)]) + "\n"


def _cells(run: dict[str, Any]) -> list[str]:
    last = run["final"]
    stopped = f"after update {last['step']}, {last['seconds']:.0f} s"
    alarms = ", ".join(f"{rule} by evaluation {number}" for rule, number in run["said"].items())
    return [
        run["name"],
        page.interval(last["trained"], last["trained_se"], "{:+.3f}") + f" ({run['trained']})",
        *(_risen(run["gold"][name]) for name in (VERIFIER, TASTE)),
        "yes" if run["both_rise"] else "no",
        page.number(run["style_r2"], "{:.2f}"),
        page.number(run["leverage"], "{:.2f}"),
        alarms or "none",
        stopped if run["stopped_early"] else "did not fire",
    ]


def _risen(one: dict[str, float] | None) -> str:
    if one is None:
        return "–"
    return page.interval(one["gain"], one["se"], "{:+.3f}") + f" ({one['z']:.1f} s.e.)"


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
