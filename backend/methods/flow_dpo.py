"""Flow-DPO: straight from pairs, without a reward model.

From stored pairs (`source` "labels") it trains on what people preferred, and samples nothing. From
rewards ("rollouts") the best picture of a group is the winner and the worst the loser. Winner and
loser are made noisy by the same noise; a constant β is used, for the derived β(1−t)² is cheated.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backend.rl.credit import by_prompt
from backend.rl.forward import QUIET, Forward, ForwardSettings, Times, dpo, extremes
from backend.rl.tree import TreePlan

TITLE = "Flow-DPO"
SOURCE = "Liu et al. 2025, arXiv 2501.13918; Wallace et al. 2023, arXiv 2311.12908"
SUMMARY = "Train on people's pairs as they are: no reward model, no sampling."
AVOID = "When the pairs are old: it learns about pictures that the policy no longer draws."


class Config(ForwardSettings):
    """β is Flow-GRPO's comparison's (100, on the mean over D), as are the noise levels."""

    source: Literal["labels", "rollouts"] = Field("labels", title="Pairs from")
    """Pairs that were judged and stored, or the best and worst of each group drawn now."""
    beta: float = Field(100.0, gt=0)
    """Sharpness: how much a difference in loss counts."""
    draw: Times = Field("logit-normal", title="Noise levels from")
    """Where the noise levels come from: the sampling schedule, evenly, or mostly the middle."""
    refresh: int = Field(0, ge=0, json_schema_extra={"unit": "updates"})
    """Renew the reference from the policy every so often; 0 keeps the base model (40: online)."""


def plan(config: Config, num_steps: int, step: int, tree: int) -> TreePlan:
    """A stored pair, or plain samples."""
    return TreePlan(QUIET, given=2) if config.source == "labels" else config.samples()


credit = by_prompt


def objective(config: Config) -> Forward:
    """The DPO loss on winner and loser."""
    renewed = bool(config.refresh)
    reference = "anchor" if renewed else "reference"
    return config.forward(
        dpo(config.beta, reference),
        pick=extremes,
        shared=True,
        needs=(reference,),
        copies=lambda step: {"anchor": float((step + 1) % config.refresh > 0)} if renewed else {},
    )
