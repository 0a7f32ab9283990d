"""DanceGRPO: one noise for the group, constant noise on all steps, a random share of them trained.

All paths of a prompt begin from one noise, so they differ by what the steps added. Each path trains
on its own random 60 % of the steps. The last step is noiseless, which is the clean estimate that
the original decodes.
"""

from __future__ import annotations

from pydantic import Field

from backend.rl.credit import by_prompt
from backend.rl.kernels import KernelName, NoiseSettings
from backend.rl.objectives import RatioSettings, clipped_ratio
from backend.rl.tree import TreePlan, chains

TITLE = "DanceGRPO"
SOURCE = "Xue et al. 2025, arXiv 2505.07818"
SUMMARY = "Shared noise and a random part of the steps: the robust choice for FLUX and for video."
AVOID = "With real guidance and more than one update a rollout; and where variety must be kept."


class Config(NoiseSettings, RatioSettings):
    """Defaults are those of the FLUX script; its schedule is evenly spaced, ours the model's."""

    group_size: int = Field(12, json_schema_extra={"unit": "pictures"})
    """Paths of each prompt; they are compared with each other."""
    train_share: float = Field(0.6, gt=0, le=1)
    """Share of the noisy steps that each path trains on, drawn at random."""
    kernel: KernelName = "const-sde"
    """How a step draws its noise."""
    eta: float = Field(0.3, ge=0)
    """Noise level of every step but the last."""


def plan(config: Config, num_steps: int, step: int, tree: int) -> TreePlan:
    """Paths from one noise; each trains on a share of its steps."""
    share = config.train_share
    every = range(num_steps - 1)
    return chains(config.noise(), config.group_size, every, same_noise=True, train_share=share)


credit = by_prompt
objective = clipped_ratio
