"""Flow-GRPO: whole noisy trajectories, compared with the others of their prompt.

G chains grow from their own noise; every step but the last explores with the score SDE; each
chain's advantage is given to all of its steps, and the ratio of every step is clipped. Nothing is
shared, so an update costs as many forward/backward passes as the sampling had steps.
"""

from __future__ import annotations

from pydantic import Field

from backend.rl.credit import by_prompt
from backend.rl.kernels import NoiseSettings
from backend.rl.objectives import RatioSettings, clipped_ratio
from backend.rl.tree import RootSettings, TreePlan, chains

TITLE = "Flow-GRPO"
SOURCE = "Liu et al. 2025, arXiv 2505.05470"
SUMMARY = "Explore at every step of whole trajectories; simple, and the yardstick for the others."
AVOID = "When time is short: three quarters of it go into the update, and nothing is shared."


class Config(RootSettings, NoiseSettings, RatioSettings):
    """Defaults are the paper's, the clip its 1e-4 at D = 65,536; its KL weight was .01 to .04."""

    group_size: int = Field(24, json_schema_extra={"unit": "pictures"})
    """Trajectories of each prompt; they are compared with each other."""


def plan(config: Config, num_steps: int, step: int, tree: int) -> TreePlan:
    """Chains that explore at every step but the last, which is too short to carry noise."""
    steps = range(num_steps - 1)
    return chains(config.noise(), config.group_size, steps, same_noise=config.same_noise)


credit = by_prompt
objective = clipped_ratio
