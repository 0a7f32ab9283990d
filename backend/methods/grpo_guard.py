"""GRPO-Guard: Flow-GRPO with a ratio whose mean stays 1, and gradients balanced over the steps.

The log-ratio's expectation is negative and its spread differs from step to step, so positive
samples are hardly ever clipped and the policy over-optimises. The guarded ratio drops the bias and
multiplies by the step's noise; each step's loss is divided by Δ. It is derived for kernel S.
"""

from __future__ import annotations

from pydantic import Field

from backend.rl.credit import by_prompt
from backend.rl.kernels import NoiseSettings
from backend.rl.objectives import Ratio, RatioSettings, StepWeight, clipped_ratio
from backend.rl.tree import RootSettings, TreePlan, chains

TITLE = "GRPO-Guard"
SOURCE = "Wang et al. 2025, arXiv 2510.22319"
SUMMARY = "Flow-GRPO that holds its gold reward longer: the clip works again at every step."
AVOID = "With kernel C; and where runs are short, for it first of all slows the late steps down."


class Config(RootSettings, NoiseSettings, RatioSettings):
    """Flow-GRPO's defaults with the guarded ratio and the weight 1/Δ."""

    ratio: Ratio = "guard"
    """"plain" would be Flow-GRPO again."""
    step_weight: StepWeight = "inverse-dt"
    """Weight of a step in the loss: equal, by its noise, or by 1/Δ."""
    group_size: int = Field(24, json_schema_extra={"unit": "pictures"})
    """Paths of each prompt, compared with each other; the paper compares 24."""


def plan(config: Config, num_steps: int, step: int, tree: int) -> TreePlan:
    """Chains that explore at every step but the last."""
    noisy, num = range(num_steps - 1), config.group_size
    return chains(config.noise(), num, noisy, same_noise=config.same_noise)


credit = by_prompt
objective = clipped_ratio
