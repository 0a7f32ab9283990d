"""DiffusionNFT: no ratio and no noise in sampling; learn from what rose and from what fell.

Pictures are drawn by the old policy, made noisy again, and the velocity is moved so that a blend
towards it explains good pictures and a blend away from it explains bad ones. The old policy follows
with a lag that grows. Any solver may sample; guidance is 1.
"""

from __future__ import annotations

from pydantic import Field

from backend.rl.credit import by_prompt
from backend.rl.forward import Forward, ForwardSettings, nft, plain_samples
from backend.rl.kernels import Solver

TITLE = "DiffusionNFT"
SOURCE = "Zheng et al. 2025, arXiv 2509.16117"
SUMMARY = "Learn from samples of any solver, good and bad ones, without a policy ratio."
AVOID = "With a reward that is easily cheated: it is fast both ways; watch gold, or pull harder."


class Config(ForwardSettings):
    """Defaults are the paper's for GenEval and PickScore at T = 10."""

    times: int = Field(
        9, ge=1, title="Noise levels a picture", json_schema_extra={"unit": "noise levels"}
    )
    """Noise levels at which each picture is trained on; each costs a forward and backward."""
    solver: Solver = "dpm2"
    """How pictures are drawn: by Euler, or by the second-order DPM-Solver++."""
    beta: float = Field(1.0, gt=0)
    """How far the two blends reach from the old policy; .1 for OCR and mixed rewards."""
    kl: float = Field(1e-4, ge=0)
    """Pull of the velocity towards the base model; it costs one more evaluation a point."""
    lag_rate: float = Field(0.001, ge=0)
    """The old policy keeps this share more of itself with each update."""
    lag_most: float = Field(0.5, ge=0, le=1)
    """The most that it keeps; 0 makes it the current policy."""
    lag_from: int = Field(0, ge=0, json_schema_extra={"unit": "updates"})
    """Updates before the lag begins."""


plan = plain_samples
credit = by_prompt


def objective(config: Config) -> Forward:
    """The two-sided loss around the lagging policy, which also draws the samples."""

    def lag(step: int) -> dict[str, float]:
        grown = config.lag_rate * max(step - config.lag_from, 0)
        return {"old": min(grown, config.lag_most)}

    return config.forward(nft(config.beta), needs=("old",), behaviour="old", copies=lag)
