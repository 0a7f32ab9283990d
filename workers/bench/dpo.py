"""`palate bench dpo`: from stored pairs to a better model without any reward in between.

`flow-dpo` is trained on simulated labels of the base model's pictures. Then tuned and base draw the
same held-out prompts from the same noise, and the annotators choose blind.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from backend import recipes
from backend.errors import PalateError
from backend.preferences.intervals import win_rate
from backend.rewards.learn import PairData
from backend.rl.randomness import seed_of
from backend.types import Pictures, Policy
from workers.bench import page
from workers.bench.lab import SATURATION, VERIFIER, Lab, circumstances
from workers.bench.trial import Trial
from workers.report import GRID_ROWS, write_json
from workers.sheets import before_after, png


@dataclass(frozen=True)
class DpoPlan:
    """What was asked for."""

    minutes: float = 3.0
    seed: int = 0


def bench(lab: Lab, plan: DpoPlan) -> dict[str, Any]:
    """Train, compare blind, write dpo.json, .md and .png; returns the JSON.

    A run that fails is an error here: there is nothing to compare.
    """
    recipe = recipes.load("flow-dpo").plain() | {
        "watch": [lab.term(name).plain() for name in (VERIFIER, SATURATION)],
        "seed": plan.seed,
    }
    trial = Trial("flow-dpo", lab.laid(recipe), plan.minutes, VERIFIER, SATURATION)
    row, policy = trial.run(lab)
    if policy is None:
        raise PalateError(row["error"])
    base, tuned = _drawn(lab, policy)
    found = {
        "benchmark": "dpo",
        "plan": {**asdict(plan), "prompts": len(lab.heldout), "labels": lab.labels},
        "pairs": len(lab.labelled.pairs),
        **circumstances(),
        "run": row,
        "blind": _judged(lab, base, tuned),
    }
    write_json(lab.out / "dpo.json", found)
    (lab.out / "dpo.md").write_text(_page(found), encoding="utf-8")
    shown = zip(lab.heldout[:GRID_ROWS], base, tuned, strict=False)
    grid = before_after([(prompt, png(one), png(other)) for prompt, one, other in shown])
    (lab.out / "dpo.png").write_bytes(grid)
    return found


def _drawn(lab: Lab, policy: Policy) -> tuple[Pictures, Pictures]:
    """Base and tuned, from the same noise."""
    seeds = [seed_of("bench", "blind", i) for i in range(len(lab.heldout))]
    with policy.reference():
        base = lab.draw(policy, lab.heldout, seeds)
    return base, lab.draw(policy, lab.heldout, seeds)


def _judged(lab: Lab, base: Pictures, tuned: Pictures) -> dict[str, Any]:
    """How often the tuned picture is preferred, ties counting half, with Wilson's interval."""
    answers = lab.judge(base, tuned, lab.heldout)
    both = [prompt for prompt in lab.heldout for _ in range(2)]
    outcome = PairData.of(base, both, answers).outcome
    losses, ties, wins = (int((outcome == side).sum()) for side in (1, 0, -1))
    share = win_rate(wins, losses, ties)
    return {
        "win_rate": share.value,
        "low": share.low,
        "high": share.high,
        "wins": wins,
        "losses": losses,
        "ties": ties,
        "beats_base": share.low > 0.5,
    }


def _page(found: dict[str, Any]) -> str:
    plan, blind, last = found["plan"], found["blind"], found["run"]["final"]
    verdict = "beats the base" if blind["beats_base"] else "cannot be told from the base"
    if blind["high"] < 0.5:
        verdict = "is worse than the base"
    about = (
        f"`flow-dpo` trained for {plan['minutes']:g} minutes ({last['step']} updates, "
        f"{last['nfe']:,} network evaluations) on {found['pairs']} decided pairs of "
        f"{plan['labels']} simulated labels, without a reward model, {verdict}."
    )
    head = ["blind, on held-out prompts", "tuned wins", "95 % interval", "wins", "ties", "losses"]
    cells = [
        f"{plan['prompts']} prompts, same noise",
        f"{blind['win_rate']:.1%}",
        f"{blind['low']:.1%} to {blind['high']:.1%}",
        *(str(blind[name]) for name in ("wins", "ties", "losses")),
    ]
    gain = page.interval(last["trained"], last["trained_se"], "{:+.3f}")
    watched = f"The verifier, only watched: {gain}."
    parts = ["# DPO from stored pairs", about, page.table(head, [cells]), watched]
    return "\n\n".join([*parts, page.made(found)]) + "\n"
