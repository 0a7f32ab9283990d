"""Sharing on equals sharing off: whatever tree is grown, each leaf and each gradient is that of a
trainer that shares nothing, in float64.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.rl import kernels, sampler
from backend.rl.forward import QUIET
from backend.rl.kernels import Kernel, compile_kernel
from backend.rl.objectives import ClippedRatio, Leash
from backend.rl.randomness import noises
from backend.rl.sampler import Field, Rollouts, sample
from backend.rl.sigma import stock_schedule
from backend.rl.tree import Shape, TreePlan, grow
from backend.rl.update import Totals, accumulate, prepare
from backend.types import Cond

T = 6
SIGMAS = stock_schedule(T)


class Toy:
    """A small smooth velocity field in float64, the same for a row whatever its company."""

    latent_shape, device = (2, 2, 2), torch.device("cpu")

    def __init__(self) -> None:
        draw = torch.Generator().manual_seed(0)
        self.weight = torch.randn(8, 10, generator=draw, dtype=torch.float64) / 3
        self.weight.requires_grad_()

    def velocity(self, latent: torch.Tensor, sigma: torch.Tensor, cond: Cond) -> torch.Tensor:
        told = torch.cat(
            [latent.flatten(1), sigma.double()[:, None], cond.tensors["text"].double()], dim=1
        )
        rows = [torch.tanh(self.weight @ row) for row in told]  # no batching, so bit for bit alike
        return torch.stack(rows).reshape(latent.shape)

    def merged(self) -> Any:
        return torch.no_grad()

    def using(self, name: str) -> Any:
        return torch.no_grad()


@st.composite
def plans(draw: Any) -> TreePlan:
    kernel = draw(
        st.sampled_from([Kernel("flow-sde", 0.7), Kernel("const-sde", 0.3), Kernel("cps", 0.6)])
    )
    steps = st.sets(st.integers(0, T - 3), min_size=1, max_size=3)
    trunk, solver = draw(st.booleans()), draw(st.sampled_from(["euler", "dpm2"]))
    forks = dict.fromkeys(sorted(draw(steps)), draw(st.integers(2, 3)))
    strides = draw(st.sampled_from([(1,), (1, 2), (2,)]))
    if trunk:
        return TreePlan(
            kernel, draw(st.integers(1, 2)), forks=forks, trunk=True, strides=strides, solver=solver
        )
    explore = frozenset(draw(steps))
    own = draw(st.booleans())
    return TreePlan(
        kernel,
        roots=2 if own else 1,
        explore=explore,
        forks={} if own else forks,
        strides=strides,
        solver=solver,
        complete=draw(st.booleans()) and strides == (1,),
        train_share=draw(st.sampled_from([1.0, 0.7])) if own and len(explore) > 1 else 1.0,
    )


def doubles(seeds: Any, shape: Any, device: Any) -> torch.Tensor:
    return noises(seeds, shape, device).double()


def naive_leaf(toy: Toy, rollouts: Rollouts, leaf: int, solver: str) -> torch.Tensor:
    """One leaf by itself: its root's noise, then every edge of its path, nothing shared."""
    shape, c = rollouts.shape, rollouts.coefficients
    path = shape.path(leaf)
    x = doubles([int(rollouts.seed_N[path[0]])], Toy.latent_shape, "cpu")
    before: tuple[torch.Tensor, float] | None = None
    for parent, child in pairwise(path):
        step, later = int(shape.step[parent]), int(shape.step[child])
        sigma = float(c.sigmas[step])
        v = toy.velocity(x, torch.tensor([sigma]), rollouts.cond.take([int(shape.tree[leaf])]))
        clean = x - sigma * v
        if shape.explored[child]:
            own = doubles([int(rollouts.seed_N[child])], Toy.latent_shape, "cpu")
            x = kernels.mean(c, step, x, v) + float(c.std[step]) * own
            before = None
        elif solver == "dpm2" and shape.origin[child] >= 0:
            past = before[1] if before else None
            w_x, w_0, w_p = kernels.dpm2_weights(past, sigma, float(c.sigmas[later]))
            x = w_x * x + w_0 * clean + w_p * (before[0] if before else clean)
            before = (clean, sigma)
        else:
            x = x + (float(c.sigmas[later]) - sigma) * v
    return x[0]


def roll(toy: Toy, plan: TreePlan) -> tuple[Field, Rollouts]:
    shape = grow([plan, plan], T, seed=1)
    field = Field(toy, batch_size=5, update_batch_size=3)  # type: ignore[arg-type]
    cond = Cond({"text": torch.tensor([[0.3], [-0.8]])})
    seed_N = np.arange(len(shape)) + 7
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampler, "noises", doubles)
        c = compile_kernel(plan.kernel, SIGMAS)
        return field, sample(field, shape, c, cond, seed_N, solver=plan.solver)


@settings(max_examples=40, deadline=None)
@given(plans())
def test_every_leaf_is_the_one_of_a_path_by_itself(plan: TreePlan) -> None:
    toy = Toy()
    field, rollouts = roll(toy, plan)
    with torch.no_grad():
        for at, leaf in enumerate(rollouts.shape.leaf.tolist()):
            alone = naive_leaf(toy, rollouts, leaf, plan.solver)
            assert (alone - rollouts.leaves[at]).abs().max() < 1e-6
    assert field.nfe["sample"] == rollouts.shape.inner.sum()


@settings(max_examples=25, deadline=None)
@given(plans(), st.booleans(), st.integers(0, 99))
def test_the_gradient_is_the_one_of_an_update_that_evaluates_every_edge(
    plan: TreePlan, guard: bool, seed: int
) -> None:
    toy = Toy()
    field, rollouts = roll(toy, plan)
    shape: Shape = rollouts.shape
    advantage_N = np.where(
        shape.trained, np.random.default_rng(seed).normal(size=len(shape)), np.nan
    )
    with torch.no_grad():
        toy.weight += 0.01  # off-policy, so that ratios and clips matter
    guarded = guard and plan.kernel.name != "cps"
    objective = ClippedRatio(2.0, "noise", "guard" if guarded else "plain", (Leash(0.1),))
    works = prepare(field, [rollouts], advantage_N, objective, (0, 0))
    totals = Totals(sum(w.items for w in works), sum(w.points for w in works))
    accumulate(field, works, objective, len(shape), totals)
    assert toy.weight.grad is not None
    shared, toy.weight.grad = toy.weight.grad, None
    assert field.nfe["update"] == shape.deciding.sum()
    for work in works:
        for batch in work.batches:
            one_by_one(toy, objective, batch, rollouts, totals)
    assert (shared - toy.weight.grad).abs().max() < 1e-6 * max(float(shared.abs().max()), 1e-3)


def one_by_one(toy: Toy, objective: ClippedRatio, batch: Any, part: Rollouts, t: Totals) -> None:
    """The same loss with a forward of its own for each edge."""
    nodes, c, step = batch.payload.decisions, part.coefficients, batch.step
    sigma, dim = torch.tensor([float(c.sigmas[step])]), batch.latent[0].numel()
    for edge, advantage in zip(batch.payload.keep.tolist(), batch.advantage, strict=True):
        row = int(nodes.row[edge])
        x, cond = batch.latent[row : row + 1], part.cond.take([batch.tree[row]])
        mu = kernels.mean(c, step, x, toy.velocity(x, sigma, cond))
        target = nodes.target[edge : edge + 1]
        if objective.ratio == "guard":
            held = kernels.mean(c, step, x, nodes.velocity[row : row + 1])
            drawn = (target - held) / float(c.std[step])
            new, old = (drawn * (mu - held)).flatten(1).mean(1), torch.zeros(1)
        else:
            new, old = kernels.log_prob(c, step, target, mu), nodes.log_prob[edge : edge + 1]
        said = objective.edges(new, old, advantage[None].double(), batch.payload.weight, dim)
        (said.loss / t.items).backward()


def test_a_quiet_kernel_leaves_nothing_to_chance() -> None:
    toy = Toy()
    _, rollouts = roll(toy, TreePlan(QUIET, roots=2))
    assert not rollouts.decisions
    assert rollouts.shape.deciding.sum() == 0


def test_the_solver_of_tails_forgets_the_nodes_that_it_has_left() -> None:
    """Its memory holds one step of the schedule, however long the tails are."""
    held: list[int] = []

    class Counted(sampler._Tails):
        def __setattr__(self, name: str, value: Any) -> None:
            object.__setattr__(self, name, value)
            if name == "before":
                seen.append(value)

    seen: list[dict[int, Any]] = []
    plan = TreePlan(QUIET, roots=3, solver="dpm2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampler, "_Tails", Counted)
        plain = Toy.velocity

        def watching(self: Toy, *given: Any) -> torch.Tensor:
            held.append(len(seen[0]))
            return plain(self, *given)

        patch.setattr(Toy, "velocity", watching)
        roll(Toy(), plan)
    assert max(held) <= 2 * 3 and not seen[0]
