"""What the simulated annotators like, without noise: the truth that their labels are drawn from.

Never train on it when the point is to learn from labels; watch it, to see whether a learned reward
still means what the labels meant.
"""

from __future__ import annotations

from collections.abc import Sequence

from backend.config import Config as Settings
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Scores, Shape

TITLE = "Simulated taste"
SUMMARY = "The written utility of the simulated annotators: alignment, saturation and centring."
SOURCE = "backend/preferences/simulated.py"
RANGE = (0.0, 41.0)
TRAITS = Traits()


class Config(Settings):
    """Nothing to set."""


class SimulatedTaste:
    """The average annotator's utility as the value, its three terms as parts."""

    shape: Shape = "pointwise"

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """One value per picture, in units of choice noise."""
        from backend.preferences import simulated

        return simulated.scores(images, prompts)


def load(config: Config, files: Files | None = None) -> SimulatedTaste:
    """Nothing to load."""
    return SimulatedTaste()
