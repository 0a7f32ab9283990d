"""BranchGRPO: trajectories that split in two at a few steps, so that beginnings are shared.

An edge is worth the mean of the leaves below it, and edges of one depth are compared. Pruning
trains on less: only the best or the extreme leaves' paths (width), or without a window of depths
that slides as training goes on (depth). Unlike the published code the noise of a split is not
enlarged, so that density and sample agree.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backend.rl.credit import Credit, Prune
from backend.rl.kernels import KernelName, NoiseSettings
from backend.rl.objectives import RatioSettings, clipped_ratio
from backend.rl.tree import TreePlan

TITLE = "BranchGRPO"
SOURCE = "Li et al. 2025, arXiv 2509.06040"
SUMMARY = "A binary tree of trajectories: sixteen pictures for the price of eleven."
AVOID = "When a group should be wide rather than deep: half of its pictures share their beginning."


class Config(NoiseSettings, RatioSettings):
    """Defaults are the paper's; its clip of 1e-3 is 65 nats at D = 65,536."""

    split_steps: list[int] = Field(default_factory=lambda: [0, 3, 6, 9], min_length=1)
    """Steps at which every path splits."""
    branches: int = Field(2, ge=2)
    """Children of a split."""
    kernel: KernelName = "const-sde"
    """How a step draws its noise."""
    eta: float = Field(0.3, ge=0)
    """Noise level of every step but the last."""
    clip_nats: float = Field(65.0, gt=0, json_schema_extra={"unit": "nats"})
    """The ratio's clip, on the joint log-probability of a step."""
    backup: Literal["mean", "softmax"] = "mean"
    """A node's value: the mean of its leaves, or weighted by the softmax of log-probabilities."""
    width_pruning: Prune = "none"
    """Train on the paths of all leaves, of the best, or of the best and the worst."""
    keep: float = Field(0.5, gt=0, le=1)
    """Share of the leaves that width pruning keeps."""
    depth_pruning: int = Field(0, ge=0, json_schema_extra={"unit": "steps"})
    """So many steps in a row are not trained on; 0 trains on all."""
    dwell: int = Field(30, ge=1, json_schema_extra={"unit": "updates"})
    """Updates after which the untrained window slides on by one step."""


def plan(config: Config, num_steps: int, step: int, tree: int) -> TreePlan:
    """A tree that splits at the given steps and explores at all but the last."""
    steps = frozenset(range(num_steps - 1))
    start = (step // config.dwell) % max(len(steps) - config.depth_pruning + 1, 1)
    left_out = frozenset(range(start, start + config.depth_pruning))
    forks = dict.fromkeys(sorted(set(config.split_steps)), config.branches)
    return TreePlan(config.noise(), explore=steps, forks=forks, trained=steps - left_out)


def credit(config: Config) -> Credit:
    """All edges of one depth, each worth its leaves."""
    return Credit(key="step", value=config.backup, prune=config.width_pruning, keep=config.keep)


objective = clipped_ratio
