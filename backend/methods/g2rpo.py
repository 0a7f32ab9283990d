"""G²RPO: fork an ODE trunk at single steps and finish every child at several granularities.

For each prompt one ODE trunk is integrated. At a step k of it, G children leave by one step of
noise and are finished by ODE once with each stride λ ∈ Λ. Children are compared with their
siblings of the same (k, λ), and the advantages of the strides are added. All G ratios share the
parent's velocity, so an update costs one forward/backward for each fork.

The paper forks each prompt at every k of {0 … 7} with Λ = {1, 2, 3}. At equal cost, many prompts
with few forks each learn faster, so `forks_per_prompt` takes some of `fork_steps` and rotates
through them over prompts and updates; 0 takes all of them, as published. The trunk ends at its last
fork; the published code finishes it too, for a picture to log.
"""

from __future__ import annotations

from pydantic import Field

from backend.rl.credit import by_fork
from backend.rl.kernels import NoiseSettings
from backend.rl.objectives import RatioSettings, clipped_ratio
from backend.rl.tree import TreePlan, rotated

TITLE = "G²RPO"
SOURCE = "Zhou et al. 2025, arXiv 2510.01982"
SUMMARY = "Fork a noiseless trunk at single steps; judge each by what followed from it alone."
AVOID = "When pictures or rewards are dear: each fork decodes and scores a group for every stride."


class Config(NoiseSettings, RatioSettings):
    """Defaults are the paper's, except strides (its script's) and the clip (1e-4 at D = 65,536)."""

    fork_steps: list[int] = Field(default_factory=lambda: list(range(8)), min_length=1)
    """Steps of the trunk that may fork, counted from 0 (pure noise)."""
    forks_per_prompt: int = Field(0, ge=0)
    """How many of them each prompt uses in one update, in rotation; 0 uses all."""
    group_size: int = Field(12, json_schema_extra={"unit": "children"})
    """Children of each fork; they are compared with each other."""
    strides: list[int] = Field(default_factory=lambda: [1, 2], min_length=1)
    """Granularities: each child is finished once with each, taking every λ-th sigma."""


def plan(config: Config, num_steps: int, step: int, tree: int) -> TreePlan:
    """A trunk that forks at this prompt's turn of the fork steps."""
    return TreePlan(
        kernel=config.noise(),
        forks=dict.fromkeys(
            rotated(config.fork_steps, config.forks_per_prompt, step + tree), config.group_size
        ),
        trunk=True,
        strides=tuple(config.strides),
    )


credit = by_fork
objective = clipped_ratio
