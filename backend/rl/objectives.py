"""Objectives: how an advantage becomes a loss. This file: the clipped policy ratio on tree edges.

Every objective follows one protocol, so that one update serves them all: it cuts rollouts into
batches of *points* (a latent, its sigma, its prompt) at which the velocity is needed with gradient,
and turns the velocity there into a loss. The ratio's points are nodes of the tree; those of the
forward-process losses (`backend.rl.forward`) are leaves that were made noisy again.

Clipped ratio, for each trained edge e with advantage A:

    r_e = exp(κ-form of log p_new − log p_old)
    L   = Σ_e w_e · max(−A_e·r_e, −A_e·clip(r_e, 1 − c, 1 + c)) / number of edges

With the stored noise ε and δ = μ_new − μ_old, kernel S has
ln(p_new/p_old) = mean(ε·δ)/std − mean(δ²)/(2·std²). The forms of the ratio:

    plain   as it is; kernel C's log-probability carries its own κ = 2·std²   (Flow-GRPO, CPS)
    guard   mean(ε·δ): times std, without the negative bias                 (GRPO-Guard)

The clip is given in **nats** of the joint log-ratio, c = nats / D: a clip of 1e-4 on the mean is
6.6 nats at D = 65,536 and 26 at D = 262,144, so a number on the mean would not survive a change
of resolution.

Shared parent: all children of a node depend on θ through the one vector v_θ(x_parent), so one
forward/backward serves them all, exactly, ratios and clips included.

w_e per step (scaled to mean 1 over the steps that the whole update trains, whatever part stands
alone), because |∂ log r/∂v| ∝ |b|/std grows 26-fold from the first step to the last but one of
SD3.5:
    none        1                      (Flow-GRPO, G²RPO)
    noise       std / mean std         (TempFlow-GRPO, arXiv 2508.04324)
    inverse-dt  1/Δ                    (GRPO-Guard, arXiv 2510.22319)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting

from backend.config import Config
from backend.errors import ConfigError
from backend.rl import kernels
from backend.rl.kernels import Coefficients
from backend.rl.tree import Ints, Shape, TreePlan

if TYPE_CHECKING:
    from torch import Tensor

    from backend.rl.sampler import Decisions, Rollouts

Floats = NDArray[np.float64]
Ratio = Literal["plain", "guard"]
StepWeight = Literal["none", "noise", "inverse-dt"]
LeashOn = Literal["velocity", "mean", "mean-dt"]


@dataclass(frozen=True)
class Leash:
    """A pull of the velocity towards other weights: weight · mean over points of a·mean_D(v − v′)².

    a is 1 on the "velocity"; on the "mean" the distance is that of μ, b²(v − v′)², over 2s²
    (Flow-GRPO, without Δ) or over 2s²Δ, the KL divergence of the edge ("mean-dt").
    """

    weight: float
    to: str = "reference"
    """Name of the weights: the frozen reference, or a copy that follows the policy."""
    on: LeashOn = "velocity"

    def scale(self, coefficients: Coefficients) -> Floats:
        """(T,) the factor a of a point at each step."""
        if self.on == "velocity":
            return np.ones_like(coefficients.b)
        delta = -np.diff(coefficients.sigmas) if self.on == "mean" else 1.0
        with np.errstate(divide="ignore"):
            return np.asarray(delta * coefficients.b**2 / (2 * coefficients.std**2))


@dataclass
class Batch:
    """Points that are evaluated in one call, and what is trained at them."""

    latent: Tensor
    """(B, C, H, W)"""
    sigma: float | Tensor
    """One for all, or (B,)."""
    tree: list[int]
    """(B,) row of each point's prompt."""
    items: Ints
    """(I,) nodes of the part whose advantage is trained on; several may share a point."""
    advantage: Tensor
    """(I,)"""
    step: int = -1
    """Step that the points stand at, where they are nodes of the tree."""
    payload: Any = None
    """What the objective needs to know besides."""
    first: dict[str, Tensor] = field(default_factory=dict)
    """What the objective saw in the first pass over this batch."""


@dataclass(frozen=True)
class Said:
    """What an objective says of one batch."""

    loss: Tensor
    """Scalar, a sum over items; the caller divides by the number of items of the whole update."""
    ratio: Tensor | None = None
    """(I,), detached, where the objective has one."""
    clipped: Tensor | None = None
    """(I,) bool: the clip took this item's gradient away."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Sums over items, for charts; the caller divides them too."""


def clipped_surrogate(ratio: Tensor, advantage: Tensor, clip: float, weight: float = 1.0) -> Said:
    """weight·Σ max(−A·r, −A·clip(r, 1 ± clip)), and where the clip took the gradient away."""
    bounded = ratio.clamp(1 - clip, 1 + clip)
    loss = weight * (-advantage * ratio).maximum(-advantage * bounded).sum()
    held = ratio.detach()
    outside = ((advantage > 0) & (held > 1 + clip)) | ((advantage < 0) & (held < 1 - clip))
    return Said(loss, held, outside)


class Objective(Protocol):
    """What the update asks of an objective."""

    leashes: tuple[Leash, ...]
    needs: tuple[str, ...]
    """Weights whose velocity the loss compares with at every point, besides those of leashes."""
    behaviour: str
    """Weights that draw the rollouts: "current", or a lagging copy."""
    on: Literal["edges", "leaves"]
    """Where advantages are read: on trained edges, or on leaves."""
    clips: bool
    """It holds the policy near the one that sampled, so rollouts may serve several updates."""

    def check(self, plan: TreePlan, coefficients: Coefficients) -> None:
        """Raise ConfigError if such trees cannot be trained with this objective."""
        ...

    def num_points(self, shape: Shape) -> int:
        """Evaluations with gradient in one pass, if no group is skipped."""
        ...

    def decays(self, step: int) -> dict[str, float]:
        """Copies of the policy that are kept, and their decay after update `step`."""
        ...

    def batches(
        self, rollouts: Rollouts, advantage_N: Floats, size: int, seed: tuple[int, ...]
    ) -> list[Batch]:
        """The points of one part; `size` rows a batch, `seed` for whatever is drawn."""
        ...

    def loss(
        self, batch: Batch, velocity: Tensor, others: Mapping[str, Tensor], part: Rollouts
    ) -> Said:
        """The loss of a batch, given the velocities at its points."""
        ...


def others_needed(objective: Objective) -> list[str]:
    """Weights that are evaluated without gradient at every point, each once."""
    leashed = [leash.to for leash in objective.leashes if leash.weight]
    return list(dict.fromkeys([*objective.needs, *leashed]))


class RatioSettings(Config):
    """Settings of every method that trains a clipped ratio."""

    clip_nats: float = Setting(6.5, gt=0, json_schema_extra={"unit": "nats"})
    """The ratio's clip, on the joint log-probability of a step; the papers' 1e-4 is 6.5."""
    ratio: Ratio = "plain"
    """"guard" removes the ratio's negative bias and its dependence on the step's noise."""
    step_weight: StepWeight = "none"
    """Weight of a step in the loss: equal, by its noise, or by 1/Δ."""
    kl: float = Setting(0.0, ge=0)
    """Pull towards the base model; it costs one more evaluation a point."""
    kl_on: LeashOn = "velocity"
    """What is pulled: the velocity, or the step's mean over its noise without or with Δ."""

    def objective(self) -> ClippedRatio:
        """The clipped ratio that these settings describe."""
        leashes = (Leash(self.kl, on=self.kl_on),) if self.kl else ()
        return ClippedRatio(self.clip_nats, self.step_weight, self.ratio, leashes)


def clipped_ratio(config: RatioSettings) -> ClippedRatio:
    """The objective of most methods: the clipped ratio that their settings describe."""
    return config.objective()


@dataclass(frozen=True)
class ClippedRatio:
    """The clipped policy ratio, with an optional pull towards the reference."""

    clip_nats: float = 6.5
    step_weight: StepWeight = "none"
    ratio: Ratio = "plain"
    leashes: tuple[Leash, ...] = ()
    needs: tuple[str, ...] = ()
    behaviour: str = "current"
    on: Literal["edges", "leaves"] = "edges"
    clips: bool = True

    def check(self, plan: TreePlan, coefficients: Coefficients) -> None:
        """A ratio needs a probability, so every explored edge needs noise."""
        explored = sorted({*plan.explore, *plan.forks})
        if not explored:
            raise ConfigError(
                "The tree explores nowhere, so its edges have no probability and the clipped ratio "
                "cannot train them; name a step to fork or to explore.",
                field="fork_steps",
            )
        kernel = coefficients.kernel
        silent = [s for s in explored if coefficients.std[s] <= 0]
        if silent:
            raise ConfigError(
                f"Step {silent[0]} explores without noise (kernel '{kernel.name}', eta "
                f"{kernel.eta:g}), so it has no probability and the clipped ratio cannot train it; "
                "raise eta, or choose an earlier step.",
                field="eta",
            )
        if self.ratio == "guard" and kernel.name == "cps":
            raise ConfigError(
                "The guarded ratio is derived for kernel S and collapses with 'cps', whose ratio "
                "is scaled already; take 'flow-sde' or 'const-sde', or the plain ratio.",
                field="ratio",
            )

    def num_points(self, shape: Shape) -> int:
        """One a node that a trained edge leaves, however many children it has."""
        return int(shape.deciding.sum())

    def decays(self, step: int) -> dict[str, float]:
        """No copies."""
        return {}

    def step_weights(self, coefficients: Coefficients, steps: Iterable[int]) -> Floats:
        """(T,) weights with mean 1 over `steps`."""
        if self.step_weight == "none":
            return np.ones_like(coefficients.std)
        delta = -np.diff(coefficients.sigmas)
        raw = coefficients.std if self.step_weight == "noise" else 1 / delta
        chosen = np.asarray(raw[sorted(set(steps))])
        return np.asarray(raw / chosen.mean())

    def batches(
        self, rollouts: Rollouts, advantage_N: Floats, size: int, seed: tuple[int, ...]
    ) -> list[Batch]:
        """The sampler's own batches of deciding nodes, so that the first ratio is exactly 1."""
        import torch

        weights = self.step_weights(rollouts.coefficients, rollouts.steps)
        found = []
        for part in rollouts.decisions:
            trained = np.flatnonzero(np.isfinite(advantage_N[part.child]))
            if len(trained):
                device = part.latent.device
                advantage = torch.as_tensor(
                    advantage_N[part.child[trained]], dtype=torch.float32, device=device
                )
                payload = _Edges(
                    part, torch.as_tensor(trained, device=device), float(weights[part.step])
                )
                sigma = float(rollouts.coefficients.sigmas[part.step])
                items = part.child[trained]
                found.append(
                    Batch(part.latent, sigma, part.tree, items, advantage, part.step, payload)
                )
        return found

    def loss(
        self, batch: Batch, velocity: Tensor, others: Mapping[str, Tensor], part: Rollouts
    ) -> Said:
        """Σ w·max(−A·r, −A·clip(r, 1 ± nats/D)) over the batch's trained edges."""
        edges: _Edges = batch.payload
        nodes, coefficients = edges.decisions, part.coefficients
        mu = kernels.mean(coefficients, batch.step, batch.latent, velocity)[nodes.row]
        dim = batch.latent[0].numel()
        if self.ratio == "plain":
            new, old = kernels.log_prob(coefficients, batch.step, nodes.target, mu), nodes.log_prob
        else:
            held = kernels.mean(coefficients, batch.step, batch.latent, nodes.velocity)[nodes.row]
            noise = (nodes.target - held) / float(coefficients.std[batch.step])
            new = (noise * (mu - held)).flatten(1).mean(1)
            old = new.new_zeros(len(new))
        keep = edges.keep
        advantage = batch.advantage.to(new.dtype)
        return self.edges(new[keep], old[keep], advantage, edges.weight, dim)

    def edges(self, new: Tensor, old: Tensor, advantage: Tensor, weight: float, dim: int) -> Said:
        """The loss of edges that leave one step; the first three are (E,), D = `dim`."""
        return clipped_surrogate((new - old).exp(), advantage, self.clip_nats / dim, weight)


@dataclass(frozen=True)
class _Edges:
    """A batch of deciding nodes, which of its edges are trained, and the weight of their step."""

    decisions: Decisions
    keep: Tensor
    weight: float
