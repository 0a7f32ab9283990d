"""`palate bench untrained`: how good do pictures get without training, call for call?

The base model draws the held-out prompts. Best-of-N by the pocket judge, drawing again what the
judge's description finds wanting, and rewriting the request by that description get the same calls
of the generator at most; the verifier, whom nobody asked, says what came of it. A run's gain at one
call a picture stands in the tables of `palate bench methods` and `palate loop`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from backend.pocket import judging
from backend.pocket.critic import PocketCritic
from backend.preferences.intervals import mean_se
from backend.rl.randomness import seed_of
from backend.rl.refining import Again, Critic, Draw, Floats, refine
from backend.types import Pictures
from workers import bare
from workers.bench import page
from workers.bench.chart import Line, Panel, write_chart
from workers.bench.lab import VERIFIER, Lab, circumstances
from workers.report import write_json

NAMES = {"best": "best of N", "again": "drawn again", "refine": "rewritten"}


class _Always:
    """Finds every picture wanting, in the same words: with a judge who keeps, best-of-N."""

    def next_requests(
        self, prompts: Sequence[str], requests: Sequence[str], pictures: Pictures
    ) -> list[str | None]:
        return list(prompts)


@dataclass(frozen=True)
class UntrainedPlan:
    """What was asked for."""

    rounds: int = 4
    """Calls of the generator for a prompt at most."""
    seed: int = 0


def bench(lab: Lab, plan: UntrainedPlan) -> dict[str, Any]:
    """Draw, judge, write untrained.json, .md and .png; returns the JSON."""
    judge = judging.load()
    critic = PocketCritic(judge)
    ways: dict[str, Critic] = {"best": _Always(), "again": Again(critic), "refine": critic}
    verifier = bare.scorers([lab.term(VERIFIER)])[VERIFIER]
    draw = _drawing(lab, plan.seed)
    rows: list[dict[str, Any]] = []
    start: Floats | None = None
    for name, way in ways.items():
        lab.say(NAMES[name])
        drawn = refine(draw, judge.fits, way, lab.heldout, plan.rounds)
        for kept, calls in zip(drawn.kept, drawn.calls, strict=True):
            values = verifier.score(kept, lab.heldout).values
            start = values if start is None else start
            gain = mean_se(values - start)
            rows.append(
                {
                    "way": name,
                    "calls": calls / len(lab.heldout),
                    "verifier": float(np.mean(values)),
                    "gain": gain.mean,
                    "se": gain.se,
                    "rewritten": drawn.rewritten,
                }
            )
            told = f"verifier {gain.mean:+.3f} ± {gain.se:.3f}"
            lab.say(f"  {rows[-1]['calls']:.2f} calls a prompt: {told}")
    found = {
        "benchmark": "untrained",
        "plan": {**asdict(plan), "prompts": len(lab.heldout)},
        **circumstances(),
        "rows": rows,
    }
    write_json(lab.out / "untrained.json", found)
    (lab.out / "untrained.md").write_text(_page(found), encoding="utf-8")
    _draw_chart(lab, rows)
    return found


def _drawing(lab: Lab, seed: int) -> Draw:
    policy = bare.policy(bare.POCKET)

    def draw(requests: Sequence[str], which: Sequence[int], number: int) -> Pictures:
        # the same noise for the same prompt and round, whoever asks: the ways are compared in pairs
        seeds = [seed_of("bench", "untrained", seed, int(i), number) for i in which]
        return lab.draw(policy, requests, seeds)

    return draw


def _page(found: dict[str, Any]) -> str:
    plan = found["plan"]
    about = (
        f"The base model on {plan['prompts']} held-out prompts, at most {plan['rounds']} pictures "
        "a prompt, chosen by the pocket judge; the verifier is asked by nobody. Gains are over the "
        "first picture, in pairs."
    )
    head = ["way", "calls a prompt", "verifier", "gain", "standard errors"]
    cells = [
        [
            NAMES[row["way"]],
            f"{row['calls']:.2f}",
            f"{row['verifier']:.3f}",
            page.interval(row["gain"], row["se"], "{:+.3f}"),
            page.errors(row["gain"], row["se"]),
        ]
        for row in found["rows"]
    ]
    parts = ["# Better without training", about, page.table(head, cells), page.made(found)]
    return "\n\n".join(parts) + "\n"


def _draw_chart(lab: Lab, rows: list[dict[str, Any]]) -> None:
    lines = []
    for name, title in NAMES.items():
        mine = [row for row in rows if row["way"] == name]
        calls, gains = ([row[key] for row in mine] for key in ("calls", "gain"))
        lines.append(Line(title, calls, gains, mine[-1]["se"]))
    panel = Panel(f"{VERIFIER}, asked by nobody", "pictures drawn a prompt", lines)
    write_chart(lab.out / "untrained.png", "Better without training", [[panel]])
