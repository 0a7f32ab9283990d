"""Flow-GRPO: whole noisy trajectories, compared with the others of their prompt.

G chains grow from their own noise; every step but the last explores with the score SDE; each
chain's advantage is given to all of its steps, and the ratio of every step is clipped. Nothing is
shared, so an update costs as many forward/backward passes as the sampling had steps.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from backend.config import Config as Settings
from backend.rl.credit import Credit
from backend.rl.kernels import Kernel, KernelName
from backend.rl.objectives import ClippedRatio, StepWeight
from backend.rl.tree import TreePlan

TITLE = "Flow-GRPO"
SOURCE = "Liu et al. 2025, arXiv 2505.05470"
SUMMARY = "Explore at every step of whole trajectories; simple, and the yardstick for the others."


class Config(Settings):
    """Defaults are the paper's, the clip its 1e-4 at D = 65,536; its KL is on μ, ours on v."""

    group_size: int = Field(24, json_schema_extra={"unit": "pictures"})
    """Trajectories of each prompt; they are compared with each other."""
    same_noise: bool = False
    """All trajectories of a prompt begin from one noise (DanceGRPO, MixGRPO), not their own."""
    kernel: KernelName = "flow-sde"
    """How a step draws its noise."""
    eta: float = Field(0.7, ge=0)
    """Noise level of every step but the last."""
    clip_nats: float = Field(6.5, gt=0, json_schema_extra={"unit": "nats"})
    """The ratio's clip, on the joint log-probability of a step."""
    step_weight: StepWeight = "none"
    """Weight of a step in the loss: equal, by its noise, or by 1/Δ."""
    kl: float = Field(0.0, ge=0)
    """Pull of the velocity towards the base model."""


def plan(config: Config, num_steps: int, step: int, tree: int) -> TreePlan:
    """Chains that explore at every step but the last, which is too short to carry noise."""
    first = 1 if config.same_noise else 0
    return TreePlan(
        kernel=Kernel(config.kernel, config.eta),
        roots=1 if config.same_noise else config.group_size,
        forks={0: config.group_size} if config.same_noise else {},
        explore=frozenset(range(first, num_steps - 1)),
    )


def credit(config: Any) -> Credit:
    """All trajectories of a prompt."""
    return Credit(key="tree")


def objective(config: Config) -> ClippedRatio:
    """The clipped ratio on every explored step."""
    return ClippedRatio(config.clip_nats, config.step_weight, config.kl)
