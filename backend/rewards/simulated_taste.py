"""What the simulated annotators like, without noise: the truth that their labels are drawn from.

Never train on it when the point is to learn from labels; watch it, to see whether a learned reward
still means what the labels meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from backend.config import Config as Settings
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Scores, Shape

TITLE = "Simulated taste"
SUMMARY = "The written utility of the simulated annotators: alignment, saturation and centring."
SOURCE = "backend/preferences/simulated.py"
RANGE = (0.0, 148.0)
"""Of the second taste; the first ends at 41."""
TRAITS = Traits()


class Config(Settings):
    """Whose taste."""

    taste: Literal["first", "second", "both"] = Field(default="first", title="Taste")
    """first: mostly, is the prompt met; second: half of that, much saturation and centring; both:
    the mean of the two, where annotators of both tastes answer."""


class SimulatedTaste:
    """The average annotator's utility as the value, its three terms as parts."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config) -> None:
        self.config = config

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """One value per picture, in units of choice noise."""
        from backend.preferences import simulated

        taste = self.config.taste
        tastes: Sequence[simulated.Taste] = ("first", "second") if taste == "both" else (taste,)
        return simulated.scores(images, prompts, tastes)


def load(config: Config, files: Files | None = None) -> SimulatedTaste:
    """Nothing to load."""
    return SimulatedTaste(config)
