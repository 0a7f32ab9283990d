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
from backend.rl import refining
from backend.rl.randomness import seed_of
from backend.types import Pictures
from workers import bare
from workers.bench import page
from workers.bench.chart import Line, Panel, write_chart
from workers.bench.lab import VERIFIER, Lab, circumstances
from workers.report import write_json

NAMES = {"best": "best of N", "again": "drawn again", "refine": "rewritten"}


@dataclass(frozen=True)
class UntrainedPlan:
    """What was asked for."""

    rounds: int = 4
    """Calls of the generator for a prompt at most."""
    seed: int = 0


def bench(lab: Lab, plan: UntrainedPlan) -> dict[str, Any]:
    """Draw, judge, write untrained.json, .md and .png; returns the JSON."""
    judge, gallery = judging.load(), _Gallery(lab, plan.seed)
    critic = PocketCritic(judge)

    def ask(
        prompts: Sequence[str], requests: Sequence[str], pictures: Sequence[int]
    ) -> list[str | None]:
        return critic.next_requests(prompts, requests, gallery.pictures(pictures))

    verifier = bare.scorers([lab.term(VERIFIER)])[VERIFIER]
    fits = refining.ByValue(lambda prompts, which: judge.fits(prompts, gallery.pictures(which)))
    gold = refining.ByValue(
        lambda prompts, which: verifier.score(gallery.pictures(which), prompts).values
    )
    ways = {"best": refining.always, "again": refining.in_same_words(ask), "refine": ask}
    found = refining.refine(gallery.draw, fits, ways, lab.heldout, plan.rounds)
    rows = [_row(row) for row in refining.rows(found, {VERIFIER: gold}, lab.heldout)]
    for row in rows:
        said = f"verifier {row['gain']:+.3f} ± {row['se']:.3f}"
        lab.say(f"{NAMES[row['way']]}, {row['calls']:.2f} calls a prompt: {said}")
    told = {
        "benchmark": "untrained",
        "plan": {**asdict(plan), "prompts": len(lab.heldout)},
        **circumstances(),
        "rows": rows,
    }
    write_json(lab.out / "untrained.json", told)
    (lab.out / "untrained.md").write_text(_page(told), encoding="utf-8")
    _draw_chart(lab, rows)
    return told


def _row(row: dict[str, Any]) -> dict[str, Any]:
    gain = row["gains"][VERIFIER]
    kept = {name: row[name] for name in ("way", "calls", "rewritten")}
    return {**kept, "verifier": gain["value"], "gain": gain["gain"], "se": gain["se"]}


class _Gallery:
    """Pictures in memory, by number. The same noise for the same prompt and round, whoever asks:
    the ways are compared in pairs, and what was drawn for one is there for another."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self.lab, self.seed, self.policy = lab, seed, bare.policy(bare.POCKET)
        self._drawn: list[Pictures] = []
        self._known: dict[tuple[str, int, int], int] = {}

    def draw(self, requests: Sequence[str], which: Sequence[int], number: int) -> list[int]:
        """See `refining.Draw`."""
        keys = [(text, int(i), number) for text, i in zip(requests, which, strict=True)]
        new = [key for key in keys if key not in self._known]
        if new:
            self.lab.say(f"drawing {len(new)} pictures of round {number + 1}")
            seeds = [seed_of("bench", "untrained", self.seed, i, number) for _, i, _ in new]
            drawn = self.lab.draw(self.policy, [text for text, _, _ in new], seeds)
            for key, picture in zip(new, drawn, strict=True):
                self._known[key] = len(self._drawn)
                self._drawn.append(picture)
        return [self._known[key] for key in keys]

    def pictures(self, numbers: Sequence[int]) -> Pictures:
        """(B, h, w, 3)."""
        return np.stack([self._drawn[number] for number in numbers])


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
