"""MixGRPO: noise inside a window that slides from noise to data; noiseless before and after.

The group shares its noise, so everything before the window is integrated once, and the window's
first step needs one forward/backward for all children. "Flash" finishes with the second-order
solver and a coarser schedule, only after the window: hurrying before it would amplify errors.
"""

from __future__ import annotations

from pydantic import Field

from backend.rl.credit import by_prompt
from backend.rl.kernels import NoiseSettings, Solver
from backend.rl.objectives import RatioSettings, clipped_ratio
from backend.rl.tree import TreePlan, chains
from backend.rl.window import WindowSettings

TITLE = "MixGRPO"
SOURCE = "Li et al. 2025, arXiv 2507.21802"
SUMMARY = "Explore in a sliding window: most of Flow-GRPO's gain for half of its time."
AVOID = "When the run is too short for the window to pass; then freeze it at the start."


class Config(NoiseSettings, RatioSettings, WindowSettings):
    """Defaults are the paper's; Flash is solver "dpm2" with tail_stride 2 (its compression .4)."""

    group_size: int = Field(12, json_schema_extra={"unit": "pictures"})
    """Paths of each prompt; they are compared with each other."""
    solver: Solver = "euler"
    """How paths are finished after the window: by Euler, or by DPM-Solver++ (Flash)."""
    tail_stride: int = Field(1, ge=1)
    """After the window every so many-th sigma is taken, as far as there are so many."""


def plan(config: Config, num_steps: int, step: int, tree: int) -> TreePlan:
    """A shared prefix, a fork at the window's first step, noise inside it, a tail."""
    steps = config.steps(num_steps, step)
    return chains(
        config.noise(),
        config.group_size,
        steps,
        same_noise=True,
        solver=config.solver,
        strides=(min(config.tail_stride, num_steps - steps.stop),),
    )


credit = by_prompt
objective = clipped_ratio
