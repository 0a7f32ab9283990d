"""Pref-GRPO: the reward is how often a picture beats its siblings, not how many points it gets.

Pointwise rewards of near-equal pictures differ in the third decimal, and dividing by that spread
makes much of nothing; win rates are spread over [0, 1] by construction. The group shares its noise,
each path trains on 60 % of its steps, and the ratio is GRPO-Guard's. The judge and its budget are
settings of the reward "win-rate", which at least one trained reward of the run should be.
"""

from __future__ import annotations

from pydantic import Field

from backend.rl.credit import by_prompt
from backend.rl.kernels import NoiseSettings
from backend.rl.objectives import Ratio, RatioSettings, StepWeight, clipped_ratio
from backend.rl.tree import TreePlan, chains

TITLE = "Pref-GRPO"
SOURCE = "Wang et al. 2025, arXiv 2508.20751"
SUMMARY = "Reward by pairwise wins inside the group: slower to be cheated than points are."
AVOID = "When each comparison costs money: a group of G asks G(G−1)/2 of them, unless budgeted."


class Config(NoiseSettings, RatioSettings):
    """Defaults are those of the FLUX script."""

    group_size: int = Field(8, json_schema_extra={"unit": "pictures"})
    """Paths of each prompt; each is compared with the others."""
    train_share: float = Field(0.6, gt=0, le=1)
    """Share of the noisy steps that each path trains on, drawn at random."""
    ratio: Ratio = "guard"
    """"guard" removes the ratio's negative bias and its dependence on the step's noise."""
    step_weight: StepWeight = "inverse-dt"
    """Weight of a step in the loss: equal, by its noise, or by 1/Δ."""


def plan(config: Config, num_steps: int, step: int, tree: int) -> TreePlan:
    """Paths from one noise that explore at every step but the last."""
    share, steps = config.train_share, range(num_steps - 1)
    group = config.group_size
    return chains(config.noise(), group, steps, same_noise=True, train_share=share)


credit = by_prompt
objective = clipped_ratio
