"""AWM: flow matching on one's own samples, each weighted by its advantage.

Policy gradient on denoising steps amounts to matching noisy targets; matching the clean sample
instead has less variance. The loss of a sample at a noise level is its pseudo log-probability, and
the usual clipped ratio is put on it. A fast moving average of the policy holds it back.
"""

from __future__ import annotations

from pydantic import Field

from backend.rl.credit import by_prompt
from backend.rl.forward import Forward, ForwardSettings, awm, plain_samples
from backend.rl.objectives import Leash

TITLE = "AWM"
SOURCE = "Xue et al. 2025, arXiv 2509.25050"
SUMMARY = "Flow matching weighted by advantage: little variance, and any solver samples."
AVOID = "Without the pull to its fast average: it diverges within some tens of updates."


class Config(ForwardSettings):
    """Defaults are the paper's; it samples with SA-Solver, we by ODE."""

    times: int = Field(
        6, ge=1, title="Noise levels a picture", json_schema_extra={"unit": "noise levels"}
    )
    """Noise levels at which each picture is trained on; each costs a forward and backward."""
    power: float = Field(0.25, gt=0)
    """Exponent of the loss in the pseudo log-probability."""
    clip: float = Field(1.0, gt=0)
    """The ratio's clip; 1 is as good as off, and matters with several updates a rollout only."""
    kl: float = Field(1e-3, ge=0)
    """Pull of the velocity towards the base model; it costs one more evaluation a point."""
    fast_kl: float = Field(1.0, ge=0)
    """Pull of the velocity towards the policy's fast average."""
    fast_decay: float = Field(0.3, ge=0, lt=1)
    """What that average keeps of itself with each update."""


plan = plain_samples
credit = by_prompt


def objective(config: Config) -> Forward:
    """The clipped ratio of the pseudo log-probability, held by two leashes."""
    fast = (Leash(config.fast_kl, to="fast"),) if config.fast_kl else ()
    copies = {"fast": config.fast_decay} if fast else {}
    loss = awm(config.power, config.clip)
    return config.forward(loss, *fast, copies=lambda step: copies, clips=True)
