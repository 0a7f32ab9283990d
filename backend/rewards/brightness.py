"""Mean brightness: the simplest reward there is, and the simplest to hack (a white picture)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from backend.config import Config as Settings
from backend.rewards import _statistics
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Scores, Shape

TITLE = "Brightness"
SUMMARY = "Mean luminance of the picture. Easily hacked: shows what optimising a proxy does."
SOURCE = "Rec. 709 luma weights"
RANGE = (-1.0, 1.0)
TRAITS = Traits()
STATISTIC = True  # more is not better, so a fall while it is only watched is no warning


class Config(Settings):
    """Which way is up."""

    prefer: Literal["bright", "dark"] = Field(default="bright", title="Prefer")
    """Reward bright pictures, or dark ones."""


class Brightness:
    """Mean luminance, 0 to 1; its negative when dark pictures are preferred."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config) -> None:
        self.sign = 1.0 if config.prefer == "bright" else -1.0

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """One value per picture; the prompt plays no part."""
        return Scores.of(self.sign * _statistics.luminance(images))


def load(config: Config, files: Files | None = None) -> Brightness:
    """Nothing to load."""
    return Brightness(config)
