"""A reward that fails on purpose, for what is measured of runs whose rewards fail."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from backend.errors import RewardError
from backend.rewards.interface import Floats, Images, Scores, Shape
from backend.types import Scorer

Odds = Callable[[Images, Scores], Floats]
"""(pictures, what the sound reward says of them) → how likely each judgement is to fail, (B,)."""


class Failing:
    """A pointwise reward that raises on a share of what it is asked, again when asked again."""

    shape: Shape = "pointwise"

    def __init__(self, scorer: Scorer, odds: Odds, seed: int) -> None:
        self.scorer, self.odds, self.seed = scorer, odds, seed

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """The reward's own values; a RewardError where any of these judgements is to fail."""
        sound = self.scorer.score(images, prompts)
        drawn = [self._number(*one) for one in zip(images, prompts, strict=True)]
        failing = int((np.array(drawn) < self.odds(images, sound)).sum())
        if failing:
            raise RewardError(f"{failing} of {len(prompts)} judgements fail on purpose.")
        return sound

    def _number(self, image: Images, prompt: str) -> float:
        """In [0, 1), from the content of a judgement."""
        content = hashlib.sha256(f"{self.seed}\n{prompt}\n".encode())
        content.update(np.ascontiguousarray(image).tobytes())
        return int.from_bytes(content.digest()[:8]) / 2**64


def by_chance(share: float) -> Odds:
    """Every judgement alike."""
    return lambda images, _sound: np.full(len(images), share)
