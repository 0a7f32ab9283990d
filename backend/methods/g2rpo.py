"""G²RPO: fork an ODE trunk at single steps and finish every child at several granularities.

For each prompt one ODE trunk is integrated. At a step k of it, G children leave by one step of
noise and are finished by ODE once with each stride λ ∈ Λ. Children are compared with their
siblings of the same (k, λ), and the advantages of the strides are added. All G ratios share the
parent's velocity, so an update costs one forward/backward for each fork.

The paper forks each prompt at every k of {0 … 7} with Λ = {1, 2, 3}. At equal cost, many prompts
with few forks each learn faster, so `forks_per_prompt` takes some of `fork_steps` and rotates
through them over prompts and updates; 0 takes all of them, as published.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from backend.config import Config as Settings
from backend.rl.credit import Credit
from backend.rl.kernels import Kernel, KernelName
from backend.rl.objectives import ClippedRatio, StepWeight
from backend.rl.tree import TreePlan

TITLE = "G²RPO"
SOURCE = "Zhou et al. 2025, arXiv 2510.01982"
SUMMARY = "Fork a noiseless trunk at single steps; judge each by what followed from it alone."


class Config(Settings):
    """Defaults are the paper's, except strides (its script's) and the clip (1e-4 at D = 65,536)."""

    fork_steps: list[int] = Field(default_factory=lambda: list(range(8)), min_length=1)
    """Steps of the trunk that may fork, counted from 0 (pure noise)."""
    forks_per_prompt: int = Field(0, ge=0)
    """How many of them each prompt uses in one update, in rotation; 0 uses all."""
    group_size: int = Field(12, json_schema_extra={"unit": "children"})
    """Children of each fork; they are compared with each other."""
    strides: list[int] = Field(default_factory=lambda: [1, 2], min_length=1)
    """Granularities: each child is finished once with each, taking every λ-th sigma."""
    kernel: KernelName = "flow-sde"
    """How a fork draws its noise."""
    eta: float = Field(0.7, ge=0)
    """Noise level of a fork."""
    clip_nats: float = Field(6.5, gt=0, json_schema_extra={"unit": "nats"})
    """The ratio's clip, on the joint log-probability of a step."""
    step_weight: StepWeight = "none"
    """Weight of a step in the loss: equal, by its noise, or by 1/Δ."""
    kl: float = Field(0.0, ge=0)
    """Pull of the velocity towards the base model."""


def plan(config: Config, num_steps: int, step: int, tree: int) -> TreePlan:
    """A trunk that forks at this prompt's turn of the fork steps."""
    steps = sorted(set(config.fork_steps))
    num = min(config.forks_per_prompt or len(steps), len(steps))
    start = (step + tree) * num
    chosen = [steps[(start + i) % len(steps)] for i in range(num)]
    return TreePlan(
        kernel=Kernel(config.kernel, config.eta),
        forks=dict.fromkeys(chosen, config.group_size),
        trunk=True,
        strides=tuple(config.strides),
    )


def credit(config: Any) -> Credit:
    """Siblings of one fork."""
    return Credit(key="fork")


def objective(config: Config) -> ClippedRatio:
    """The clipped ratio on the forked edges."""
    return ClippedRatio(config.clip_nats, config.step_weight, config.kl)
