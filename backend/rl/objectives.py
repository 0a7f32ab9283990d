"""Objectives: how an advantage on an explored edge becomes a loss.

Clipped ratio, per explored edge e with advantage A; log-probabilities are means over D elements:

    r_e = exp(log p_new − log p_old)
    L   = Σ_e w_e · max(−A_e·r_e, −A_e·clip(r_e, 1 − c, 1 + c)) / number of edges
          + β · mean over deciding nodes of mean_D (v − v_ref)²

The clip is given in **nats** of the joint log-ratio, c = nats / D: a clip of 1e-4 on the mean is
6.6 nats at D = 65,536 and 26 at D = 262,144, so a number on the mean would not survive a change
of resolution.

Shared parent: all children of a node depend on θ through the one vector v_θ(x_parent), so one
forward/backward serves them all, exactly, ratios and clips included.

w_e per step (scaled to mean 1 over the steps that explore), because |∂ log r/∂v| ∝ |b|/std grows
26-fold from the first step to the last but one of SD3.5:
    none        1                      (Flow-GRPO, G²RPO)
    noise       std / mean std         (TempFlow-GRPO, arXiv 2508.04324)
    inverse-dt  1/Δ                    (GRPO-Guard, arXiv 2510.22319, but for its ratio)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from backend.errors import ConfigError
from backend.rl.kernels import Coefficients
from backend.rl.tree import TreePlan

if TYPE_CHECKING:
    from torch import Tensor

StepWeight = Literal["none", "noise", "inverse-dt"]


@dataclass(frozen=True)
class EdgeLoss:
    """What an objective says of one batch of edges."""

    loss: Tensor
    """Scalar, a sum over edges; the caller divides by the number of edges of the whole update."""
    ratio: Tensor
    """(E,), detached."""
    clipped: Tensor
    """(E,) bool: the clip took this edge's gradient away."""


class Objective(Protocol):
    """What the update asks of an objective."""

    kl: float
    """Weight of the pull towards the reference; 0 spends no evaluation on it."""

    def check(self, plan: TreePlan, coefficients: Coefficients) -> None:
        """Raise ConfigError if the plan's edges cannot be trained with this objective."""
        ...

    def step_weights(self, coefficients: Coefficients, steps: Iterable[int]) -> NDArray[np.float64]:
        """(T,) weight of an edge that leaves each step."""
        ...

    def edges(
        self, new: Tensor, old: Tensor, advantage: Tensor, weight: float, dim: int
    ) -> EdgeLoss:
        """The loss of edges that leave one step; the first three are (E,), D = `dim`."""
        ...


@dataclass(frozen=True)
class ClippedRatio:
    """The clipped policy ratio, with an optional pull towards the reference."""

    clip_nats: float = 6.5
    step_weight: StepWeight = "none"
    kl: float = 0.0

    def check(self, plan: TreePlan, coefficients: Coefficients) -> None:
        """A ratio needs a probability, so every explored edge needs noise."""
        silent = [s for s in sorted({*plan.explore, *plan.forks}) if coefficients.std[s] <= 0]
        if silent:
            kernel = coefficients.kernel
            raise ConfigError(
                f"Step {silent[0]} explores without noise (kernel '{kernel.name}', eta "
                f"{kernel.eta:g}), so it has no probability and the clipped ratio cannot train it; "
                "raise eta, or choose an earlier step.",
                field="eta",
            )

    def step_weights(self, coefficients: Coefficients, steps: Iterable[int]) -> NDArray[np.float64]:
        """(T,) weights with mean 1 over `steps`."""
        if self.step_weight == "none":
            return np.ones_like(coefficients.std)
        delta = -np.diff(coefficients.sigmas)
        raw = coefficients.std if self.step_weight == "noise" else 1 / delta
        chosen = np.asarray(raw[sorted(set(steps))])
        return np.asarray(raw / chosen.mean())

    def edges(
        self, new: Tensor, old: Tensor, advantage: Tensor, weight: float, dim: int
    ) -> EdgeLoss:
        """Σ w·max(−A·r, −A·clip(r, 1 ± nats/D))."""
        clip = self.clip_nats / dim
        ratio = (new - old).exp()
        bounded = ratio.clamp(1 - clip, 1 + clip)
        loss = weight * (-advantage * ratio).maximum(-advantage * bounded).sum()
        held = ratio.detach()
        outside = ((advantage > 0) & (held > 1 + clip)) | ((advantage < 0) & (held < 1 - clip))
        return EdgeLoss(loss, held, outside)
