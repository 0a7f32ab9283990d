"""`palate bench alarms`: do alarms fire on runs that cheat or collapse, and not on healthy ones?

Fifteen short runs. Nine are built to go wrong: one fork trained on saturation, on muted colours and
on brightness, which any glaring or empty picture scores, on writing, tiles and likeness to one
picture (`cheats`), and on the verifier with a learning rate that breaks the model. Six train the
verifier as the recipes do. The simulated taste, or the verifier, and a learned reward are only
watched. Alarms that cheating does not set off have runs of their own (`staged`). Every figure of
every run is kept, so that the rules can be asked again without training again; for each it is said
how far it went in both kinds of runs, which is where a limit belongs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from backend import recipes
from backend.errors import PalateError
from backend.preferences.intervals import wilson
from backend.rl.alarms import RULES, Story, look
from backend.rl.recipe import RewardTerm, RunConfig
from backend.services.alarms import parties
from backend.types import Scorer
from workers import bare
from workers.bench import page
from workers.bench.cheats import LOOKS, Cheat
from workers.bench.lab import LEARNED, Lab, circumstances
from workers.bench.staged import STAGED, Midway, Staged
from workers.bench.trial import Notes
from workers.report import write_json

TERMS = {
    "verifier": RewardTerm(name="verifier", kind="pocket-verifier"),
    "taste": RewardTerm(name="taste", kind="simulated-taste"),
    "saturation": RewardTerm(name="saturation", kind="saturation"),
    "muted": RewardTerm(name="muted", kind="saturation", config={"prefer": "muted"}),
    "brightness": RewardTerm(name="brightness", kind="brightness"),
    **{look: RewardTerm(name=look, kind="brightness") for look in LOOKS},
}
"""The rewards of `cheats` are of no kind; those terms hold their place."""
FAST, BROKEN = 2e-3, 3e-2
"""Learning rates: that of short runs, and one that no model survives."""
WRONG = (
    ("one-fork on saturation", "one-fork", "saturation", FAST, 0),
    ("one-fork on saturation", "one-fork", "saturation", FAST, 1),
    ("one-fork on muted colours", "one-fork", "muted", FAST, 0),
    ("one-fork on brightness", "one-fork", "brightness", FAST, 0),
    ("one-fork on writing", "one-fork", "writing", FAST, 0),
    ("one-fork on tiles", "one-fork", "tiles", FAST, 0),
    ("one-fork on one picture", "one-fork", "one-picture", FAST, 0),
    ("one-fork, broken by its rate", "one-fork", "verifier", BROKEN, 0),
    ("one-fork, broken by its rate", "one-fork", "verifier", BROKEN, 1),
)
"""(name, recipe, trained, learning rate, seed) of runs that go wrong."""
STEADY = 3e-4
"""Learning rate of healthy runs."""
HEALTHY = tuple(
    (f"{recipe} on the verifier", recipe, "verifier", STEADY, seed)
    for recipe in ("one-fork", "g2rpo")
    for seed in range(3)
)
LONG = (
    ("one-fork, long, on the verifier", "one-fork", "verifier", STEADY, 0),
    ("g2rpo, long, on the verifier", "g2rpo", "verifier", STEADY, 0),
)
LONG_EVERY = 10
"""Updates between evaluations of a long run."""


@dataclass(frozen=True)
class AlarmsPlan:
    """What was asked for."""

    updates: int = 24
    every: int = 4
    """Updates between evaluations."""
    long: int = 0
    """Updates of two more healthy runs; 0 makes none."""


def bench(lab: Lab, plan: AlarmsPlan) -> dict[str, Any]:
    """Train what is not there yet, ask the rules, write alarms.json and .md; returns the JSON."""
    lab = replace(lab, instead=instead())
    rows = [
        _row(lab, plan, kind, *given)
        for kind, runs in (("wrong", WRONG), ("healthy", HEALTHY))
        for given in runs
    ]
    if plan.long:
        whole = replace(plan, updates=plan.long, every=LONG_EVERY)
        rows += [_row(lab, whole, "healthy", *given) for given in LONG]
    rows += [_staged(lab, one) for one in STAGED]
    found = {
        "benchmark": "alarms",
        "plan": {**asdict(plan), "prompts": len(lab.heldout)},
        **circumstances(),
        "runs": [{k: row[k] for k in ("name", "kind", "seed", "error", "fired")} for row in rows],
        "rules": rates(rows),
    }
    write_json(lab.out / "alarms.json", found)
    (lab.out / "alarms.md").write_text(_page(found), encoding="utf-8")
    return found


def instead() -> dict[str, Callable[[Scorer], Scorer]]:
    """What a lab gives the runs for the terms that only hold a place."""

    def given(look: str) -> Callable[[Scorer], Scorer]:
        return lambda _: Cheat(look)

    return {look: given(look) for look in LOOKS}


def rates(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of every rule, and of all together: hits, false alarms, how far each kind went, and how many
    of the runs that are staged for it set it off."""
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in ("wrong", "healthy")}
    found = []
    for name, rule in RULES.items():
        fired = {kind: sum(name in row["fired"] for row in of) for kind, of in kinds.items()}
        furthest = {kind: [_furthest(row, name) for row in of] for kind, of in kinds.items()}
        known = {k: sorted(v for v in values if v is not None) for k, values in furthest.items()}
        mine = [row for row in rows if row["kind"] == "staged" and row["rule"] == name]
        staged = [sum(name in row["fired"] for row in mine), len(mine)]
        found.append(
            {
                "rule": name,
                "limit": rule.limit,
                "fired": fired,
                "furthest": known,
                "staged": staged,
            }
        )
    some = {kind: sum(bool(row["fired"]) for row in of) for kind, of in kinds.items()}
    totals = {kind: len(of) for kind, of in kinds.items()}
    whole: dict[str, Any] = {
        "rule": "any",
        "limit": None,
        "fired": some,
        "furthest": {},
        "staged": [0, 0],
    }
    found.append(whole)
    return [{**row, "of": totals} for row in found]


def replay(row: dict[str, Any], only: str = "", limit: float | None = None) -> dict[str, int]:
    """Rule → the step at which it first fires as the run goes on; `limit` in place of its own."""
    trained, watched = parties(row["config"])
    story = Story(trained, watched)
    fired: dict[str, int] = {}
    points = [(step, 0, metrics) for step, metrics in row["updates"]]
    points += [(step, 1, metrics) for step, metrics in row["evaluations"]]
    for step, is_evaluation, metrics in sorted(points, key=lambda point: point[:2]):
        (story.evaluation if is_evaluation else story.update)(step, metrics)
        if only:
            rule = RULES[only]
            told = replace(rule, limit=rule.limit if limit is None else limit)
            names = [only for _ in told.find(story, told)]
        else:
            names = [finding.rule for finding in look(story)]
        for name in names:
            fired.setdefault(name, step)
    return fired


def _furthest(row: dict[str, Any], name: str) -> float | None:
    """The strictest limit at which a rule would still have fired, by halving; None: at none."""
    far, near = (1e4, -1e4) if not replay(row, name, 1e4) else (-1e4, 1e4)
    if name == "not-a-number" or not replay(row, name, near):
        return None
    if replay(row, name, far):
        return None  # it fires whatever the limit
    for _ in range(40):
        middle = (far + near) / 2
        far, near = (far, middle) if replay(row, name, middle) else (middle, near)
    return round(near, 3) + 0.0


def _row(
    lab: Lab,
    plan: AlarmsPlan,
    kind: str,
    name: str,
    recipe: str,
    trained: str,
    lr: float,
    seed: int,
) -> dict[str, Any]:
    """A run's figures, trained now or read back, and what fires on them now."""
    path = lab.out / f"alarms-{kind}-{recipe}-{trained}-{lr:g}-{seed}-{plan.updates}.json"
    about = {"name": name, "kind": kind, "seed": seed}
    more = [lab.term(LEARNED)]
    return _kept(
        lab, path, about, lambda: _trained(lab, config(plan, recipe, trained, lr, seed, more))
    )


def _staged(lab: Lab, one: Staged) -> dict[str, Any]:
    """A run that is built to set off one alarm."""
    path = lab.out / f"alarms-staged-{one.name.replace(' ', '-')}-{one.updates}.json"
    about = {"name": one.name, "kind": "staged", "seed": 0, "rule": one.rule}

    def made() -> dict[str, Any]:
        small = config(AlarmsPlan(one.updates, one.updates // 2), "one-fork", "verifier", FAST, 0)
        settings = one.laid(small)
        return _trained(replace(lab, instead=one.instead), settings, one)

    return _kept(lab, path, about, made)


def _kept(
    lab: Lab, path: Path, about: dict[str, Any], made: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What was made, now or before, with what fires on it now."""
    if path.is_file():
        row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    else:
        row = made() | about
        write_json(path, row)
    row["fired"] = replay(row)
    lab.say(f"{row['name']}, seed {row['seed']}: {', '.join(row['fired']) or 'nothing'}")
    return row


def config(
    plan: AlarmsPlan,
    recipe: str,
    trained: str,
    lr: float,
    seed: int,
    more: Sequence[RewardTerm] = (),
) -> RunConfig:
    """A recipe made small: few prompts and steps; judges, and `more`, are only watched."""
    whole = recipes.load(recipe).plain()
    settings = {**whole["method"]["settings"], "fork_steps": [0, 1, 2], "group_size": 6}
    watched = [*(TERMS[name] for name in ("verifier", "taste") if name != trained), *more]
    return RunConfig.read(
        {
            **whole,
            "method": {"name": whole["method"]["name"], "settings": settings},
            "rewards": [TERMS[trained].plain()],
            "watch": [term.plain() for term in watched],
            "sampling": {**whole["sampling"], "num_steps": 6, "prompts_per_step": 6},
            "optim": {**whole["optim"], "lr": lr},
            "evaluation": {"every": plan.every, "num_prompts": 32, "fixed_prompts": 0},
            "num_steps": plan.updates,
            "record_groups": 0,
            "checkpoint_every": 10**6,
            "seed": seed,
        }
    )


def _trained(lab: Lab, config: RunConfig, staged: Staged | None = None) -> dict[str, Any]:
    from backend.rl.loop import train

    notes, started, error = Notes("", ""), time.monotonic(), ""
    policy = bare.policy(config.policy)
    if staged and staged.drawn:
        policy, notes = Midway.staged(policy, staged.drawn, config.num_steps // 2)
    try:
        train(
            config,
            policy=policy,
            rewards=lab.scorers(config),
            data=lab.data(config),
            sink=notes,
            control=notes,
        )
    except PalateError as problem:
        error = str(problem)
    return {
        "config": config.plain(),
        "updates": notes.updates,
        "evaluations": notes.evaluations,
        "error": error,
        "seconds": round(time.monotonic() - started, 1),
    }


def _page(found: dict[str, Any]) -> str:
    plan = found["plan"]
    long = f" (two more have {plan['long']})" if plan["long"] else ""
    about = (
        f"{len(WRONG)} runs that go wrong and {len(HEALTHY)} healthy ones, {plan['updates']} "
        f"updates each{long}, evaluated on {plan['prompts']} held-out prompts every "
        f"{plan['every']} updates; {len(STAGED)} short ones are staged to set off one alarm "
        "each. Rates with Wilson's 95 % interval; furthest: the strictest limit at which the rule "
        "would still have fired, least and most among the runs."
    )
    head = ["rule", "limit", "hits", "false alarms", "furthest, wrong", "furthest, healthy"]
    head.append("staged for it")
    lines = [_line(row) for row in found["rules"]]
    runs = [[run["name"], str(run["seed"]), run["kind"], _fired(run)] for run in found["runs"]]
    parts = [
        "# Alarms",
        about,
        page.table(head, lines),
        page.table(["run", "seed", "kind", "fired, at update"], runs),
    ]
    return "\n\n".join([*parts, page.made(found)]) + "\n"


def _fired(run: dict[str, Any]) -> str:
    told = ", ".join(f"{name} ({step})" for name, step in run["fired"].items()) or "nothing"
    return told + ("; the run failed" if run["error"] else "")


def _line(row: dict[str, Any]) -> list[str]:
    def share(kind: str) -> str:
        found = wilson(row["fired"][kind], row["of"][kind])
        return f"{row['fired'][kind]} of {row['of'][kind]} ({found.low:.2f} to {found.high:.2f})"

    def span(kind: str) -> str:
        known = row["furthest"].get(kind)
        return f"{known[0]:g} to {known[-1]:g}" if known else "–"

    limit = "" if row["limit"] is None else f"{row['limit']:g}"
    set_off, staged = row["staged"]
    told = [share("wrong"), share("healthy"), span("wrong"), span("healthy")]
    return [row["rule"], limit, *told, f"{set_off} of {staged}" if staged else "–"]
