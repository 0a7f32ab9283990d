"""Mean saturation: people like a little more of it, and a policy gives them far too much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from backend.config import Config as Settings
from backend.rewards import _statistics
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Scores, Shape

TITLE = "Saturation"
SUMMARY = "How far the colours are from grey. Easily hacked: glaring pictures win."
SOURCE = "max(R, G, B) − min(R, G, B), mean over the picture"
RANGE = (-1.0, 1.0)
TRAITS = Traits()
STATISTIC = True  # more is not better, so a fall while it is only watched is no warning


class Config(Settings):
    """Which way is up."""

    prefer: Literal["vivid", "muted"] = Field(default="vivid", title="Prefer")
    """Reward vivid pictures, or muted ones."""


class Saturation:
    """Mean saturation, 0 to 1; its negative when muted pictures are preferred."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config) -> None:
        self.sign = 1.0 if config.prefer == "vivid" else -1.0

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """One value per picture; the prompt plays no part."""
        return Scores.of(self.sign * _statistics.saturation(images))


def load(config: Config, files: Files | None = None) -> Saturation:
    """Nothing to load."""
    return Saturation(config)
