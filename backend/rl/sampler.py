"""The one sampler: grows a forest of rollout trees level by level, everything batched over prompts.

At each step of the schedule every inner node is evaluated exactly once, and all that leaves it
(children, tails of several strides, the trunk) shares that velocity. Nodes that a trained edge
leaves ("deciding" nodes) go in batches of their own, which are kept: the update evaluates the very
same batches, so its first log-probabilities equal these bit for bit. All other nodes may run with
the adapter folded into the weights, which is faster and trains nothing.

A batch of prompts may be grown in several parts, each a `Rollouts` that knows where it stands in
the whole forest: scores of one part are fetched while the next one grows.

Step arithmetic, noise and log-probabilities are float32; only the network may run in bfloat16.
Letters: N nodes · L leaves · E explored edges of a batch · B nodes of a batch · C H W latent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.errors import MethodError
from backend.rl import kernels
from backend.rl.kernels import Coefficients, Solver
from backend.rl.randomness import noises
from backend.rl.tree import Ints, Shape
from backend.types import Cond, Pictures, Policy


@dataclass
class Field:
    """A policy's velocity field and how it is run; counts every evaluation."""

    policy: Policy
    guidance: float = 1.0
    bf16: bool = False
    batch_size: int = 64
    """Evaluations in one call."""
    update_batch_size: int = 32
    """Deciding nodes in one call, in sampling and in the update alike."""
    decode_batch_size: int = 32
    """Pictures decoded in one call."""
    train_guidance: float | None = None
    """Guidance with gradient; None: that of sampling."""
    reference_guidance: float | None = None
    """Guidance of the reference; None: that of sampling."""
    merge: bool = True
    """Fold the adapter into the weights where nothing is trained."""
    nfe: Counter[str] = field(default_factory=Counter)
    """Network evaluations by purpose; guidance counts twice."""

    def __call__(
        self,
        latent: Tensor,
        sigma: float | Tensor,
        cond: Cond,
        purpose: str = "sample",
        guidance: float | None = None,
    ) -> Tensor:
        """v = v_u + w·(v_c − v_u), or v_c alone when w is 1; float32 (B, C, H, W).

        `sigma` is one number for all rows, or (B,); `guidance` replaces the field's own w.
        """
        num, w = len(latent), self.guidance if guidance is None else guidance
        sigma_B = torch.as_tensor(sigma, dtype=torch.float32, device=latent.device).expand(num)
        self.nfe[purpose] += num if w == 1 else 2 * num
        if w == 1:
            return self._velocity(latent, sigma_B, cond)
        nothing = self.policy.embed([""]).take([0] * num)
        twice = torch.cat([latent, latent]), torch.cat([sigma_B, sigma_B])
        both = self._velocity(*twice, Cond.cat([nothing, cond]))
        without, with_prompt = both.chunk(2)
        return without + w * (with_prompt - without)

    def _velocity(self, latent: Tensor, sigma_B: Tensor, cond: Cond) -> Tensor:
        with torch.autocast(latent.device.type, torch.bfloat16, enabled=self.bf16):
            return self.policy.velocity(latent, sigma_B, cond)


@dataclass
class Decisions:
    """Deciding nodes of one step that were evaluated in one call, and the edges they left by."""

    step: int
    nodes: Ints
    """(B,)"""
    latent: Tensor
    """(B, C, H, W)"""
    tree: list[int]
    """(B,) row of each node's prompt."""
    child: Ints
    """(E,) node each edge leads to."""
    row: Tensor
    """(E,) position of each edge's parent in `nodes`."""
    target: Tensor
    """(E, C, H, W) where the edge led."""
    log_prob: Tensor
    """(E,) under the policy that sampled."""
    velocity: Tensor
    """(B, C, H, W) of the policy that sampled."""


@dataclass
class Rollouts:
    """A grown forest: what the update, the rewards and the records need of it, and no more."""

    shape: Shape
    coefficients: Coefficients
    seed_N: Ints
    cond: Cond
    """One row a tree."""
    decisions: list[Decisions]
    leaves: Tensor
    """(L, C, H, W) in the order of `shape.leaf`."""
    estimates: dict[int, Tensor]
    """Clean estimate x̂₀ = x − σv of the watched nodes."""
    log_prob_N: NDArray[np.float64]
    """NaN where no explored edge leads."""
    latents: dict[int, Tensor] = field(default_factory=dict)
    """x of the kept nodes, in half precision."""
    first: int = 0
    """Number of this part's first node in the whole forest."""
    steps: tuple[int, ...] = ()
    """Steps that are trained on anywhere in the whole forest."""

    @property
    def leaf_tree(self) -> list[int]:
        """(L,) the tree of each leaf."""
        trees: list[int] = self.shape.tree[self.shape.leaf].tolist()
        return trees


@torch.no_grad()
def sample(
    field: Field,
    shape: Shape,
    coefficients: Coefficients,
    cond: Cond,
    seed_N: Ints,
    *,
    watched: frozenset[int] = frozenset(),
    kept: frozenset[int] = frozenset(),
    solver: Solver = "euler",
) -> Rollouts:
    """Grow the forest. `cond` has one row a tree; `seed_N` seeds roots and explored edges.

    Of `watched` nodes the clean estimates stay, of `kept` ones the latents themselves. `solver`
    finishes the branches. Raises MethodError if what was drawn is not a number.
    """
    policy, device = field.policy, field.policy.device
    roots = np.flatnonzero(shape.parent < 0)
    start = noises(seed_N[roots].tolist(), policy.latent_shape, device)
    live = dict(zip(roots.tolist(), start, strict=True))
    blank = np.full(len(shape), np.nan)
    out = Rollouts(shape, coefficients, seed_N, cond, [], start[:0], {}, blank)
    out.steps = shape.trained_steps
    deciding, children, tails = shape.deciding, _children(shape), _Tails(solver)

    def advance(step: int, flags: NDArray[np.bool_], size: int) -> None:
        for nodes in _chunks(np.flatnonzero(flags & (shape.step == step)), size):
            latent = torch.stack([live.pop(node) for node in nodes.tolist()])
            cond_B = cond.take(shape.tree[nodes].tolist())
            velocity = field(latent, float(coefficients.sigmas[step]), cond_B)
            edges = np.concatenate([children[node] for node in nodes.tolist()])
            live.update(_ode_edges(out, step, nodes, edges, latent, velocity, tails))
            live.update(_explored_edges(out, step, nodes, edges, latent, velocity))
            _keep_estimates(out, step, nodes, latent, velocity, watched)
            for row, node in enumerate(nodes.tolist()):
                if node in kept:
                    out.latents[node] = latent[row].half()

    rest = shape.inner & ~deciding
    kinds = ((deciding, field.update_batch_size, False), (rest, field.batch_size, field.merge))
    with ExitStack() as folding:
        is_folded = False
        for step in range(shape.num_steps):
            here = shape.step == step
            # Folding costs as much as a small batch: what can run as the weights lie comes first.
            for flags, size, folds in sorted(kinds, key=lambda kind: kind[2] != is_folded):
                if folds != is_folded and bool((flags & here).any()):
                    folding.close()
                    if folds:
                        folding.enter_context(policy.merged())
                    is_folded = folds
                advance(step, flags, size)
    out.leaves = torch.stack([live[leaf] for leaf in shape.leaf.tolist()])
    if not bool(torch.isfinite(out.leaves).all()):
        raise MethodError(
            "The policy draws latents that are not numbers, so its weights have diverged; go back "
            "to an earlier checkpoint with a lower learning rate."
        )
    return out


def draw(
    field: Field,
    prompts: Sequence[str],
    seeds: Sequence[int],
    sigmas: Sequence[float],
) -> Pictures:
    """Plain pictures, one for each prompt and seed, by ODE: what the stock pipeline would draw."""
    num_steps, num = len(sigmas) - 1, len(prompts)
    step = np.tile(np.arange(num_steps + 1), num)
    node = np.arange(len(step))
    zero, no = np.zeros_like(node), np.zeros(len(node), dtype=bool)
    parent = np.where(step == 0, -1, node - 1)
    tree = node // (num_steps + 1)
    chains = Shape(num_steps, tree, step, parent, step, zero + 1, no, no, zero - 1, zero - 1)
    quiet = kernels.compile_kernel(kernels.Kernel("flow-sde", 0.0), sigmas)
    seed_N = np.where(step == 0, np.asarray(seeds, dtype=np.int64)[tree], 0)
    cond = field.policy.embed(prompts)
    rollouts = sample(field, chains, quiet, cond, seed_N)
    return decode(field.policy, rollouts.leaves, field.decode_batch_size)


def decode(policy: Policy, latents: Tensor, batch_size: int = 32) -> Pictures:
    """Decode in batches; (B, C, H, W) → uint8 (B, h, w, 3)."""
    return np.concatenate([policy.decode(part) for part in latents.split(batch_size)])


@dataclass
class _Tails:
    """What the solver of the tails remembers of nodes that it has not left yet: the clean estimate
    one step back, and its σ."""

    solver: Solver
    before: dict[int, tuple[Tensor, float]] = field(default_factory=dict)


def _ode_edges(
    out: Rollouts,
    step: int,
    nodes: Ints,
    edges: Ints,
    latent: Tensor,
    velocity: Tensor,
    tails: _Tails,
) -> dict[int, Tensor]:
    """Where the edges without noise lead; those of different strides differ in dt only."""
    shape, sigmas = out.shape, out.coefficients.sigmas
    plain = edges[~shape.explored[edges]]
    finishing = shape.origin[plain] >= 0
    if tails.solver == "dpm2" and finishing.any():
        row = _rows(shape, nodes, plain[finishing], latent)
        clean = latent - float(sigmas[step]) * velocity
        after = _dpm2_edges(out, step, plain[finishing], latent[row], clean[row], tails)
        return after | _ode_edges(
            out, step, nodes, plain[~finishing], latent, velocity, _Tails("euler")
        )
    if not len(plain):
        return {}
    dt = _column(sigmas[shape.step[plain]] - sigmas[step], latent)
    row = _rows(shape, nodes, plain, latent)
    ended = kernels.ode_step(latent[row], velocity[row], dt)
    return dict(zip(plain.tolist(), ended, strict=True))


def _dpm2_edges(
    out: Rollouts, step: int, edges: Ints, latent: Tensor, clean: Tensor, tails: _Tails
) -> dict[int, Tensor]:
    """Where DPM-Solver++ leads; `latent` and `clean` are those of each edge's parent."""
    shape, sigmas = out.shape, out.coefficients.sigmas
    now, weights, earlier = float(sigmas[step]), [], []
    for row, edge in enumerate(edges.tolist()):
        previous, before = tails.before.get(int(shape.parent[edge]), (clean[row], None))
        weights.append(kernels.dpm2_weights(before, now, float(sigmas[shape.step[edge]])))
        earlier.append(previous)
        if shape.step[edge] < shape.num_steps:
            tails.before[edge] = (clean[row], now)
    for left in shape.parent[edges].tolist():  # all that leaves a node leaves it here
        tails.before.pop(left, None)
    w_x, w_0, w_p = (_column(np.array(w), latent) for w in zip(*weights, strict=True))
    after = w_x * latent + w_0 * clean + w_p * torch.stack(earlier)
    return dict(zip(edges.tolist(), after, strict=True))


def _explored_edges(
    out: Rollouts, step: int, nodes: Ints, edges: Ints, latent: Tensor, velocity: Tensor
) -> dict[int, Tensor]:
    """Where the noisy edges lead; they are kept with their log-probability for the update."""
    shape, coefficients = out.shape, out.coefficients
    noisy = edges[shape.explored[edges]]
    if not len(noisy):
        return {}
    row = _rows(shape, nodes, noisy, latent)
    mu = kernels.mean(coefficients, step, latent, velocity)[row]
    std = float(coefficients.std[step])
    target = mu + std * noises(out.seed_N[noisy].tolist(), latent.shape[1:], latent.device)
    if std > 0:
        log_prob = kernels.log_prob(coefficients, step, target, mu)
        out.log_prob_N[noisy] = log_prob.double().cpu().numpy()
        kept = np.flatnonzero(shape.trained[noisy])
        if len(kept):
            tree, pick = shape.tree[nodes].tolist(), torch.as_tensor(kept, device=latent.device)
            edge = (noisy[kept], row[pick], target[pick], log_prob[pick])
            out.decisions.append(Decisions(step, nodes, latent, tree, *edge, velocity))
    return dict(zip(noisy.tolist(), target, strict=True))


def _keep_estimates(
    out: Rollouts,
    step: int,
    nodes: Ints,
    latent: Tensor,
    velocity: Tensor,
    watched: frozenset[int],
) -> None:
    sigma = float(out.coefficients.sigmas[step])
    for row, node in enumerate(nodes.tolist()):
        if node in watched:
            out.estimates[node] = latent[row] - sigma * velocity[row]


def _children(shape: Shape) -> list[Ints]:
    """Children of every node, in order."""
    order = np.argsort(shape.parent, kind="stable")
    bounds = np.searchsorted(shape.parent[order], np.arange(len(shape) + 1))
    return [order[bounds[n] : bounds[n + 1]] for n in range(len(shape))]


def _column(values: NDArray[np.float64], like: Tensor) -> Tensor:
    """Values (E,) as (E, 1, …) to multiply latents with, in their precision."""
    return torch.as_tensor(values).to(like).reshape(-1, *(1,) * (like.ndim - 1))


def _rows(shape: Shape, nodes: Ints, edges: Ints, latent: Tensor) -> Tensor:
    """Position in `nodes` (sorted) of each edge's parent."""
    return torch.as_tensor(np.searchsorted(nodes, shape.parent[edges]), device=latent.device)


def _chunks(nodes: Ints, size: int) -> Iterator[Ints]:
    for start in range(0, len(nodes), size):
        yield nodes[start : start + size]
