"""Flow-GRPO-Fast: noise in a short window that starts at random; the rest is noiseless.

The window lies in the first half of the schedule and is drawn anew for each update; kernel C keeps
the picture clean; guidance is 1, so that training distils it away. In its first form all paths
share the noise and the prefix (`same_noise`), which is three times cheaper.
"""

from __future__ import annotations

from pydantic import Field

from backend.rl.credit import by_prompt
from backend.rl.kernels import KernelName, NoiseSettings
from backend.rl.objectives import RatioSettings, clipped_ratio
from backend.rl.tree import RootSettings, TreePlan, chains
from backend.rl.window import Move, WindowSettings

TITLE = "Flow-GRPO-Fast"
SOURCE = "Liu et al. 2025, arXiv 2505.05470 (repository, October 2025)"
SUMMARY = "Flow-GRPO on two or three steps of each path: a third of the update at the same gain."
AVOID = "With the guarded ratio: kernel C's ratio is scaled already and the two collapse together."


class Config(RootSettings, NoiseSettings, RatioSettings, WindowSettings):
    """Defaults are those of the repository; its clip of 1e-5 is .65 nats at D = 65,536."""

    group_size: int = Field(24, json_schema_extra={"unit": "pictures"})
    """Paths of each prompt; they are compared with each other."""
    kernel: KernelName = "cps"
    """How a step draws its noise."""
    eta: float = Field(0.8, ge=0)
    """Noise level of the window's steps."""
    clip_nats: float = Field(0.65, gt=0, json_schema_extra={"unit": "nats"})
    """The ratio's clip, on the joint log-probability of a step."""
    width: int = Field(3, ge=1, json_schema_extra={"unit": "steps"})
    """Steps of the window."""
    move: Move = "random"
    """How it moves: not at all, step by step, ever faster, or at random."""


def plan(config: Config, num_steps: int, step: int, tree: int) -> TreePlan:
    """Paths that explore in this update's window, which starts in the first half."""
    half = max(num_steps // 2 - 1, 0)
    early = config if config.last is not None else config.model_copy(update={"last": half})
    steps = early.steps(num_steps, step)
    return chains(config.noise(), config.group_size, steps, same_noise=config.same_noise)


credit = by_prompt
objective = clipped_ratio
