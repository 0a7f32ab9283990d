"""A window of noisy steps that moves through the schedule as training goes on (MixGRPO).

    frozen        stays where it starts
    progressive   moves on by one step every `dwell` updates, from noise to data, and begins again
    decaying      the same, but stays ⌈dwell·exp(−.1·max(start − 13, 0))⌉ updates at each place
    random        begins anywhere between the first and the last place, for each update

Source: MixGRPO, arXiv 2507.21802, §3.2; Flow-GRPO-Fast draws its start at random.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from backend.config import Config
from backend.errors import ConfigError
from backend.rl.randomness import seed_of

Move = Literal["frozen", "progressive", "decaying", "random"]


class WindowSettings(Config):
    """Settings of every method that explores in a window."""

    width: int = Field(4, ge=1, json_schema_extra={"unit": "steps"})
    """Steps of the window."""
    first: int = Field(0, ge=0, title="Starts at")
    """Where the window starts, counted from 0 (pure noise)."""
    last: int | None = Field(None, ge=0, title="Last start")
    """The last place it starts from; empty goes on as long as it fits before the last step."""
    move: Move = "progressive"
    """How it moves: not at all, step by step, ever faster, or at random."""
    dwell: int = Field(25, ge=1, json_schema_extra={"unit": "updates"})
    """Updates for which a moving window stays at one place."""

    def steps(self, num_steps: int, step: int, *parts: int | str) -> range:
        """The window in update `step`; `parts` tell apart windows that are drawn at random."""
        most = num_steps - 1 - self.width
        last = most if self.last is None else min(self.last, most)
        if last < self.first:
            raise ConfigError(
                f"A window of {self.width} steps from step {self.first} does not fit: with "
                f"{num_steps} steps the last place it can start from is {most}; make it narrower "
                "or take more steps.",
                field="width",
            )
        start = self._start(step, last - self.first + 1, parts)
        return range(start, start + self.width)

    def _start(self, step: int, places: int, parts: tuple[int | str, ...]) -> int:
        if self.move == "frozen":
            return self.first
        if self.move == "random":
            return self.first + seed_of("window", step, *parts) % places
        stays = [self._stay(self.first + place) for place in range(places)]
        left = step % sum(stays)
        for place, stay in enumerate(stays):
            if left < stay:
                return self.first + place
            left -= stay
        return self.first

    def _stay(self, start: int) -> int:
        if self.move == "progressive":
            return self.dwell
        return math.ceil(self.dwell * math.exp(-0.1 * max(start - 13, 0)))
