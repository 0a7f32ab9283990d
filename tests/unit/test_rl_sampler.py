"""The sampler and the update on a tiny real SD3 network: exact where exactness is promised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from backend.errors import MethodError
from backend.policies.sd3 import Sd3Policy
from backend.rl.kernels import Kernel, compile_kernel
from backend.rl.objectives import ClippedRatio, Leash
from backend.rl.randomness import noise, prompts_at, seed_of
from backend.rl.sampler import Field, Rollouts, draw, sample
from backend.rl.tree import TreePlan, grow, predict_cost
from backend.rl.update import Pass, Totals, accumulate, prepare, replay
from backend.types import Cond
from tests.tiny_sd3 import PROMPTS, fill_adapter

FLOW = Kernel("flow-sde", 0.7)
FORKS = TreePlan(FLOW, forks={0: 3, 2: 3}, trunk=True, strides=(1, 2))
CHAINS = TreePlan(FLOW, roots=3, explore=frozenset(range(5)))
CPS = TreePlan(Kernel("cps", 0.8), forks={1: 3}, explore=frozenset({2}))
PLANS = {"forks": FORKS, "chains": CHAINS, "cps": CPS}
T = 6


def roll(policy: Sd3Policy, plan: TreePlan, *, step: int = 0, **how: Any) -> tuple[Field, Rollouts]:
    field = Field(policy, **how)
    shape = grow([plan] * len(PROMPTS), T)
    seeds = [seed_of(0, step, int(t), int(n)) for t, n in zip(shape.tree, shape.local, strict=True)]
    c = compile_kernel(plan.kernel, policy.schedule(T))
    return field, sample(field, shape, c, policy.embed(PROMPTS), np.array(seeds))


def advantages(rollouts: Rollouts) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.where(rollouts.shape.explored, rng.normal(size=len(rollouts.shape)), np.nan)


def one_pass(
    field: Field, rollouts: Rollouts, advantage_N: np.ndarray, objective: ClippedRatio
) -> Pass:
    works = prepare(field, [rollouts], advantage_N, objective, (0, 0))
    totals = Totals(sum(work.items for work in works), sum(work.points for work in works))
    return accumulate(field, works, objective, len(rollouts.shape), totals)


def in_float64(policy: Sd3Policy, rollouts: Rollouts) -> None:
    policy.network.double()
    doubled = {name: tensor.double() for name, tensor in rollouts.cond.tensors.items()}
    rollouts.cond = Cond(doubled)
    for part in rollouts.decisions:
        part.latent, part.target = part.latent.double(), part.target.double()
        part.log_prob = part.log_prob.double()


@pytest.fixture
def lora(tiny_policy: Sd3Policy) -> Sd3Policy:
    tiny_policy.add_lora(4, 8)
    fill_adapter(tiny_policy)
    return tiny_policy


def test_zero_noise_equals_the_stock_pipeline(tiny_policy: Sd3Policy) -> None:
    seeds = [11, 12, 13, 14]
    start = torch.stack([noise(seed, tiny_policy.latent_shape) for seed in seeds])
    options = {"num_inference_steps": T, "guidance_scale": 1.0, "max_sequence_length": 0}
    stock = tiny_policy.pipeline
    stock.set_progress_bar_config(disable=True)
    pictures = stock(PROMPTS, latents=start, output_type="np", **options).images
    ours = draw(Field(tiny_policy), PROMPTS, seeds, tiny_policy.schedule(T))
    assert np.abs(ours.astype(int) - (pictures * 255).round().astype(int)).max() <= 1

    one = stock(PROMPTS[:1], latents=start[:1], output_type="latent", **options).images
    quiet = compile_kernel(Kernel("flow-sde", 0.0), tiny_policy.schedule(T))
    shape = grow([TreePlan(quiet.kernel, forks={1: 2}, trunk=True)], T)
    rolled = sample(
        Field(tiny_policy), shape, quiet, tiny_policy.embed(PROMPTS[:1]), np.full(len(shape), 11)
    )
    assert torch.allclose(rolled.leaves[0], one[0], atol=1e-5)
    assert torch.equal(rolled.leaves[0], rolled.leaves[1])


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("name", PLANS)
def test_log_probabilities_of_the_first_update_are_bit_equal(
    lora: Sd3Policy, name: str, bf16: bool
) -> None:
    field, rollouts = roll(lora, PLANS[name], bf16=bf16, update_batch_size=3)
    for part in rollouts.decisions:
        _, again = replay(field, rollouts, part)
        assert torch.equal(again.detach(), part.log_prob)
    seen = one_pass(field, rollouts, advantages(rollouts), ClippedRatio())
    assert set(seen.ratio_N[rollouts.shape.explored]) == {1.0}
    assert not seen.clipped_N.any()


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("name", PLANS)
def test_evaluations_counted_equal_evaluations_predicted(
    lora: Sd3Policy, name: str, guidance: float
) -> None:
    cost = predict_cost(grow([PLANS[name]] * len(PROMPTS), T))
    field, rollouts = roll(lora, PLANS[name])
    one_pass(field, rollouts, advantages(rollouts), ClippedRatio())
    assert (field.nfe["sample"], field.nfe["update"]) == (cost.sample, cost.update)
    assert len(rollouts.leaves) == cost.pictures
    doubled = Field(lora, guidance)
    draw(doubled, PROMPTS, [1, 2, 3, 4], lora.schedule(T))
    assert doubled.nfe["sample"] == len(PROMPTS) * T * (1 if guidance == 1 else 2)


def test_guidance_equals_the_stock_pipeline(tiny_policy: Sd3Policy) -> None:
    start = noise(5, tiny_policy.latent_shape)[None]
    stock = tiny_policy.pipeline
    stock.set_progress_bar_config(disable=True)
    options = {"num_inference_steps": 4, "guidance_scale": 4.5, "max_sequence_length": 0}
    theirs = stock(PROMPTS[0], latents=start, output_type="np", **options).images[0]
    ours = draw(Field(tiny_policy, 4.5), PROMPTS[:1], [5], tiny_policy.schedule(4))[0]
    assert np.abs(ours.astype(int) - (theirs * 255).round().astype(int)).max() <= 1


def test_the_same_seeds_give_the_same_rollouts(lora: Sd3Policy) -> None:
    first, second = roll(lora, FORKS)[1], roll(lora, FORKS)[1]
    assert torch.equal(first.leaves, second.leaves)
    assert not torch.equal(first.leaves, roll(lora, FORKS, step=1)[1].leaves)


def test_siblings_share_their_start_and_differ_after_the_fork(lora: Sd3Policy) -> None:
    _, rollouts = roll(lora, FORKS)
    shape = rollouts.shape
    part = rollouts.decisions[0]
    targets = part.target[part.row == 0]
    assert len({int(node) for node in shape.parent[part.child[part.row.numpy() == 0]]}) == 1
    assert not torch.equal(targets[0], targets[1])


def test_folding_the_adapter_in_changes_nothing_but_rounding(lora: Sd3Policy) -> None:
    weights = {name: p.clone() for name, p in lora.network.named_parameters()}
    folded, plain = roll(lora, FORKS, merge=True)[1], roll(lora, FORKS, merge=False)[1]
    assert torch.allclose(folded.leaves, plain.leaves, atol=1e-4)
    assert all(torch.equal(weights[name], p) for name, p in lora.network.named_parameters())


def test_the_shared_parents_gradient_equals_the_naive_one(lora: Sd3Policy) -> None:
    """Off-policy and with clipping: one backward a node against one a child.

    The network's own float32 corners (time embedding, norms) leave 1e-7; the objective alone agrees
    to 1e-12, see test_rl_objectives.
    """
    field, rollouts = roll(lora, FORKS, update_batch_size=4)
    in_float64(lora, rollouts)
    fill_adapter(lora, 0.31)
    edge_N, objective = advantages(rollouts), ClippedRatio(clip_nats=2.0)
    cond = rollouts.cond.take(list(range(len(PROMPTS))))
    one_pass(field, rollouts, edge_N, objective)
    shared = {name: p.grad.clone() for name, p in lora.trainable().items() if p.grad is not None}
    lora.network.zero_grad()

    num, dim = int(rollouts.shape.explored.sum()), int(np.prod(lora.latent_shape))
    c, clipped = rollouts.coefficients, 0
    for part in rollouts.decisions:
        for child, row, target, old in zip(
            part.child, part.row, part.target, part.log_prob, strict=True
        ):
            x, tree = part.latent[row : row + 1], part.tree[int(row)]
            v = field(x, float(c.sigmas[part.step]), cond.take([tree]))
            mu = float(c.a[part.step]) * x + float(c.b[part.step]) * v
            std = float(c.std[part.step])
            new = (
                -((target - mu) ** 2).mean() / (2 * std**2) - np.log(std) - 0.5 * np.log(2 * np.pi)
            )
            ratio = (new - old).exp()
            bounded = ratio.clamp(1 - 2.0 / dim, 1 + 2.0 / dim)
            clipped += int(not torch.equal(ratio, bounded))
            a = edge_N[child]
            (torch.max(-a * ratio, -a * bounded) / num).backward()
    assert 0 < clipped < num
    for name, parameter in lora.trainable().items():
        assert parameter.grad is not None
        scale = parameter.grad.abs().max()
        assert (shared[name] - parameter.grad).abs().max() <= 1e-6 * scale, name


@pytest.mark.parametrize("kl", [0.0, 1.0])
def test_each_loss_term_reaches_the_adapter_and_nothing_else(lora: Sd3Policy, kl: float) -> None:
    field, rollouts = roll(lora, FORKS)
    edge_N = advantages(rollouts) if kl == 0 else np.where(rollouts.shape.explored, 0.0, np.nan)
    seen = one_pass(field, rollouts, edge_N, ClippedRatio(leashes=(Leash(kl),) if kl else ()))
    assert (seen.kl > 0) == (kl > 0)
    unread = "transformer_blocks.1.attn.add_q_proj"  # the last block drops its text stream
    for name, parameter in lora.network.named_parameters():
        if name in lora.trainable():
            assert parameter.grad is not None
            assert (parameter.grad.abs().sum() > 0) != name.startswith(unread), name
        else:
            assert parameter.grad is None, name


def test_a_loss_that_is_not_a_number_is_a_sentence_and_leaves_the_adapter(lora: Sd3Policy) -> None:
    field, rollouts = roll(lora, FORKS)
    before = lora.adapter_state()
    rollouts.decisions[1].target[:] = torch.nan
    with pytest.raises(MethodError, match="Lower the learning rate"):
        one_pass(field, rollouts, advantages(rollouts), ClippedRatio())
    assert all(torch.equal(before[name], now) for name, now in lora.adapter_state().items())


def test_nodes_without_credit_are_not_evaluated_again(lora: Sd3Policy) -> None:
    field, rollouts = roll(lora, FORKS, update_batch_size=1)
    edge_N = advantages(rollouts)
    edge_N[rollouts.shape.tree > 0] = np.nan
    one_pass(field, rollouts, edge_N, ClippedRatio())
    assert field.nfe["update"] == 2


def test_prompts_come_in_shuffled_passes_that_depend_on_the_step_alone() -> None:
    prompts = [f"p{i}" for i in range(10)]
    steps = [prompts_at(prompts, 3, step, 4) for step in range(5)]
    flat = [prompt for step in steps for prompt in step]
    assert sorted(flat[:10]) == sorted(flat[10:]) == sorted(prompts)
    assert flat[:10] != flat[10:]
    assert prompts_at(prompts, 3, 2, 4) == steps[2]
