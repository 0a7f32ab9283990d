"""A reward learned from people's pairs: made by `learn.fit`, kept as safetensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from backend.config import Config as Settings
from backend.errors import ConfigError
from backend.rewards._traits import Traits
from backend.rewards.interface import Files

if TYPE_CHECKING:
    from backend.rewards.learn import LearnedReward

TITLE = "Learned from labels"
SUMMARY = "What people preferred, learned from their pairs; says how unsure it is of each sample."
SOURCE = "Bayesian Bradley–Terry with Rao–Kupper ties: backend/rewards/learn.py"
RANGE = (None, None)
TRAITS = Traits(latency=1, comparable=False, weights="safetensors")


class Config(Settings):
    """Which fit, and how careful."""

    weights: str = Field(default="", title="Weights")
    """Hash of the stored safetensors file; filled in when the reward is learned."""
    caution: float | None = Field(default=None, ge=0, le=5, title="Caution")
    """How many standard deviations of its value to take off: the less sure it is of a sample, the
    less it pays. Empty: as it was when the reward was learned."""


def load(config: Config, files: Files | None = None) -> LearnedReward:
    """The fitted reward; its encoder is loaded on the first score."""
    from dataclasses import replace

    from backend.rewards import learn

    if not config.weights or files is None:
        raise ConfigError(
            "A learned reward needs its weights; learn one from labels first.", field="weights"
        )
    reward = learn.load(files(config.weights))
    return reward if config.caution is None else replace(reward, caution=config.caution)
