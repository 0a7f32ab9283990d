"""The sigma schedule: σ = 1 is noise, σ = 0 is data, and σ is the only time the mathematics sees.

x_σ = (1 − σ)·x₀ + σ·ε, velocity target v = ε − x₀. A step index i runs from 0 (noise) to T (data).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from backend.errors import PolicyError

TIMESTEPS = 1000.0
"""Networks of the SD3 kind are told 1000·σ; this is the only place that says so."""


def stock_schedule(num_steps: int, shift: float = 3.0) -> list[float]:
    """The sigmas of diffusers' FlowMatchEulerDiscreteScheduler without dynamic shifting, T + 1
    values.

    The smallest training sigma is shifted when the scheduler is built and again here, a quirk that
    makes the last non-zero sigma of T = 10, shift 3 only .0089. A policy asks its scheduler; this
    is for cost estimates and tests, which have no model.
    """
    lowest = shift * 1e-3 / (1 + (shift - 1) * 1e-3)
    raw = np.linspace(1.0, lowest, num_steps)
    return [*(shift * raw / (1 + (shift - 1) * raw)).tolist(), 0.0]


def check_schedule(sigmas: Sequence[float]) -> None:
    """Raise PolicyError unless the sigmas fall strictly from at most 1 to exactly 0."""
    finite = bool(np.isfinite(sigmas).all())
    falls = all(later < earlier for earlier, later in pairwise(sigmas))
    if not (len(sigmas) >= 2 and finite and falls and sigmas[0] <= 1.0 and sigmas[-1] == 0.0):
        raise PolicyError(
            f"The schedule {[round(s, 4) for s in sigmas]} cannot be sampled: sigmas must fall "
            "strictly from at most 1 to 0; check the policy's scheduler and the number of steps."
        )


def tail(start: int, num_steps: int, stride: int) -> list[int]:
    """Step indices from `start` to T in jumps of `stride`: start, start + λ, …, T (G²RPO's
    granularity).

    Its length less one is the number of network evaluations, ⌈(T − start)/λ⌉.
    """
    return [*range(start, num_steps, stride), num_steps]
