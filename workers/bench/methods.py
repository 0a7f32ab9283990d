"""`palate bench methods`: every method for the same minutes on the pocket world, beside each other.

Each pocket recipe is trained on one reward while the other is only watched as gold; held-out
prompts and their noise are the same for all. A finished run is kept in the folder and read back; a
method that fails is a row with its sentence.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from backend import recipes
from backend.errors import InputError, PalateError
from backend.registry import methods as known_methods
from backend.registry import rewards as known_rewards
from backend.rl.checkpoint import fingerprint
from backend.rl.recipe import RewardTerm, RunConfig, learns_from_pairs
from workers.bench import page, summary
from workers.bench.chart import Line, Panel, write_chart
from workers.bench.lab import LEARNED, SATURATION, VERIFIER, Lab, circumstances
from workers.bench.trial import Trial, failed
from workers.report import write_json

PREFIX = "pocket-"
OTHER = {VERIFIER: LEARNED, LEARNED: VERIFIER}
"""The reward that is watched as gold when training on the one named first."""
REPLACED = ("pocket-verifier", "learned")
"""Kinds of rewards in a recipe whose place is taken by the one that is trained on here."""


@dataclass(frozen=True)
class MethodsPlan:
    """What was asked for."""

    minutes: float = 6.0
    """Of training, each run; evaluations do not count."""
    seeds: int = 3
    only: tuple[str, ...] = ()
    """Methods or recipes; empty takes every pocket recipe."""
    trained: str = VERIFIER


def bench(lab: Lab, plan: MethodsPlan) -> dict[str, Any]:
    """Train what is missing, write methods.json, .md and .png after every run; returns the JSON."""
    chosen = choose(plan.only)
    gold = OTHER[plan.trained]
    lab.say(f"{len(chosen)} recipes, {plan.seeds} seeds, {plan.minutes:g} minutes each")
    found: dict[str, Any] = {
        "benchmark": "methods",
        "plan": {**asdict(plan), "gold": gold, "prompts": len(lab.heldout), "labels": lab.labels},
        "learned": lab.learned,
        **circumstances(),
        "yardstick": summary.YARDSTICK,
        "methods": [],
        "runs": [],
    }
    for seed in range(plan.seeds):
        for name in chosen:
            found["runs"].append(_one(lab, plan, name, seed))
            found["methods"] = summary.of(found["runs"])
            _write(lab, found)
    return found


def choose(only: Sequence[str]) -> list[str]:
    """Pocket recipes by method's or recipe's name; InputError names the nearest for a stranger."""
    pocket = [name for name in recipes.names() if name.startswith(PREFIX)]
    if not only:
        return [name for name in pocket if not _is_judged(name)]
    chosen = []
    for wish in only:
        mine = [name for name in pocket if wish in (name, name.removeprefix(PREFIX))]
        mine = mine or [name for name in pocket if recipes.load(name).method.name == wish]
        if not mine:
            known_methods.get(wish)
            raise InputError(f"No pocket recipe uses the method '{wish}'; write one first.")
        chosen += [name for name in mine if name not in chosen]
    return chosen


def _is_judged(name: str) -> bool:
    """Whether a model judges; with another judge it would be the same recipe twice."""
    judges = [term.config.get("judge", term.kind) for term in recipes.load(name).rewards]
    return any(getattr(known_rewards.get(kind), "JUDGE", False) for kind in judges)


def configure(lab: Lab, name: str, trained: str, seed: int) -> RunConfig:
    """The recipe, trained on that reward; the verifier, the learned reward and saturation are seen.

    A win rate keeps comparing, with that reward as its judge; rewards of other kinds stay.
    """
    recipe = recipes.load(name)
    ours = lab.term(trained)
    terms = [_in_place(term, ours) for term in recipe.rewards]
    taken = {term.name for term in terms}
    seen = [lab.term(n) for n in (VERIFIER, LEARNED, SATURATION) if n not in taken]
    whole = recipe.plain() | {
        "rewards": [term.plain() for term in terms],
        "watch": [term.plain() for term in seen],
        "early_stop": {},
        "seed": seed,
    }
    return lab.laid(whole)


def _in_place(term: RewardTerm, ours: RewardTerm) -> RewardTerm:
    if term.kind == "win-rate":
        judged = {"judge": ours.kind, "judge_config": ours.config}
        return term.model_copy(update={"name": "win-rate", "config": {**term.config, **judged}})
    if term.kind in REPLACED:
        return term.model_copy(update=ours.model_dump(include={"name", "kind", "config"}))
    return term


def _one(lab: Lab, plan: MethodsPlan, name: str, seed: int) -> dict[str, Any]:
    """One run, made now or read back; a recipe that cannot be set up is a failed run too."""
    try:
        config = configure(lab, name, plan.trained, seed)
    except PalateError as error:
        lab.say(f"{name}: {error}")
        return {
            "recipe": name,
            "method": name.removeprefix(PREFIX),
            "offline": False,
            **failed(seed, str(error)),
        }
    wanted = {"config": config.plain(), "minutes": plan.minutes, "labels": lab.labels}
    key = fingerprint(wanted)
    path = lab.out / "runs" / f"{name}-{seed}-{key}.json"
    if path.is_file():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    trial = Trial(name, config, plan.minutes, plan.trained, OTHER[plan.trained])
    row, _policy = trial.run(lab)
    row = {
        "recipe": name,
        "method": config.method.name,
        "offline": learns_from_pairs(config),
        **row,
    }
    if not row["error"]:
        path.parent.mkdir(exist_ok=True)
        write_json(path, row)
    return row


# --- what is written ----------------------------------------------------------------------------


def _write(lab: Lab, found: dict[str, Any]) -> None:
    write_json(lab.out / "methods.json", found)
    (lab.out / "methods.md").write_text(_page(found), encoding="utf-8")
    panels = _panels(found)
    if any(panel.lines for row in panels for panel in row):
        plan = found["plan"]
        title = f"Held-out gain over the base, trained on the {plan['trained']} reward"
        write_chart(lab.out / "methods.png", title, panels)


def _page(found: dict[str, Any]) -> str:
    plan, mine = found["plan"], found["methods"]
    trained, gold = plan["trained"], plan["gold"]
    head = [
        "recipe",
        f"{trained} gain",
        "its z",
        f"{gold} gain",
        "diversity",
        "saturation",
        "updates",
        "NFE",
        "seconds",
        f"s to {found['yardstick']}'s gain",
        f"beats {found['yardstick']}",
    ]
    rows = [_cells(row, plan["seeds"]) for row in mine if row["gain"] is not None]
    failed = [f"- `{row['recipe']}`: {sentence}" for row in mine for sentence in row["errors"]]
    about = (
        f"Every recipe trained on the {trained} reward for {plan['minutes']:g} minutes a seed, "
        f"{plan['seeds']} seeds; {gold} is only watched. Gains over the base on "
        f"{plan['prompts']} held-out prompts with the same noise, mean over seeds ± the standard "
        "error over prompts; z is the smallest of the seeds. NFE are all network evaluations of "
        "training, those with gradient counted once. Intervals over seeds are 95 % (Student's t). "
        f"Beats: the difference of the gains is more than 2 of its standard errors."
    )
    learned = found["learned"]
    with_labels = (
        f"The learned reward: {learned['pairs']} decided of {plan['labels']} simulated labels, "
        f"agreement {learned['agreement']:.3f} ({learned['low']:.3f} to {learned['high']:.3f}) on "
        "prompts it has not seen."
    )
    parts = ["# Methods on the pocket world", about, page.table(head, rows)]
    if failed:
        parts.append("Failed:\n\n" + "\n".join(failed))
    return "\n\n".join([*parts, with_labels, page.made(found)]) + "\n"


def _cells(row: dict[str, Any], seeds: int) -> list[str]:
    reach = row["reach"]
    told = page.interval(reach["mean"], reach["half"], "{:.0f}")
    if reach["reached"] < reach["of"]:
        told = (
            f"{told} ({reach['reached']} of {reach['of']} seeds)" if reach["reached"] else "never"
        )
    name = row["recipe"] + (" (offline)" if row["offline"] else "")
    if row["seeds"] < seeds:
        name += f", {row['seeds']} of {seeds} seeds"
    return [
        name,
        page.interval(row["gain"], row["gain_se"], "{:+.3f}"),
        "–" if row["z_least"] is None else f"{row['z_least']:.1f}",
        page.interval(row["gold"], row["gold_se"], "{:+.3f}"),
        page.number(row["diversity"], "{:.3f}"),
        page.number(row["saturation"], "{:.3f}"),
        f"{row['updates']:.0f}",
        f"{row['nfe'] / 1000:.0f} k",
        f"{row['seconds']:.0f}",
        "–" if reach["of"] == 0 else told,
        row["beats"] or "–",
    ]


def _panels(found: dict[str, Any]) -> list[list[Panel]]:
    plan, rows = found["plan"], []
    for part, name in (("trained", plan["trained"]), ("gold", f"{plan['gold']}, never trained on")):
        across = []
        for key, label in (("nfe", "network evaluations of training"), ("seconds", "seconds")):
            lines = [
                Line(row["recipe"].removeprefix(PREFIX), *curve)
                for row in found["methods"]
                if (curve := summary.mean_curve(found["runs"], row["recipe"], key, part))
            ]
            across.append(Panel(f"{name}, against {label}", label, lines))
        rows.append(across)
    return rows
