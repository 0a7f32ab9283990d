"""TempFlow-GRPO: fork each of several ODE trunks at every step, and weigh steps by their noise.

The children of one fork differ by one step alone, so what they earn belongs to that step. Low-noise
steps have the largest gradient and decide the least; weights std/mean turn that round. All children
of a fork share its velocity: 36 evaluations with gradient instead of the published 216.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backend.rl.credit import Credit
from backend.rl.kernels import NoiseSettings
from backend.rl.objectives import RatioSettings, StepWeight, clipped_ratio
from backend.rl.tree import TreePlan, rotated

TITLE = "TempFlow-GRPO"
SOURCE = "He et al. 2025, arXiv 2508.04324"
SUMMARY = "A fork at every step of several trunks: precise credit for when a picture was decided."
AVOID = "When sampling is dear: most of it goes to late steps, whose forks hardly differ."


class Config(NoiseSettings, RatioSettings):
    """Defaults are the paper's, whose leash on the mean is .04."""

    seeds: int = Field(4, ge=1, json_schema_extra={"unit": "trunks"})
    """Initial noises of each prompt; a trunk grows from each."""
    group_size: int = Field(6, json_schema_extra={"unit": "children"})
    """Children of each fork."""
    last_fork: int | None = Field(None, ge=0)
    """The last step that forks; empty forks all but the schedule's last."""
    forks_per_prompt: int = Field(0, ge=0)
    """How many of the steps each prompt forks in one update, in rotation; 0 forks all."""
    compare: Literal["seed", "prompt"] = "seed"
    """Children are compared within their trunk, or with those of all trunks at the same step."""
    step_weight: StepWeight = "noise"
    """Weight of a step in the loss: equal, by its noise, or by 1/Δ."""


def plan(config: Config, num_steps: int, step: int, tree: int) -> TreePlan:
    """Trunks that fork at every step, or at this prompt's turn of them."""
    last = num_steps - 2 if config.last_fork is None else config.last_fork
    steps = rotated(range(last + 1), config.forks_per_prompt, step + tree)
    forks = dict.fromkeys(steps, config.group_size)
    return TreePlan(kernel=config.noise(), roots=config.seeds, forks=forks, trunk=True)


def credit(config: Config) -> Credit:
    """Siblings of one fork, or all children of a step."""
    if config.compare == "seed":
        return Credit(key="fork")
    return Credit(key="step", value="mean")


objective = clipped_ratio
