"""One fork: a single noisy step on an ODE trunk a prompt, and as many prompts as one can pay.

The cheapest complete on-policy step there is: everything before the fork is integrated once, all
children share one forward/backward, and each has an advantage of its own for one decision. Forks
rotate over the first third of the steps, where the picture is decided; steps are weighted by their
noise. A proposal of this project, not a published method.
"""

from __future__ import annotations

from pydantic import Field

from backend.rl.credit import by_fork
from backend.rl.kernels import NoiseSettings
from backend.rl.objectives import RatioSettings, StepWeight, clipped_ratio
from backend.rl.tree import TreePlan, rotated

TITLE = "One fork"
SOURCE = "Palate; the tree is G²RPO's (arXiv 2510.01982), the weights TempFlow-GRPO's (2508.04324)"
SUMMARY = "One decision a prompt, many prompts: the most learning for each network evaluation."
AVOID = "When there are few prompts: each gives one gradient an update."


class Config(NoiseSettings, RatioSettings):
    """For T = 10 to 12 sampling steps; an empty list of fork steps takes the first third."""

    fork_steps: list[int] = Field(default_factory=list)
    """Steps that fork in turn, one a prompt and update; empty takes the first third."""
    group_size: int = Field(12, json_schema_extra={"unit": "children"})
    """Children of the fork; they are compared with each other."""
    step_weight: StepWeight = "noise"
    """Weight of a step in the loss: equal, by its noise, or by 1/Δ."""


def plan(config: Config, num_steps: int, step: int, tree: int) -> TreePlan:
    """A trunk that ends in one fork."""
    choices = config.fork_steps or range(max(num_steps // 3, 1))
    fork = dict.fromkeys(rotated(choices, 1, step + tree), config.group_size)
    return TreePlan(kernel=config.noise(), forks=fork, trunk=True)


credit = by_fork
objective = clipped_ratio
