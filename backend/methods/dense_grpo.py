"""DenseGRPO: each step is paid what it gained, measured by finishing every latent without noise.

From every latent of a noisy trajectory an ODE runs to a clean picture, which is scored; a step's
reward is the difference it made. Gains of one step are compared over the group. The noise of each
step, ψ, is calibrated before training so that both signs of gain occur (`backend.rl.psi`).
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from backend.rl.credit import Credit
from backend.rl.kernels import NoiseSettings
from backend.rl.objectives import RatioSettings, clipped_ratio
from backend.rl.tree import RootSettings, TreePlan, chains

TITLE = "DenseGRPO"
SOURCE = "DenseGRPO, 2026, arXiv 2601.20218"
SUMMARY = "A reward for every step: credit goes to the steps that made the difference."
AVOID = "When decoding or scoring is dear: ten times the pictures of Flow-GRPO."


class Config(RootSettings, NoiseSettings, RatioSettings):
    """Defaults are the paper's; its ψ is found by calibration, "flow-sde" serves until then."""

    group_size: int = Field(24, json_schema_extra={"unit": "pictures"})
    """Trajectories of each prompt; their gains are compared step by step."""


def plan(config: Config, num_steps: int, step: int, tree: int) -> TreePlan:
    """Chains whose every latent is finished by ODE as well."""
    kernel, num = config.noise(), config.group_size
    all_noisy = range(num_steps - 1)
    return chains(kernel, num, all_noisy, same_noise=config.same_noise, complete=True)


def credit(config: Any) -> Credit:
    """The gains of one step, over all trajectories of the prompt."""
    return Credit(key="step", value="gain")


objective = clipped_ratio
