"""Forward-process objectives: leaves are made noisy again, and the velocity is trained there.

    x_t = (1 − t)·x₀ + t·ε,   target v* = ε − x₀,   ℓ_θ = mean_D (v_θ(x_t) − v*)²

No edge needs a probability, so any solver may draw the leaves, and they may just as well be stored
pictures that people judged. t and ε are drawn from the leaf's own seed, so a pass can be repeated.

    nft     r·|x̂₀⁺ − x₀|²/w⁺ + (1−r)·|x̂₀⁻ − x₀|²/w⁻   (DiffusionNFT, arXiv 2509.16117)
    awm     clipped ratio of −(t/p)·ℓ^p                  (AWM, arXiv 2509.25050)
    match   exp(A/τ)·ℓ, or the best of a group alone     (Flow-RWR, arXiv 2501.13918; SFT)
    against ℓ(best) − ℓ(middle), at the same t and ε     (SFT without its drift; ours)
    dpo     −ln σ(−(β/2)·[(ℓ_θ − ℓ_ref)(winner) − (ℓ_θ − ℓ_ref)(loser)])   (2311.12908, 2501.13918)

Letters: B rows of a batch, a leaf at one t each · N nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from backend.config import Config
from backend.errors import ConfigError
from backend.rl.kernels import Coefficients, Kernel, Solver
from backend.rl.objectives import Batch, Leash, Said, clipped_surrogate
from backend.rl.randomness import noise, seed_of
from backend.rl.tree import Shape, TreePlan

if TYPE_CHECKING:
    from torch import Tensor

    from backend.rl.sampler import Rollouts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Times = Literal["schedule", "uniform", "logit-normal"]


class ForwardSettings(Config):
    """Settings of every method that trains on samples made noisy again."""

    group_size: int = Field(24, json_schema_extra={"unit": "pictures"})
    """Pictures of each prompt; they are compared with each other."""
    solver: Solver = "euler"
    """How pictures are drawn: by Euler, or by the second-order DPM-Solver++."""
    times: int = Field(
        1, ge=1, title="Noise levels a picture", json_schema_extra={"unit": "noise levels"}
    )
    """Noise levels at which each picture is trained on; each costs a forward and backward."""
    draw: Times = Field("schedule", title="Noise levels from")
    """Where the noise levels come from: the sampling schedule, evenly, or mostly the middle."""
    kl: float = Field(0.0, ge=0)
    """Pull of the velocity towards the base model; it costs one more evaluation a point."""

    def samples(self) -> TreePlan:
        """Plain samples, each from its own noise: a tree that explores nowhere."""
        return TreePlan(QUIET, roots=self.group_size, solver=self.solver)

    def forward(self, loss_of: LossOf, *leashes: Leash, **more: Any) -> Forward:
        """The objective that these settings describe, with a loss and what else it has."""
        pull = (Leash(self.kl),) if self.kl else ()
        return Forward(loss_of, times=self.times, draw=self.draw, leashes=pull + leashes, **more)


QUIET = Kernel("flow-sde", 0.0)
"""The kernel of plans without explored edges."""


def plain_samples(config: ForwardSettings, num_steps: int, step: int, tree: int) -> TreePlan:
    """The plan of most forward methods: samples, each from its own noise."""
    return config.samples()


@dataclass(frozen=True)
class Renoised:
    """What a row was made of."""

    clean: Tensor
    """(B, C, H, W) x₀"""
    noise: Tensor
    """(B, C, H, W) ε"""
    sigma: Tensor
    """(B,) t"""

    def error(self, velocity: Tensor) -> Tensor:
        """ℓ = mean_D (v − v*)², (B,)."""
        return (velocity - (self.noise - self.clean)).pow(2).flatten(1).mean(1)


LossOf = Callable[[Batch, Renoised, "Tensor", Mapping[str, "Tensor"]], Said]
Pick = Callable[[Shape, Floats], Ints]
"""Which leaf nodes are trained on, in order; pairs stand side by side, winner first."""
Share = Callable[[Shape, Floats], Floats]
"""What the loss is given for each node's advantage, (N,); of one part, which has whole groups."""


def every(shape: Shape, advantage_N: Floats) -> Ints:
    """All leaves that have an advantage."""
    return shape.leaf[np.isfinite(advantage_N[shape.leaf])]


def best(shape: Shape, advantage_N: Floats) -> Ints:
    """The best leaf of each prompt."""
    return extremes(shape, advantage_N)[::2]


def extremes(shape: Shape, advantage_N: Floats) -> Ints:
    """The best and the worst leaf of each prompt whose leaves differ, side by side."""
    return _best_beside(shape, advantage_N, 0.0)


def best_and_middle(shape: Shape, advantage_N: Floats) -> Ints:
    """The best leaf of each prompt whose leaves differ, and beside it the one in the middle."""
    return _best_beside(shape, advantage_N, 0.5)


def _best_beside(shape: Shape, advantage_N: Floats, place: float) -> Ints:
    """The best leaf of each prompt, and the one so far up its order (0 is the worst)."""
    chosen: list[int] = []
    usable = every(shape, advantage_N)
    for tree in np.unique(shape.tree[usable]):
        mine = usable[shape.tree[usable] == tree]
        order = mine[np.argsort(advantage_N[mine], kind="stable")]
        if advantage_N[order[-1]] > advantage_N[order[0]]:
            chosen += [int(order[-1]), int(order[int(place * (len(order) - 1))])]
    return np.array(chosen, dtype=np.int64)


def as_it_is(shape: Shape, advantage_N: Floats) -> Floats:
    """The advantage itself."""
    return advantage_N


def alike(shape: Shape, advantage_N: Floats) -> Floats:
    """1: whatever is picked teaches as much."""
    return np.ones_like(advantage_N)


def exponential(temperature: float, centred: bool = False) -> Share:
    """exp(A/τ).

    `centred` takes off the mean over the prompt's pictures, so that pictures that all weigh the
    same teach nothing: without it, matching one's own samples of few steps is a drift of its own.
    """

    def share(shape: Shape, advantage_N: Floats) -> Floats:
        weight_N = np.exp(advantage_N / temperature)
        if not centred:
            return weight_N
        known = every(shape, advantage_N)
        total = np.bincount(shape.tree[known], weight_N[known], int(shape.tree[-1]) + 1)
        num = np.bincount(shape.tree[known], minlength=len(total))
        return np.asarray(weight_N - (total / np.maximum(num, 1))[shape.tree])

    return share


@dataclass(frozen=True)
class Forward:
    """One forward-process objective: which leaves, at which times, and what loss."""

    loss_of: LossOf
    pick: Pick = every
    share: Share = as_it_is
    times: int = 1
    """Noise levels at which each leaf is trained on."""
    draw: Times = "schedule"
    shared: bool = False
    """Leaves that stand side by side share t and ε, so that only the pictures differ (pairs)."""
    leashes: tuple[Leash, ...] = ()
    needs: tuple[str, ...] = ()
    behaviour: str = "current"
    copies: Callable[[int], dict[str, float]] = lambda step: {}
    on: Literal["edges", "leaves"] = "leaves"
    clips: bool = False

    def check(self, plan: TreePlan, coefficients: Coefficients) -> None:
        """Leashes on a step's mean have no meaning at a random time."""
        if any(leash.on != "velocity" for leash in self.leashes):
            raise ConfigError(
                "A forward-process loss has no steps, so its pull towards the base can only be on "
                "the velocity.",
                field="kl_on",
            )
        if self.draw == "schedule" and self.times > len(_trainable(coefficients.sigmas)):
            most = len(_trainable(coefficients.sigmas))
            raise ConfigError(
                f"{self.times} noise levels a picture were asked for and the schedule has {most}; "
                f"take at most {most}, or more sampling steps.",
                field="times",
            )

    def num_points(self, shape: Shape) -> int:
        """Each picked leaf once a noise level."""
        return self.times * len(self.pick(shape, np.arange(len(shape), dtype=np.float64)))

    def decays(self, step: int) -> dict[str, float]:
        """Copies of the policy that are kept, and their decay after update `step`."""
        return self.copies(step)

    def batches(
        self, rollouts: Rollouts, advantage_N: Floats, size: int, seed: tuple[int, ...]
    ) -> list[Batch]:
        """The picked leaves at their noise levels, `size` rows a batch (pairs never cut)."""
        nodes = self.pick(rollouts.shape, advantage_N)
        share_N = self.share(rollouts.shape, advantage_N)
        step = max(size - size % 2, 2) if self.shared else size
        whole = [(int(node), j) for j in range(self.times) for node in nodes]
        cuts = range(0, len(whole), step)
        return [self._batch(rollouts, share_N, whole[i : i + step], seed) for i in cuts]

    def _batch(
        self,
        rollouts: Rollouts,
        share_N: Floats,
        rows: Sequence[tuple[int, int]],
        seed: tuple[int, ...],
    ) -> Batch:
        import torch

        device, shape = rollouts.leaves.device, rollouts.shape
        nodes = np.array([node for node, _ in rows], dtype=np.int64)
        at = np.searchsorted(shape.leaf, nodes)
        clean = rollouts.leaves[torch.as_tensor(at, device=device)]
        lead = [rows[i - i % 2] if self.shared else rows[i] for i in range(len(rows))]
        seeds = [seed_of(*seed, "renoise", rollouts.first + node, j) for node, j in lead]
        sigma = torch.tensor(
            [self._time(s, j, rollouts) for s, (_, j) in zip(seeds, lead, strict=True)],
            dtype=torch.float32,
        ).to(device)
        drawn = torch.stack([noise(s, clean.shape[1:]) for s in seeds]).to(device, clean.dtype)
        t = sigma.to(clean.dtype).reshape(-1, *(1,) * (clean.ndim - 1))
        made = Renoised(clean, drawn, sigma)
        return Batch(
            latent=(1 - t) * clean + t * drawn,
            sigma=sigma,
            tree=shape.tree[nodes].tolist(),
            items=nodes,
            advantage=torch.as_tensor(share_N[nodes], dtype=torch.float32, device=device),
            payload=made,
        )

    def _time(self, seed: int, j: int, rollouts: Rollouts) -> float:
        """The j-th of `times` noise levels, each from its own stratum."""
        rng = np.random.default_rng(seed)
        place = (j + rng.random()) / self.times
        if self.draw == "logit-normal":
            return float(1 / (1 + np.exp(-rng.standard_normal())))
        if self.draw == "uniform":
            return float(place)
        levels = _trainable(rollouts.coefficients.sigmas)
        return float(levels[min(int(place * len(levels)), len(levels) - 1)])

    def loss(
        self, batch: Batch, velocity: Tensor, others: Mapping[str, Tensor], part: Rollouts
    ) -> Said:
        """The objective's own loss of a batch."""
        return self.loss_of(batch, batch.payload, velocity, others)


def _trainable(sigmas: Floats) -> Floats:
    """The schedule's noise levels but the last short step: int(.99·T) of them (Flow-GRPO)."""
    num = max(int(0.99 * (len(sigmas) - 1)), 1)
    return np.asarray(sigmas[:num])


# ---------------------------------------------------------------- the losses


def nft(beta: float, bound: float = 5.0) -> LossOf:
    """DiffusionNFT: towards what rose, and away from what fell, around the old policy.

    r = clip(A/(2·bound) + ½, 0, 1);  v⁺ = βv + (1−β)v_old,  v⁻ = (1+β)v_old − βv;
    x̂₀^± = x_t − t·v^±;  L = bound/β · [ r·mean(x̂₀⁺−x₀)²/w⁺ + (1−r)·mean(x̂₀⁻−x₀)²/w⁻ ] with
    w^± = mean|x̂₀^± − x₀|, detached. At r = ½ and v = v_old its gradient is exactly zero.
    """

    def loss(batch: Batch, made: Renoised, velocity: Tensor, others: Mapping[str, Tensor]) -> Said:
        old = others["old"]
        share = (batch.advantage / (2 * bound) + 0.5).clamp(0, 1).to(velocity.dtype)
        t = made.sigma.to(velocity.dtype).reshape(-1, *(1,) * (velocity.ndim - 1))

        def off(blend: Tensor) -> Tensor:
            error = (batch.latent - t * blend - made.clean).flatten(1)
            weight = error.detach().abs().double().mean(1).clamp_min(1e-5).to(error.dtype)
            return error.pow(2).mean(1) / weight

        rose = off(beta * velocity + (1 - beta) * old)
        fell = off((1 + beta) * old - beta * velocity)
        return Said(bound / beta * (share * rose + (1 - share) * fell).sum())

    return loss


def awm(power: float, clip: float, bound: float = 5.0) -> LossOf:
    """AWM: the clipped ratio of a pseudo log-probability, −(t/p)·((ℓ + ϵ)^p − ϵ^p), ϵ = 1e-10.

    The first pass over a batch is the old policy, at the same t and ε.
    """

    def loss(batch: Batch, made: Renoised, velocity: Tensor, others: Mapping[str, Tensor]) -> Said:
        tiny, t = 1e-10, made.sigma.to(velocity.dtype)
        new = -(t / power) * ((made.error(velocity) + tiny) ** power - tiny**power)
        old = batch.first.setdefault("log_prob", new.detach())
        ratio = (new - old).exp()
        advantage = (batch.advantage / bound).to(ratio.dtype)
        return clipped_surrogate(ratio, advantage, clip)

    return loss


def match(batch: Batch, made: Renoised, velocity: Tensor, others: Mapping[str, Tensor]) -> Said:
    """Flow matching: ℓ, times what each picture counts."""
    return Said((batch.advantage.to(velocity.dtype) * made.error(velocity)).sum())


def against_the_other(
    batch: Batch, made: Renoised, velocity: Tensor, others: Mapping[str, Tensor]
) -> Said:
    """ℓ(even row) − ℓ(odd row after it), both at the same t and ε: what they share cancels."""
    error = made.error(velocity)
    return Said(2 * (error[::2] - error[1::2]).sum())  # divided by items, of which a pair is two


def dpo(beta: float, reference: str = "reference") -> LossOf:
    """DPO on pairs (even rows won against the odd row after them), both at the same t and ε.

    L = −ln σ(m),  m = −(β/2)·[(ℓ_θ − ℓ_ref)(winner) − (ℓ_θ − ℓ_ref)(loser)]; ln 2 where θ = ref.
    Figures: the margin m, and the share of pairs that the policy orders as people did.
    """

    def loss(batch: Batch, made: Renoised, velocity: Tensor, others: Mapping[str, Tensor]) -> Said:
        from torch.nn.functional import softplus

        gap = made.error(velocity) - made.error(others[reference])
        margin = -beta / 2 * (gap[::2] - gap[1::2])
        held, num = margin.detach(), 2  # figures are divided by items, of which a pair is two
        figures = {
            "dpo_margin": float(num * held.sum()),
            "dpo_accuracy": float(num * (held > 0).sum()),
        }
        return Said(num * softplus(-margin).sum(), figures=figures)

    return loss
