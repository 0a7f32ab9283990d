"""What a judge on a server will be asked in a run, and what that costs, before it is asked.

Calls follow from the run's shape. Tokens of a call are those that this very judge took so far,
where it was asked before; else what such a question takes as a rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from backend import registry
from backend.rewards import _version, win_rate
from backend.rewards._judge_server import Server
from backend.rewards.interface import Ints

TEXT_TOKENS: Final = 220
"""Read of a question's own words and the prompt."""
PICTURE_TOKENS: Final = 330
"""Read of a picture of 512 by 512 with patches of 28, as Qwen's family takes it."""
WRITTEN: Final = {"yes": 1, "choice": 12, "criterion": 12, "checklist": 40, "scores": 40}
"""Tokens of an answer by what is asked; others reason first."""
REASONED: Final = 180


@dataclass(frozen=True, slots=True)
class Asked:
    """The judge on a server behind a reward, and how its questions are made up."""

    kind: str
    config: Server
    version: str
    pictures: int
    """Shown in one question."""

    def tokens(self) -> tuple[int, int]:
        """Read and written by one call, as a rule."""
        ask = str(self.config.plain().get("ask", ""))
        wrote = min(WRITTEN.get(ask, REASONED), self.config.max_tokens)
        return TEXT_TOKENS + PICTURE_TOKENS * self.pictures, wrote

    def money(self, read: float, wrote: float) -> float:
        """Of so many tokens, in whatever currency the prices are."""
        return (read * self.config.price_in + wrote * self.config.price_out) / 1e6


def asked(kind: str, config: dict[str, Any]) -> Asked | None:
    """The judge on a server that a reward asks, itself or through a win rate; None where nobody is
    paid. Raises ConfigError on settings that cannot be read."""
    module = registry.rewards.get(kind)
    settings = module.Config.read(config)
    if "judge_config" in module.Config.model_fields:
        return asked(settings.judge, settings.judge_config)
    if not isinstance(settings, Server):
        return None
    plain = settings.plain()
    pairwise = getattr(module, "SHAPE", "pointwise") == "pairwise"
    shown = 2 if pairwise or plain.get("references") else 1
    shown += bool(plain.get("mask"))
    return Asked(kind, settings, _version.version(kind, settings), shown)


def calls(kind: str, config: dict[str, Any], group_sizes: Ints) -> int:
    """Calls of a judge on a server that scoring groups of these sizes makes, votes and both ways
    round counted, closer looks not."""
    judge = asked(kind, config)
    if judge is None:
        return 0
    module = registry.rewards.get(kind)
    settings = module.Config.read(config)
    if isinstance(settings, win_rate.Config):
        inner = registry.rewards.get(settings.judge)
        bouts = win_rate.judge_calls(settings, group_sizes)
        if getattr(inner, "SHAPE", "pointwise") == "pairwise":
            return bouts * judge.config.votes
        return int(inner.judge_calls(judge.config, np.array([bouts])))
    return int(module.judge_calls(settings, group_sizes)) if hasattr(module, "judge_calls") else 0
