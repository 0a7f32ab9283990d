"""`palate bench judge`: does a judge teach what a verifier, which never taught, can see?

`pref-grpo-judge` is trained on who beats whom under the pocket judge, or under its twin that likes
what stands first. Before that the judge is asked about groups of the base's pictures: what its win
rates have in common with the verifier inside a group is the most that training can make of them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from backend import recipes
from backend.errors import PalateError
from backend.rewards import _groups
from backend.rl.cost import predict
from backend.rl.randomness import seed_of
from backend.rl.recipe import RunConfig
from workers import bare
from workers.bench import page
from workers.bench.chart import Line, Panel, write_chart
from workers.bench.lab import ENOUGH, SATURATION, VERIFIER, Lab, circumstances
from workers.bench.trial import Trial
from workers.report import write_json

Weights = Literal["judge", "biased"]
RECIPE = "pref-grpo-judge"


@dataclass(frozen=True)
class JudgedPlan:
    """What was asked for."""

    minutes: float = 8.0
    seed: int = 0
    judge: Weights = "judge"
    updates: int = 0
    """So many instead of minutes."""
    groups: int = 12
    """Groups of the base's pictures on which the judge is looked at first."""


def bench(lab: Lab, plan: JudgedPlan) -> dict[str, Any]:
    """Look at the judge, train, write judge.json, .md and .png; returns the JSON."""
    config = configure(lab, plan)
    before = signal(lab, config, plan)
    told = f"correlation with the verifier {before['correlation']:.2f}"
    lab.say(f"win rates of the base's groups: spread {before['spread']:.3f}, {told}")
    trial = Trial(RECIPE, config, plan.minutes, SATURATION, VERIFIER, plan.updates)
    row, policy = trial.run(lab)
    if policy is None:
        raise PalateError(row["error"])
    last = row["final"]
    found = {
        "benchmark": "judge",
        "plan": {**asdict(plan), "gold": VERIFIER, "prompts": len(lab.heldout)},
        **circumstances(),
        "signal": before,
        "bouts": predict(config).judge_calls,
        "gain": {
            "value": last["gold"],
            "se": last["gold_se"],
            "z": last["gold"] / last["gold_se"] if last["gold_se"] else None,
        },
        "run": row,
    }
    found["raised"] = bool(found["gain"]["z"] and found["gain"]["z"] > ENOUGH)
    write_json(lab.out / "judge.json", found)
    (lab.out / "judge.md").write_text(_page(found), encoding="utf-8")
    curve = [point for point in row["curve"] if point["gold"] is not None]
    if len(curve) > 1:
        x, y = ([point[key] for point in curve] for key in ("seconds", "gold"))
        panel = Panel(
            f"{VERIFIER}, never trained on", "seconds", [Line("judge", x, y, last["gold_se"])]
        )
        write_chart(lab.out / "judge.png", "Pref-GRPO with the pocket judge", [[panel]])
    return found


def configure(lab: Lab, plan: JudgedPlan) -> RunConfig:
    """The recipe with that judge; the verifier and saturation are watched."""
    recipe = recipes.load(RECIPE).plain()
    term = recipe["rewards"][0]
    term["config"] = {**term["config"], "judge_config": {"weights_of": plan.judge}}
    return lab.laid(recipe | {"seed": plan.seed})


def signal(lab: Lab, config: RunConfig, plan: JudgedPlan) -> dict[str, Any]:
    """What the judge's win rates are worth on groups of the base's pictures, before training.

    spread: mean standard deviation inside a group; correlation: of rate and verifier, both centred
    in their group; index: of rate and the picture's place, which should be none. Groups in which
    the judge says what a coin could say count too: how many those are is part of its worth.
    """
    size = int(config.method.settings["group_size"])
    prompts = [prompt for prompt in lab.train[: plan.groups] for _ in range(size)]
    seeds = [seed_of("bench", "judged", i) for i in range(len(prompts))]
    images = lab.draw(bare.policy(config.policy), prompts, seeds)
    group = np.repeat(np.arange(plan.groups), size)
    judge = config.rewards[0]
    ungated = judge.model_copy(update={"config": {**judge.config, "coin_gate": "never"}})
    scorers = lab.scorers(config.model_copy(update={"rewards": [ungated]}))
    rate = scorers["win-rate"].score(images, prompts, group).values
    gold = scorers[VERIFIER].score(images, prompts).values
    place = np.tile(np.arange(size, dtype=np.float64), plan.groups)
    return {
        "spread": float(np.nanmean(_groups.std(rate, group, plan.groups))),
        "correlation": _together(rate, gold, group),
        "index": _together(rate, place, group),
        "groups": plan.groups,
        "size": size,
    }


def _together(one: Any, other: Any, group: Any) -> float:
    """Correlation of what is left when both are centred in their group; 0 where one is flat."""
    num = int(group.max()) + 1
    x, y = (_groups.centred(value, group, num) for value in (one, other))
    size = float(np.sqrt(np.nansum(x**2) * np.nansum(y**2)))
    return float(np.nansum(x * y) / size) if size > 0 else 0.0


def _page(found: dict[str, Any]) -> str:
    plan, before, last = found["plan"], found["signal"], found["run"]["final"]
    about = (
        f"`{RECIPE}` trained for {page.length(plan)} on who beats whom under the pocket "
        f"judge ({plan['judge']}), {found['bouts']} bouts an update; the verifier is only watched, "
        f"on {plan['prompts']} held-out prompts with the same noise. Before training, in "
        f"{before['groups']} groups of {before['size']} of the base's pictures: spread of the win "
        f"rates {before['spread']:.3f}, correlation with the verifier {before['correlation']:.2f}, "
        f"with the place in the group {before['index']:+.2f}."
    )
    head = ["updates", "seconds", "verifier gain", "standard errors", "diversity", "saturation"]
    rows = [
        [
            str(point["step"]),
            f"{point['seconds']:.0f}",
            page.interval(point["gold"], point["gold_se"], "{:+.3f}"),
            page.errors(point["gold"], point["gold_se"]),
            page.number(point["diversity"], "{:.3f}"),
            page.number(point["saturation"], "{:.3f}"),
        ]
        for point in found["run"]["curve"]
        if point["gold"] is not None
    ]
    verdict = "raised" if found["raised"] else "not raised"
    said = f"The verifier is {verdict} by more than {ENOUGH:g} standard errors"
    told = f"{said} ({last['gold']:+.3f} ± {last['gold_se']:.3f})."
    parts = ["# A judge as the teacher", about, page.table(head, rows), told, page.made(found)]
    return "\n\n".join(parts) + "\n"
