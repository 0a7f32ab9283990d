"""Best-of-N fine-tuning: draw N pictures a prompt, and imitate the best one.

Supervised fine-tuning on a filter. It cannot be better than the best of N that the policy draws by
itself, which is just what makes it a useful floor for the other methods.
"""

from __future__ import annotations

from backend.rl.credit import by_prompt
from backend.rl.forward import (
    Forward,
    ForwardSettings,
    against_the_other,
    alike,
    best,
    best_and_middle,
    match,
    plain_samples,
)

TITLE = "Best-of-N fine-tuning"
SOURCE = "The SFT baseline of Flow-GRPO, arXiv 2505.05470"
SUMMARY = "Imitate the best of N samples: hard to break, and soon at its ceiling."
AVOID = "When the base hardly ever draws what is wanted: nothing good, nothing to imitate."


class Config(ForwardSettings):
    """N is the group size."""

    centred: bool = False
    """Take off what the middle picture teaches at the same noise (our choice): the error of few
    denoising steps, which all of a group have, is then not learned. Twice the points."""


plan = plain_samples
credit = by_prompt


def objective(config: Config) -> Forward:
    """Flow matching on the best picture of each prompt, alone or against the middle one."""
    if config.centred:
        return config.forward(against_the_other, pick=best_and_middle, shared=True)
    return config.forward(match, pick=best, share=alike)
