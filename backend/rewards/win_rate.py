"""Win rate among siblings under a judge: how often a picture beats the others of its group.

    w_i = mean over siblings j ≠ i of p(i preferred to j)

With a pairwise judge p is its verdict, each pair shown once in random order. With a pointwise
reward as the judge p = σ((r_i − r_j) / temperature), so that a reward's size stops mattering and
only who beats whom inside the group does. The values compare inside the group only: compose them
with `relative`, never divide them by their spread again.

Source: Pref-GRPO (arXiv 2508.20751). Departure: the order of each pair is drawn at random, since a
judge that always prefers the first picture would otherwise reward by index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field

from backend import registry
from backend.config import Config as Settings
from backend.errors import ConfigError
from backend.rewards.interface import (
    Files,
    Floats,
    Images,
    Ints,
    Scores,
    Shape,
    by_prompt,
    checked,
)

TITLE = "Win rate"
SUMMARY = (
    "How often a picture beats its siblings under a judge; only the order counts, not the size."
)
SOURCE = "Wang et al. 2025, Pref-GRPO (arXiv 2508.20751)"
RANGE = (0.0, 1.0)


class Config(Settings):
    """Who judges, and how sharply."""

    judge: str = Field(default="pocket-verifier", title="Judge")
    """Another reward, pairwise or pointwise, that says which of two siblings is better."""
    judge_config: dict[str, Any] = Field(default_factory=dict, title="Judge's settings")
    """Settings of the judge."""
    temperature: float = Field(default=0.25, gt=0, title="Temperature")
    """For a pointwise judge: the difference that wins 73 times in 100, in the judge's unit."""
    seed: int = Field(default=0, title="Seed")
    """Decides which of a pair a pairwise judge sees first."""


class WinRate:
    """Groupwise; a sample without a single verdict has no value."""

    shape: Shape = "groupwise"

    def __init__(self, config: Config, judge: Any) -> None:
        self.config, self.judge = config, judge

    def score(
        self, images: Images, prompts: Sequence[str], groups: Sequence[int] | Ints | None = None
    ) -> Scores:
        """One value per picture, 0 to 1; without `groups`, equal prompts are siblings."""
        group_B = by_prompt(prompts) if groups is None else np.asarray(groups, dtype=np.int64)
        first, second = _pairs(group_B)
        if self.judge.shape == "pairwise":
            beats = self._judged(images, prompts, first, second)
        else:
            value = self.judge.score(images, prompts).values
            beats = 1 / (1 + np.exp(-(value[first] - value[second]) / self.config.temperature))
        known = np.isfinite(beats)
        first, second, beats = first[known], second[known], beats[known]
        num = len(prompts)
        wins = np.bincount(first, beats, num) + np.bincount(second, 1 - beats, num)
        bouts = np.bincount(first, minlength=num) + np.bincount(second, minlength=num)
        rate = np.where(bouts > 0, wins / np.maximum(bouts, 1), np.nan)
        return Scores.of(rate, {"bouts": bouts}, why="no verdict on any pair of this sample")

    def _judged(self, images: Images, prompts: Sequence[str], first: Ints, second: Ints) -> Floats:
        """How likely `first` beats `second`, each pair shown in random order."""
        rng = np.random.default_rng([self.config.seed, len(first)])
        turned = rng.random(len(first)) < 0.5
        a, b = np.where(turned, second, first), np.where(turned, first, second)
        verdicts = self.judge.compare(images[a], images[b], [prompts[i] for i in a])
        prefer_a: Floats = verdicts.prefer_a
        return np.where(turned, 1 - prefer_a, prefer_a)


def load(config: Config, files: Files | None = None) -> WinRate:
    """Load the judge; a win rate cannot judge a win rate."""
    kind = registry.rewards.get(config.judge)
    if kind.__name__ == __name__:
        raise ConfigError("A win rate cannot be its own judge; choose another.", field="judge")
    judge = kind.load(kind.Config.read(config.judge_config), files)
    if judge.shape == "groupwise":
        raise ConfigError(
            f"'{config.judge}' already compares inside the group; a win rate needs a pairwise or "
            f"pointwise judge.",
            field="judge",
        )
    return WinRate(config, checked(judge, config.judge))


def _pairs(group_B: Ints) -> tuple[Ints, Ints]:
    """All pairs of siblings as two index arrays."""
    first: list[int] = []
    second: list[int] = []
    for group in np.unique(group_B):
        inside = np.flatnonzero(group_B == group)
        i, j = np.triu_indices(len(inside), 1)
        first += inside[i].tolist()
        second += inside[j].tolist()
    return np.array(first, dtype=np.int64), np.array(second, dtype=np.int64)
