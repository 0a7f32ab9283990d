"""Best-of-N fine-tuning: draw N pictures a prompt, and imitate the best one.

Supervised fine-tuning on a filter. It cannot be better than the best of N that the policy draws by
itself, which is just what makes it a useful floor for the other methods.
"""

from __future__ import annotations

from typing import Any

from backend.rl.credit import Credit
from backend.rl.forward import Forward, ForwardSettings, best, weigh
from backend.rl.tree import TreePlan

TITLE = "Best-of-N fine-tuning"
SOURCE = "The SFT baseline of Flow-GRPO, arXiv 2505.05470"
SUMMARY = "Imitate the best of N samples: hard to break, and soon at its ceiling."
AVOID = "When the base hardly ever draws what is wanted: nothing good, nothing to imitate."


class Config(ForwardSettings):
    """N is the group size."""


def plan(config: Config, num_steps: int, step: int, tree: int) -> TreePlan:
    """Plain samples."""
    return config.samples()


def credit(config: Any) -> Credit:
    """All pictures of a prompt."""
    return Credit(key="tree")


def objective(config: Config) -> Forward:
    """Flow matching on the best picture of each prompt."""
    return Forward(
        weigh(None),
        pick=best,
        times=config.times,
        draw=config.draw,
        leashes=config.leashes(),
    )
