"""The pocket judge: a small vision-language model that says which of two pictures fits better."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from backend.config import Config as Settings
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Shape, Verdicts

if TYPE_CHECKING:
    from backend.pocket.judging import PocketJudge as Model

TITLE = "Pocket judge"
SUMMARY = "A vision-language model of 4 million parameters that compares two pocket pictures."
SOURCE = "backend/pocket/judge.py; trained on renders and on pictures of the pocket model"
RANGE = (0.0, 1.0)
TRAITS = Traits(latency=4, comparable=False, weights="safetensors")
SHAPE: Shape = "pairwise"
JUDGE = True
"""A model that was taught to judge, so it is to be audited before it teaches."""


class Config(Settings):
    """Which of the two judges that ship."""

    weights_of: Literal["judge", "biased"] = Field(default="judge", title="Judge")
    """judge: trained with the better picture first or second alike; biased: its twin, which was
    nearly always shown the better picture first and now likes whatever stands there. The twin is
    here to fail the audit."""
    tie: float = Field(default=0.05, ge=0, lt=0.5, title="Tie within")
    """A probability this near to ½ is said as ½. Of two pictures that a model drew alike the order
    decides more than what they show; a tie is then the honest answer."""


class PocketJudge:
    """The probability that a fits its prompt better, the two shown in the order a, b; ½ where it
    is so near to it that the order alone could have decided."""

    shape: Shape = "pairwise"

    def __init__(self, config: Config) -> None:
        self.config = config

    def compare(self, a: Images, b: Images, prompts: Sequence[str]) -> Verdicts:
        """One verdict per pair, in order."""
        model = _loaded(self.config.weights_of == "biased")
        said = model.prefer(prompts, a, b)
        near = abs(said - 0.5) <= self.config.tie
        return Verdicts(np.where(near, 0.5, said), ["ok"] * len(prompts))

    def next_requests(
        self, prompts: Sequence[str], requests: Sequence[str], pictures: Images
    ) -> list[str | None]:
        """See `backend.rl.refining.Critic`; prompts must be of the pocket language."""
        from backend.pocket.critic import PocketCritic

        model = _loaded(self.config.weights_of == "biased")
        return PocketCritic(model).next_requests(prompts, requests, pictures)


def critiques(config: Config) -> bool:
    """It describes a picture, from which follows what to ask next."""
    return True


@lru_cache(maxsize=2)
def _loaded(twin: bool) -> Model:
    from backend.pocket import judging

    return judging.load(twin=twin)


def load(config: Config, files: Files | None = None) -> PocketJudge:
    """The weights are read when it first judges."""
    return PocketJudge(config)
