"""`palate bench failures`: does a reward that fails lead a run elsewhere?

One recipe is trained twice from each seed on the verifier: as it is, and with a wrapper that raises
on a share of its judgements. Which ones follows from the content (picture, prompt) and the seed, so
a failure comes again when it is asked again: any alike, the darker a picture the likelier, or the
worse it is the likelier. What is raised takes the way of every failure: the batch is asked again
picture by picture, and what still fails is missing with its reason. A second, sound verifier is
only watched; its held-out values, prompt for prompt, say whether the two ends lie further apart
than their interval.

Such a run pauses by itself, which is shown first; for the comparison its setting `compose.missing`
is set to 1, which never pauses.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from backend import recipes
from backend.errors import PalateError
from backend.preferences.intervals import Z95, Difference, mean_se
from backend.rewards import _statistics, interface
from backend.rewards.interface import Images, Scores
from backend.rl.checkpoint import fingerprint
from backend.rl.composition import RUNNING
from backend.rl.evaluate import HeldOut
from backend.rl.recipe import RewardTerm, RunConfig
from backend.types import Policy
from workers import bare
from workers.bench import page
from workers.bench.alarms import replay
from workers.bench.failing import Failing, Odds, by_chance
from workers.bench.lab import VERIFIER, Lab, circumstances
from workers.bench.trial import Trial
from workers.report import write_json

Floats = NDArray[np.float64]

RECIPE: Final = "one-fork"
TRAINED: Final = "judged"
"""The verifier that is trained on, which may fail; `VERIFIER` is the one that is watched."""
LR: Final = 3e-4
"""Learning rate: three times the recipe's, so that it shows in few updates."""
SMALLER: Final[dict[str, Any]] = {"num_steps": 6, "prompts_per_step": 16}
KINDS: Final = ("clean", "failing")
Depends = Literal["chance", "dark", "bad"]
TOLD: Final[dict[Depends, str]] = {
    "chance": "chosen by a hash of picture, prompt and seed",
    "dark": "the darker a picture among those of the base, the likelier, from twice that to never",
    "bad": "the less a picture is worth among those of the base, the likelier, from twice that to "
    "never",
}
"""What a failure may hang on, in words."""


@dataclass(frozen=True)
class FailuresPlan:
    """What was asked for."""

    updates: int = 16
    seeds: int = 2
    share: float = 0.2
    """Of the judgements that fail."""
    depends: Depends = "chance"
    """What makes a failure likelier."""
    sampling: dict[str, Any] = field(default_factory=lambda: dict(SMALLER))
    """Laid over the recipe's own."""


def odds(depends: Depends, share: float, images: Images, values: Floats) -> Odds:
    """How likely judgements fail, `share` of them among the base's pictures with their values.

    Where it depends on the picture: 2 · share · (1 − u), at most 1, with u the share of the base's
    pictures that are darker, or worth less.
    """
    if depends == "chance":
        return by_chance(share)
    base = np.sort(_statistics.luminance(images) if depends == "dark" else values)

    def likely(images: Images, sound: Scores) -> Floats:
        looked = _statistics.luminance(images) if depends == "dark" else sound.values
        under = (np.searchsorted(base, looked) + np.searchsorted(base, looked, "right")) / 2
        return np.asarray(np.minimum(2 * share * (1 - under / len(base)), 1.0))

    return likely


def bench(lab: Lab, plan: FailuresPlan) -> dict[str, Any]:
    """Train what is not there yet, compare, write failures.json and .md; returns the JSON."""
    told = f"{plan.share:.0%} of the judgements fail ({plan.depends})"
    lab.say(f"{RECIPE}, {plan.updates} updates, {plan.seeds} seeds, clean and while {told}")
    images, base = _heldout(lab, config(lab, plan, 0), None)
    likely = odds(plan.depends, plan.share, images, base)
    rule = paused(lab, plan, likely)
    rows = [_row(lab, plan, kind, seed, likely) for seed in range(plan.seeds) for kind in KINDS]
    found = {
        "benchmark": "failures",
        "plan": {
            **asdict(plan),
            "recipe": RECIPE,
            "lr": LR,
            "prompts": len(lab.heldout),
            "brightness": float(_statistics.luminance(images).mean()),
        },
        **circumstances(),
        "pause": rule,
        "runs": [_told(row, base) for row in rows],
        **compared(rows, base),
    }
    write_json(lab.out / "failures.json", found)
    (lab.out / "failures.md").write_text(_page(found), encoding="utf-8")
    return found


def config(lab: Lab, plan: FailuresPlan, seed: int, **compose: float) -> RunConfig:
    """The recipe made small, trained on one verifier while another is watched."""
    whole = recipes.load(RECIPE).plain()
    kind = lab.term(VERIFIER).kind
    return lab.laid(
        whole
        | {
            "rewards": [RewardTerm(name=TRAINED, kind=kind).plain()],
            "watch": [lab.term(VERIFIER).plain()],
            "sampling": {**whole["sampling"], **plan.sampling},
            "optim": {**whole["optim"], "lr": LR},
            "compose": {**whole["compose"], **compose},
            "seed": seed,
        }
    )


def paused(lab: Lab, plan: FailuresPlan, likely: Odds) -> dict[str, Any]:
    """What a run with this many failures does by the default of `compose.missing`."""
    settings = config(lab, plan, 0)
    trial = Trial("by its own setting", settings, 0, TRAINED, VERIFIER, RUNNING + 1, evaluations=1)
    with _quiet():
        row, _policy = trial.run(_failing(lab, likely, 0))
    if row["error"]:
        raise PalateError(row["error"])
    said = next((text for text in row["warnings"] if text.startswith("Paused")), "")
    return {"missing": settings.compose.missing, "status": row["status"], "said": said}


def compared(rows: Sequence[dict[str, Any]], base: Floats) -> dict[str, Any]:
    """Failing minus clean, by prompt: of each seed, and of the means over seeds.

    `by_seed` is clean minus clean of other seeds: what training from another seed alone moves.
    """
    ends = {kind: [np.array(r["values"]) for r in rows if r["kind"] == kind] for kind in KINDS}
    clean, failing = ends["clean"], ends["failing"]
    whole = _difference(np.mean(failing, axis=0) - np.mean(clean, axis=0))
    pairs = zip(clean, failing, strict=True)
    return {
        "gain": {kind: _difference(np.mean(of, axis=0) - base) for kind, of in ends.items()},
        "difference": whole,
        "differences": [_difference(bad - good) for good, bad in pairs],
        "by_seed": [_difference(other - clean[0]) for other in clean[1:]],
        "shifted": not whole["low"] <= 0 <= whole["high"],
    }


def _difference(apart_P: Floats) -> dict[str, float]:
    """Mean over prompts, its standard error and 95 % interval."""
    told: Difference = mean_se(apart_P)
    half = Z95 * told.se
    return {"mean": told.mean, "se": told.se, "low": told.mean - half, "high": told.mean + half}


def _row(lab: Lab, plan: FailuresPlan, kind: str, seed: int, likely: Odds) -> dict[str, Any]:
    """A run with the watched verifier's values by prompt at its end, made now or read back."""
    settings = config(lab, plan, seed, missing=1.0)
    wanted = {"config": settings.plain(), "updates": plan.updates, "prompts": lab.heldout}
    fails = kind == "failing" and plan.share > 0
    wanted |= {"share": plan.share if fails else 0.0}
    if fails and plan.depends != "chance":
        wanted |= {"depends": plan.depends}
    path = lab.out / f"failures-{kind}-{seed}-{fingerprint(wanted)}.json"
    if path.is_file():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    trial = Trial(kind, settings, 0, TRAINED, VERIFIER, plan.updates, whole=True, evaluations=2)
    with _quiet():
        row, policy = trial.run(_failing(lab, likely, seed) if fails else lab)
    if policy is None:
        raise PalateError(row["error"])
    images, values = _heldout(lab, settings, policy)
    light = float(_statistics.luminance(images).mean())
    row |= {"kind": kind, "values": values.tolist(), "brightness": light}
    write_json(path, row)
    return row


def _failing(lab: Lab, likely: Odds, seed: int) -> Lab:
    """The lab in which the trained reward fails."""
    return replace(lab, instead={TRAINED: lambda scorer: Failing(scorer, likely, seed)})


def _heldout(lab: Lab, settings: RunConfig, policy: Policy | None) -> tuple[Images, Floats]:
    """The held-out prompts' pictures (P, h, w, 3), drawn as an evaluation does, and what the
    verifier says of them; (P,)."""
    from backend.rl.sampler import Field, draw

    held = HeldOut.of(lab.heldout, settings.evaluation)
    policy = policy or bare.policy(settings.policy)
    field = Field(policy, bf16=settings.sampling.bf16, batch_size=settings.sampling.batch_size)
    images = draw(field, held.prompts, held.seeds, policy.schedule(settings.sampling.num_steps))
    sound: Floats = lab.scorers(settings)[VERIFIER].score(images, held.prompts).values
    return images, sound


@contextmanager
def _quiet() -> Iterator[None]:
    """Thousands of failures on purpose are counted, not logged one by one."""
    level = interface.log.level
    interface.log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        interface.log.setLevel(level)


def _told(row: dict[str, Any], base: Floats) -> dict[str, Any]:
    """A run in short: its gain, what was missing of the trained reward, which alarms fired."""
    updates = [said for _, said in row["updates"]]
    kept = sum(said["groups_kept"] for said in updates)
    return {
        "kind": row["kind"],
        "seed": row["seed"],
        "status": row["status"],
        "updates": len(updates),
        "gain": _difference(np.array(row["values"]) - base),
        "brightness": row["brightness"],
        "missing": float(np.mean([said[f"missing/{TRAINED}"] for said in updates])),
        "groups_kept": kept / max(sum(said["groups_total"] for said in updates), 1),
        "fired": replay(row),
        "seconds": row["seconds"],
        "nfe": sum(row["nfe"].values()),
    }


def _page(found: dict[str, Any]) -> str:
    plan, rule = found["plan"], found["pause"]
    about = (
        f"`{plan['recipe']}` trained for {plan['updates']} updates at a learning rate of "
        f"{plan['lr']:g} on the verifier, clean and while {plan['share']:.0%} of its judgements "
        f"raise, {TOLD[plan['depends']]}. Gains of a sound verifier on "
        f"{plan['prompts']} held-out prompts ± standard error; differences by prompt with their "
        f"95 % interval. The base's held-out pictures are {plan['brightness']:.3f} bright."
    )
    head = ["run", "seed", "verifier gain", "s.e.", "missing", "bright", "groups kept", "alarms"]
    rows = [_cells(run) for run in found["runs"]]
    verdict = "beyond" if found["shifted"] else "not beyond"
    whole = _span(found["difference"])
    apart = [f"- All seeds: failing minus clean {whole}, {verdict} its interval."]
    apart += [f"- Seed {i}: {_span(one)}." for i, one in enumerate(found["differences"])]
    apart += [
        f"- For comparison, clean seed {i} minus clean seed 0: {_span(one)}."
        for i, one in enumerate(found["by_seed"], 1)
    ]
    stands = (
        f"By the setting `compose.missing` {rule['missing']:g} such a run is {rule['status']}: "
        f"{rule['said']} For this comparison the setting is 1."
    )
    title = "at random" if plan["depends"] == "chance" else f"by what is shown ({plan['depends']})"
    parts = [f"# A reward that fails {title}", about, page.table(head, rows)]
    return "\n\n".join([*parts, "\n".join(apart), stands, page.made(found)]) + "\n"


def _cells(run: dict[str, Any]) -> list[str]:
    gain = run["gain"]
    return [
        run["kind"],
        str(run["seed"]),
        page.interval(gain["mean"], gain["se"], "{:+.3f}"),
        page.errors(gain["mean"], gain["se"]),
        f"{run['missing']:.1%}",
        f"{run['brightness']:.3f}",
        f"{run['groups_kept']:.0%}",
        ", ".join(f"{name} ({step})" for name, step in run["fired"].items()) or "none",
    ]


def _span(one: dict[str, float]) -> str:
    return f"{one['mean']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f})"
