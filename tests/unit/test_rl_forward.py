"""Forward-process losses against numbers worked by hand, and what they promise at the start."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from backend.rl.forward import (
    QUIET,
    Forward,
    Renoised,
    against_the_other,
    alike,
    awm,
    best,
    best_and_middle,
    dpo,
    every,
    exponential,
    extremes,
    match,
    nft,
)
from backend.rl.objectives import Batch
from backend.rl.tree import TreePlan, grow

torch.manual_seed(0)


def batch(advantage: list[float], times: list[float]) -> Batch:
    """Rows of four elements with the given advantages and times."""
    num = len(advantage)
    made = Renoised(torch.randn(num, 4, 1, 1), torch.randn(num, 4, 1, 1), torch.tensor(times))
    t = made.sigma.reshape(-1, 1, 1, 1)
    latent = (1 - t) * made.clean + t * made.noise
    return Batch(
        latent, made.sigma, [0] * num, np.arange(num), torch.tensor(advantage), payload=made
    )


def test_nft_has_no_gradient_where_nothing_was_learned() -> None:
    """r = ½ at v_θ = v_old: the two blends pull with equal force, so the gradient is zero."""
    rows, old = batch([0.0, 0.0], [0.9, 0.4]), torch.randn(2, 4, 1, 1)
    velocity = old.clone().requires_grad_()
    nft(1.0)(rows, rows.payload, velocity, {"old": old}).loss.backward()
    assert velocity.grad is not None
    assert velocity.grad.abs().max() < 1e-6


def test_nft_moves_towards_what_rose_and_away_from_what_fell() -> None:
    rows, old = batch([5.0, -5.0], [0.5, 0.5]), torch.zeros(2, 4, 1, 1)
    velocity = old.clone().requires_grad_()
    nft(1.0)(rows, rows.payload, velocity, {"old": old}).loss.backward()
    target = rows.payload.noise - rows.payload.clean
    assert velocity.grad is not None
    pull = (-velocity.grad * target).flatten(1).sum(1)
    assert pull[0] > 0 > pull[1]


def test_nft_by_hand() -> None:
    """x₀ = 1, ε = 3, t = ½ → x_t = 2. β = 1, v = 1, v_old = 2, r = 1: v⁺ = 1, x̂₀ = 1.5,
    error .5, w = .5, L = 5·(.25/.5) = 2.5.
    """
    made = Renoised(torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 3.0), torch.full((1,), 0.5))
    rows = Batch(torch.full((1, 1, 1, 1), 2.0), made.sigma, [0], np.arange(1), torch.tensor([5.0]))
    said = nft(1.0)(rows, made, torch.ones(1, 1, 1, 1), {"old": torch.full((1, 1, 1, 1), 2.0)})
    assert float(said.loss) == pytest.approx(2.5)


def test_awm_begins_at_ratio_one_and_pushes_by_advantage() -> None:
    rows, loss = batch([2.0, -2.0], [0.7, 0.7]), awm(0.25, 1.0)
    velocity = torch.randn(2, 4, 1, 1, requires_grad=True)
    said = loss(rows, rows.payload, velocity, {})
    assert said.ratio is not None
    assert said.ratio.tolist() == [1.0, 1.0]
    said.loss.backward()
    off = velocity.detach() - (rows.payload.noise - rows.payload.clean)
    assert velocity.grad is not None
    pull = (velocity.grad * off).flatten(1).sum(1)
    assert pull[0] > 0 > pull[1]  # descending lessens the error of the good one alone
    moved = loss(rows, rows.payload, velocity.detach() * 0.5, {})
    assert moved.ratio is not None
    assert not torch.allclose(moved.ratio, torch.ones(2))


def test_dpo_is_ln_2_at_the_reference_and_falls_as_the_winner_is_told_apart() -> None:
    rows = batch([1.0, -1.0], [0.6, 0.6])
    start = torch.randn(2, 4, 1, 1)
    at_reference = dpo(100.0)(rows, rows.payload, start, {"reference": start})
    assert float(at_reference.loss) == pytest.approx(2 * math.log(2))
    target = rows.payload.noise - rows.payload.clean
    better = start.clone()
    better[0] += 0.1 * (target[0] - start[0])
    said = dpo(100.0)(rows, rows.payload, better, {"reference": start})
    assert float(said.loss) < float(at_reference.loss)
    assert said.figures["dpo_accuracy"] == 2.0


def test_dpo_by_hand() -> None:
    """Errors 1 and 4 of the policy, 2 and 3 of the reference, β = 2: the gaps are −1 and 1, the
    margin −(2/2)(−1 − 1) = 2, the loss −ln σ(2) = .1269, counted for both items.
    """
    zero = torch.zeros(2, 1, 1, 1)
    made = Renoised(zero, zero, torch.full((2,), 0.5))
    rows = Batch(zero, made.sigma, [0, 0], np.arange(2), torch.tensor([1.0, -1.0]))
    velocity = torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1)
    reference = torch.tensor([2.0, 3.0]).sqrt().reshape(2, 1, 1, 1)
    said = dpo(2.0)(rows, made, velocity, {"reference": reference})
    assert float(said.loss) == pytest.approx(2 * math.log(1 + math.exp(-2)))
    assert said.figures["dpo_margin"] == pytest.approx(4.0)


def test_weights_grow_exponentially_with_the_advantage() -> None:
    shape = grow([TreePlan(QUIET, roots=2)], 4)
    advantage_N = np.full(len(shape), np.nan)
    advantage_N[shape.leaf] = 1.0, 0.0
    share = exponential(0.5)(shape, advantage_N)[shape.leaf]
    assert share.tolist() == pytest.approx([math.e**2, 1.0])
    rows = batch(share.tolist(), [0.5, 0.5])
    velocity = torch.zeros(2, 4, 1, 1)
    error = rows.payload.error(velocity)
    said = match(rows, rows.payload, velocity, {})
    assert float(said.loss) == pytest.approx(float(math.e**2 * error[0] + error[1]), rel=1e-5)
    ones = alike(shape, advantage_N)[shape.leaf]
    assert ones.tolist() == [1.0, 1.0]


def test_centred_weights_are_of_a_prompts_pictures_whatever_else_stands_in_the_batch() -> None:
    """e^A less its mean over the prompt: (1, 3, –) → (−1, 1, –) and (2, 2, 2) → 0."""
    shape = grow([TreePlan(QUIET, roots=3)] * 2, 4)
    advantage_N = np.full(len(shape), np.nan)
    advantage_N[shape.leaf] = np.log([1.0, 3.0, np.nan, 2.0, 2.0, 2.0])
    centred = exponential(1.0, centred=True)(shape, advantage_N)[shape.leaf]
    assert centred[[0, 1, 3, 4, 5]] == pytest.approx([-1.0, 1.0, 0.0, 0.0, 0.0], abs=1e-12)
    alone = exponential(1.0, centred=True)(shape.part(0, 1), advantage_N[: len(shape) // 2])
    assert np.array_equal(alone[shape.leaf[:2]], centred[:2])


def test_against_the_other_what_both_share_teaches_nothing() -> None:
    """ℓ = (v − v*)², v* = 0: the loss is 2·((1 + d)² − (2 + d)²) at a common shift d, whose slope
    does not contain d: −4. Alone, the best row's would be 2·(1 + d)."""
    zero = torch.zeros(2, 1, 1, 1)
    made = Renoised(zero, zero, torch.full((2,), 0.5))
    rows = Batch(zero, made.sigma, [0, 0], np.arange(2), torch.tensor([1.0, 0.0]))
    for start in (0.0, 3.0):
        shift = torch.tensor(start, requires_grad=True)
        velocity = torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1) + shift
        against_the_other(rows, made, velocity, {}).loss.backward()
        assert shift.grad is not None
        assert float(shift.grad) == pytest.approx(-4.0)


def test_the_best_and_the_worst_of_each_prompt_are_picked_and_equal_ones_left() -> None:
    shape = grow([TreePlan(QUIET, roots=3)] * 3, 4)
    values = np.full(len(shape), np.nan)
    values[shape.leaf] = [0.1, 0.9, 0.5, 2.0, 2.0, 2.0, np.nan, -1.0, 1.0]
    leaf = shape.leaf
    assert extremes(shape, values).tolist() == [leaf[1], leaf[0], leaf[8], leaf[7]]
    assert best(shape, values).tolist() == [leaf[1], leaf[8]]
    assert best_and_middle(shape, values).tolist() == [leaf[1], leaf[2], leaf[8], leaf[7]]
    assert len(every(shape, values)) == 8


def test_a_pairs_pictures_share_noise_and_time_and_stay_in_one_batch() -> None:
    from backend.rl.kernels import compile_kernel
    from backend.rl.sampler import Rollouts
    from backend.rl.sigma import stock_schedule
    from backend.types import Cond

    shape = grow([TreePlan(QUIET, given=2)] * 5, 10)
    clean = torch.randn(10, 4, 2, 2)
    cond = Cond({"text": torch.zeros(5, 1)})
    c = compile_kernel(QUIET, stock_schedule(10))
    rollouts = Rollouts(shape, c, np.zeros(10, np.int64), cond, [], clean, {}, np.zeros(10))
    objective = Forward(dpo(100.0), pick=extremes, times=3, draw="logit-normal", shared=True)
    advantage = np.tile([1.0, -1.0], 5)
    made = objective.batches(rollouts, advantage, 5, (0, 1))
    again = objective.batches(rollouts, advantage, 5, (0, 1))
    assert sum(len(b.items) for b in made) == objective.num_points(shape) == 30
    for one, other in zip(made, again, strict=True):
        assert len(one.items) % 2 == 0
        assert torch.equal(one.payload.noise[::2], one.payload.noise[1::2])
        assert torch.equal(one.payload.sigma[::2], one.payload.sigma[1::2])
        assert torch.equal(one.latent, other.latent)


@pytest.mark.parametrize("draw", ["schedule", "uniform", "logit-normal"])
def test_noise_levels_cover_the_schedule(draw: str) -> None:
    """Nine levels of ten steps are each of the first nine sigmas once."""
    from backend.rl.kernels import compile_kernel
    from backend.rl.sampler import Rollouts
    from backend.rl.sigma import stock_schedule
    from backend.types import Cond

    shape = grow([TreePlan(QUIET, roots=2)], 10)
    sigmas = stock_schedule(10)
    cond = Cond({"text": torch.zeros(1, 1)})
    c = compile_kernel(QUIET, sigmas)
    blank = np.zeros(len(shape), np.int64)
    rollouts = Rollouts(shape, c, blank, cond, [], torch.randn(2, 4, 2, 2), {}, blank * 1.0)
    objective = Forward(match, times=9, draw=draw)  # type: ignore[arg-type]
    values = np.where(shape.step == 10, 1.0, np.nan)
    (made,) = objective.batches(rollouts, values, 64, (0, 0))
    sigma = made.payload.sigma[::2]
    assert ((sigma > 0) & (sigma <= 1)).all()
    if draw == "schedule":
        assert torch.allclose(sigma, torch.tensor(sigmas[:9], dtype=torch.float32))
