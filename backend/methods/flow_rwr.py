"""Flow-RWR: flow matching on one's own samples, good ones weighing exponentially more.

The oldest and plainest way to learn from a reward. Bad samples teach little, and nothing pushes
away from them; the comparison in Flow-GRPO's paper saw no gain from it.
"""

from __future__ import annotations

from pydantic import Field

from backend.rl.credit import by_prompt
from backend.rl.forward import Forward, ForwardSettings, exponential, match, plain_samples

TITLE = "Flow-RWR"
SOURCE = "Liu et al. 2025, arXiv 2501.13918"
SUMMARY = "Imitate good samples more than bad ones; the plain baseline of the forward losses."
AVOID = "When there is time for anything else: it learns slowest and forgets variety."


class Config(ForwardSettings):
    """The temperature is our choice; the paper weighs by exp(r)."""

    temperature: float = Field(1.0, gt=0)
    """How many advantages weigh e times as much; smaller is greedier."""
    centred: bool = False
    """Take the mean weight off (our choice, not the paper's): what all samples have in common, the
    error of few denoising steps, is then not learned."""


plan = plain_samples
credit = by_prompt


def objective(config: Config) -> Forward:
    """Flow matching weighted by exp(A/τ)."""
    return config.forward(match, share=exponential(config.temperature, config.centred))
