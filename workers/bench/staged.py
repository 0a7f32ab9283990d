"""Runs that are staged to set off one alarm each: the signs that cheating alone does not show.

    conflict   two rewards that cannot both have their way: vivid colours and muted ones
    bound      a judge whose scale is too short, so that many pictures have its highest value
    clipped    many updates of the same rollouts at a high rate
    missing    a trained judge that fails on a fifth of what it is asked; a watched one on half
    text, grid a model that begins to write into its pictures, or to tile them, half-way

No pocket model learns to write or to tile in minutes, so there the pictures are changed on their
way out of the decoder. `not-a-number` cannot be staged: the loop ends a run with a sentence before
such a figure is recorded; the rule is for what other trainers have logged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np

from backend.rewards._edits import PROBES
from backend.rewards.interface import Images, Scores, Shape
from backend.rl.recipe import RewardTerm, RunConfig
from backend.types import IterationRecord, Pictures, Policy, Scorer
from workers.bench.failing import Failing, by_chance
from workers.bench.trial import Notes

VERIFIER = RewardTerm(name="verifier", kind="pocket-verifier")
VIVID = RewardTerm(name="vivid", kind="saturation")
MUTED = RewardTerm(name="muted", kind="saturation", config={"prefer": "muted"})
JUDGE = RewardTerm(name="judge", kind="pocket-verifier")
SCALE: Final = 2.0
"""What a short scale multiplies by before it ends at 1."""


@dataclass(frozen=True)
class Staged:
    """A run, and the alarm that it is built to set off."""

    rule: str
    name: str
    rewards: Sequence[RewardTerm] = (VERIFIER,)
    watch: Sequence[RewardTerm] = ()
    updates: int = 4
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Laid over the settings, section by section."""
    instead: Mapping[str, Callable[[Scorer], Scorer]] = field(default_factory=dict)
    """Reward → what the run is given in its place."""
    drawn: Callable[[Pictures], Pictures] | None = None
    """What becomes of its pictures from half-way on."""

    def laid(self, config: RunConfig) -> RunConfig:
        """These settings made as small as the sign allows, with what sets it off."""
        whole = config.plain()
        method = whole["method"]
        small = {
            "method": {**method, "settings": {**method["settings"], "group_size": 4}},
            "sampling": {**whole["sampling"], "prompts_per_step": 3},
            "evaluation": {**whole["evaluation"], "num_prompts": 16},
            "rewards": [term.plain() for term in self.rewards],
            "watch": [term.plain() for term in self.watch],
        }
        laid = {name: {**whole[name], **change} for name, change in self.changes.items()}
        return RunConfig.read({**whole, **small, **laid})


class Short:
    """A judge that says the highest value there is of everything it likes well enough."""

    shape: Shape = "pointwise"

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """Its values, twice as large, and 1 at most."""
        return Scores.of(np.minimum(SCALE * self.scorer.score(images, prompts).values, 1.0))


class Drawing:
    """A model that is like another one, but for its pictures, once that has begun."""

    def __init__(self, policy: Policy, drawn: Callable[[Pictures], Pictures]) -> None:
        self._policy, self._drawn = policy, drawn
        self.begun = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)

    def decode(self, latents: Any) -> Pictures:
        """The other's pictures, changed."""
        images = self._policy.decode(latents)
        return self._drawn(images) if self.begun else images


@dataclass
class Midway(Notes):
    """What is kept of a run whose model begins to draw otherwise after some updates."""

    drawing: Drawing | None = None
    after: int = 0

    def iteration(self, record: IterationRecord) -> None:
        """One more, and perhaps the last of the good ones."""
        super().iteration(record)
        if self.drawing:
            self.drawing.begun = len(self.updates) >= self.after

    @classmethod
    def staged(
        cls, policy: Policy, drawn: Callable[[Pictures], Pictures], after: int
    ) -> tuple[Policy, Notes]:
        """The model for the loop, and the notes that tell it when to begin."""
        drawing = Drawing(policy, drawn)
        return cast("Policy", drawing), cls("", "", drawing=drawing, after=after)


def captioned(images: Pictures) -> Pictures:
    """With words painted into each."""
    return np.stack([PROBES["text"](image, "a red circle") for image in images])


def tiled(images: Pictures) -> Pictures:
    """The upper left quarter of each, four times."""
    height, width = images.shape[1] // 2, images.shape[2] // 2
    return np.tile(images[:, :height, :width], (1, 2, 2, 1))


def fails(share: float) -> Callable[[Scorer], Scorer]:
    """A reward that raises on so many of its judgements."""
    return lambda scorer: Failing(scorer, by_chance(share), seed=0)


STAGED: Final = (
    Staged("conflict", "vivid against muted colours", (VIVID, MUTED), updates=10),
    Staged("bound", "a judge with a short scale", instead={"verifier": Short}),
    Staged(
        "clipped",
        "eight updates a rollout at a high rate",
        changes={"optim": {"updates_per_rollout": 8}},
    ),
    Staged(
        "missing",
        "a trained judge fails on a fifth",
        changes={"compose": {"missing": 1.0}},
        instead={"verifier": fails(0.2)},
    ),
    Staged(
        "missing", "a watched judge fails on half", watch=(JUDGE,), instead={"judge": fails(0.5)}
    ),
    Staged("text", "a model that begins to write", drawn=captioned),
    Staged("grid", "a model that begins to tile", drawn=tiled),
)
