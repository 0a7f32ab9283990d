"""One pass of the update: every batch of deciding nodes is evaluated again, now with gradient.

One forward/backward a node serves all its children. The batches are those of the sampler, so the
first pass finds the stored log-probabilities again, bit for bit, and the ratio is exactly 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.errors import MethodError
from backend.rl import kernels
from backend.rl.credit import Floats
from backend.rl.objectives import Objective
from backend.rl.sampler import Decisions, Field, Rollouts


@dataclass
class Pass:
    """What one pass saw; arrays are NaN (ratio) or False (clipped) where nothing was trained."""

    loss: float
    kl: float
    ratio_N: Floats
    clipped_N: NDArray[np.bool_]
    trained_N: NDArray[np.bool_]


def accumulate(field: Field, rollouts: Rollouts, edge_N: Floats, objective: Objective) -> Pass:
    """Add the gradient of one pass to the adapter's parameters.

    `edge_N` is the advantage of the edge that leads to each node, NaN where nothing is learned.
    Raises MethodError, with no step taken, if the loss is not a number.
    """
    trained_N = np.isfinite(edge_N)
    batches = [part for part in rollouts.decisions if trained_N[part.child].any()]
    num_edges, num_nodes = int(trained_N.sum()), sum(len(part.nodes) for part in batches)
    weights = objective.step_weights(rollouts.coefficients, [part.step for part in batches] or [0])
    seen = Pass(0.0, 0.0, np.full(len(edge_N), np.nan), np.zeros(len(edge_N), bool), trained_N)
    for part in batches:
        velocity, new = replay(field, rollouts, part)
        chosen = torch.as_tensor(trained_N[part.child], device=new.device)
        advantage = torch.as_tensor(edge_N[part.child], dtype=new.dtype, device=new.device)
        dim = part.latent[0].numel()
        edges = objective.edges(
            new[chosen], part.log_prob[chosen], advantage[chosen], float(weights[part.step]), dim
        )
        loss = edges.loss / num_edges
        if objective.kl:
            kl = _distance(velocity, _reference(field, rollouts, part)).sum() / num_nodes
            loss = loss + objective.kl * kl
            seen.kl += float(kl.detach())
        _check_number(loss, part.step)
        loss.backward()
        seen.loss += float(loss.detach())
        kept = part.child[chosen.cpu().numpy()]
        seen.ratio_N[kept] = edges.ratio.double().cpu().numpy()
        seen.clipped_N[kept] = edges.clipped.cpu().numpy()
    return seen


def replay(field: Field, rollouts: Rollouts, part: Decisions) -> tuple[Tensor, Tensor]:
    """Velocity (B, C, H, W) and log-probability (E,) of a batch under the policy as it is now."""
    cond = rollouts.cond.take(part.tree)
    sigma = float(rollouts.coefficients.sigmas[part.step])
    velocity = field(part.latent, sigma, cond, "update")
    mu = kernels.mean(rollouts.coefficients, part.step, part.latent, velocity)[part.row]
    return velocity, kernels.log_prob(rollouts.coefficients, part.step, part.target, mu)


def clip_gradient(parameters: Sequence[torch.nn.Parameter], max_norm: float) -> float:
    """Scale the gradient down to `max_norm`; returns its norm before.

    Raises MethodError if it is not finite.
    """
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, max_norm))
    if not np.isfinite(norm):
        raise MethodError(
            "The gradient became infinite or not a number; the adapter was left as it was after "
            "the last update. Lower the learning rate, or clip closer."
        )
    return norm


def _check_number(loss: Tensor, step: int) -> None:
    if not bool(torch.isfinite(loss)):
        raise MethodError(
            f"The loss became {float(loss.detach())} at denoising step {step}; the adapter is left "
            "as it was after the last update. Lower the learning rate, or leave out the steps of "
            "least noise."
        )


def _distance(velocity: Tensor, reference: Tensor) -> Tensor:
    """mean_D (v − v_ref)² of each node, (B,)."""
    return (velocity - reference).pow(2).flatten(1).mean(1)


@torch.no_grad()
def _reference(field: Field, rollouts: Rollouts, part: Decisions) -> Tensor:
    cond = rollouts.cond.take(part.tree)
    sigma = float(rollouts.coefficients.sigmas[part.step])
    with field.policy.reference():
        return field(part.latent, sigma, cond, "reference")
