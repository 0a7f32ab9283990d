"""One pass of the update: every point is evaluated again, now with gradient, whatever the loss.

A point is a node of the tree that trained edges leave, and one forward/backward serves all of them;
or a leaf made noisy again. The objective cuts its points into batches and judges the velocity
there. For tree nodes the batches are those of the sampler, so the first pass finds the stored
log-probabilities again, bit for bit, and the ratio is exactly 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.errors import MethodError
from backend.rl import kernels
from backend.rl.credit import Floats
from backend.rl.objectives import Batch, Objective, others_needed
from backend.rl.sampler import Decisions, Field, Rollouts
from backend.rl.shards import whole
from backend.types import Cond


@dataclass
class Work:
    """The batches of one part, and how many items and points it has; kept for all passes."""

    part: Rollouts
    batches: list[Batch]

    @property
    def items(self) -> int:
        """What is trained on: edges, or leaves at a noise level."""
        return sum(len(batch.items) for batch in self.batches)

    @property
    def points(self) -> int:
        """Evaluations with gradient."""
        return sum(len(batch.latent) for batch in self.batches)


@dataclass(frozen=True)
class Totals:
    """Of the whole update, all processes together: what sums are divided by."""

    items: int
    points: int


@dataclass
class Pass:
    """What one pass saw; arrays over all nodes, NaN (ratio) or False where nothing was trained."""

    loss: float
    kl: float
    ratio_N: Floats
    clipped_N: NDArray[np.bool_]
    trained_N: NDArray[np.bool_]
    figures: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def empty(num: int) -> Pass:
        """Nothing seen yet of `num` nodes."""
        flags = np.zeros(num, dtype=bool)
        return Pass(0.0, 0.0, np.full(num, np.nan), flags, flags.copy())

    def add(self, other: Pass) -> None:
        """Take in what another process saw of its own nodes."""
        self.loss += other.loss
        self.kl += other.kl
        mine = other.trained_N
        self.ratio_N[mine], self.clipped_N[mine] = other.ratio_N[mine], other.clipped_N[mine]
        self.trained_N |= mine
        for name, figure in other.figures.items():
            self.figures[name] = self.figures.get(name, 0.0) + figure


def prepare(
    field: Field,
    parts: Sequence[Rollouts],
    advantage_N: Floats,
    objective: Objective,
    seed: tuple[int, ...],
) -> list[Work]:
    """The batches of each part, from the advantages of all nodes, NaN where nothing is learned."""
    works = []
    for part in parts:
        mine = advantage_N[part.first : part.first + len(part.shape)]
        works.append(Work(part, objective.batches(part, mine, field.update_batch_size, seed)))
    return works


def accumulate(
    field: Field, works: Sequence[Work], objective: Objective, num_nodes: int, totals: Totals
) -> Pass:
    """Add the gradient of one pass to the policy's parameters.

    Raises MethodError, with no step taken, if the loss is not a number.
    """
    seen, names = Pass.empty(num_nodes), others_needed(objective)
    for work in works:
        scales = {leash: leash.scale(work.part.coefficients) for leash in objective.leashes}
        for batch in work.batches:
            cond = work.part.cond.take(batch.tree)
            others = {name: _velocity_of(field, name, batch, cond) for name in names}
            velocity = field(batch.latent, batch.sigma, cond, "update", field.train_guidance)
            said = objective.loss(batch, velocity, others, work.part)
            loss = said.loss / totals.items
            for leash, scale in scales.items():
                away = _distance(velocity, others[leash.to]).sum() / totals.points
                pull = leash.weight * (float(scale[batch.step]) if batch.step >= 0 else 1.0) * away
                loss = loss + pull
                seen.kl += float(away.detach())
            _check_number(loss, batch)
            loss.backward()
            seen.loss += float(loss.detach())
            for name, figure in said.figures.items():
                seen.figures[name] = seen.figures.get(name, 0.0) + figure / totals.items
            nodes = batch.items + work.part.first
            seen.trained_N[nodes] = True
            if said.ratio is not None and said.clipped is not None:
                seen.ratio_N[nodes] = said.ratio.double().cpu().numpy()
                seen.clipped_N[nodes] = said.clipped.cpu().numpy()
    return seen


def replay(field: Field, rollouts: Rollouts, part: Decisions) -> tuple[Tensor, Tensor]:
    """Velocity (B, C, H, W) and log-probability (E,) of a batch under the policy as it is now."""
    cond = rollouts.cond.take(part.tree)
    sigma = float(rollouts.coefficients.sigmas[part.step])
    velocity = field(part.latent, sigma, cond, "update", field.train_guidance)
    mu = kernels.mean(rollouts.coefficients, part.step, part.latent, velocity)[part.row]
    return velocity, kernels.log_prob(rollouts.coefficients, part.step, part.target, mu)


def clip_gradient(parameters: Sequence[torch.nn.Parameter], max_norm: float) -> float:
    """Scale the gradient down to `max_norm`; returns its norm before.

    Raises MethodError if it is not finite.
    """
    norm = float(whole(torch.nn.utils.clip_grad_norm_(parameters, max_norm)))
    if not np.isfinite(norm):
        raise MethodError(
            "The gradient became infinite or not a number; the adapter was left as it was after "
            "the last update. Lower the learning rate, or clip closer."
        )
    return norm


def merge_passes(num_nodes: int, passes: Sequence[Pass]) -> Pass:
    """What all processes saw, as one."""
    whole = Pass.empty(num_nodes)
    for seen in passes:
        whole.add(seen)
    return whole


def _check_number(loss: Tensor, batch: Batch) -> None:
    if not bool(torch.isfinite(loss)):
        became = float(loss.detach())
        raise MethodError(
            f"The loss became {became} at denoising step {batch.step}; the adapter is left as it "
            "was after the last update. Lower the learning rate, or leave out the steps of least "
            "noise."
            if batch.step >= 0
            else f"The loss became {became}; the adapter is left as it was after the last update. "
            "Lower the learning rate, or leave out the steps of least noise."
        )


def _distance(velocity: Tensor, reference: Tensor) -> Tensor:
    """mean_D (v − v_ref)² of each point, (B,)."""
    return (velocity - reference).pow(2).flatten(1).mean(1)


@torch.no_grad()
def _velocity_of(field: Field, name: str, batch: Batch, cond: Cond) -> Tensor:
    """The velocity of other weights at the batch's points."""
    guidance = field.reference_guidance if name == "reference" else field.train_guidance
    with field.policy.using(name):
        return field(batch.latent, batch.sigma, cond, "reference", guidance)
