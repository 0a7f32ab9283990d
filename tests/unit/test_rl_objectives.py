"""The clipped ratio: numbers worked by hand, the shared-parent identity, step weights, refusals."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from backend.errors import ConfigError
from backend.rl import kernels
from backend.rl.kernels import Kernel, compile_kernel
from backend.rl.objectives import Batch, ClippedRatio, Leash, _Edges
from backend.rl.sampler import Decisions
from backend.rl.sigma import stock_schedule
from backend.rl.tree import TreePlan

SIGMAS = stock_schedule(10)
FLOW = compile_kernel(Kernel("flow-sde", 0.7), SIGMAS)


def tensors(*rows: list[float]) -> list[torch.Tensor]:
    return [torch.tensor(row, dtype=torch.float64) for row in rows]


def test_the_clip_is_in_nats_of_the_joint_ratio() -> None:
    """100 elements and 20 nats: the mean-form ratio may move by 0.2."""
    new, old, advantage = tensors([0.3, -0.3, 0.1], [0.0, 0.0, 0.0], [2.0, -2.0, 2.0])
    result = ClippedRatio(clip_nats=20).edges(new, old, advantage, 1.0, dim=100)
    expected = -2 * 1.2 + 2 * 0.8 - 2 * np.exp(0.1)
    assert float(result.loss) == pytest.approx(expected)
    assert result.clipped.tolist() == [True, True, False]


def test_a_clipped_edge_has_no_gradient_and_the_other_side_still_pulls_back() -> None:
    old, advantage = tensors([0.0, 0.0], [1.0, -1.0])
    new = torch.tensor([0.3, 0.3], dtype=torch.float64, requires_grad=True)
    ClippedRatio(clip_nats=20).edges(new, old, advantage, 1.0, dim=100).loss.backward()
    assert new.grad is not None
    assert new.grad.tolist() == [0.0, pytest.approx(np.exp(0.3))]


@pytest.mark.parametrize("eta_kernel", [Kernel("flow-sde", 0.7), Kernel("cps", 0.8)])
def test_one_velocity_serves_all_children_exactly(eta_kernel: Kernel) -> None:
    """dL/dv of 12 children through one v equals the sum through 12 copies, to 1e-12 in float64."""
    c, objective, step = compile_kernel(eta_kernel, SIGMAS), ClippedRatio(clip_nats=0.3), 3
    torch.manual_seed(0)
    x, v_old = torch.randn(2, 1, 2, 4, 4, dtype=torch.float64)
    mu_old = kernels.mean(c, step, x, v_old)
    target = mu_old + float(c.std[step]) * torch.randn(12, 2, 4, 4, dtype=torch.float64)
    old = kernels.log_prob(c, step, target, mu_old)
    advantage = torch.randn(12, dtype=torch.float64)
    moved = v_old + 0.5 * torch.randn_like(v_old)

    def loss(v: torch.Tensor) -> tuple[torch.Tensor, int]:
        mu = kernels.mean(c, step, x, v).expand(12, -1, -1, -1)
        result = objective.edges(kernels.log_prob(c, step, target, mu), old, advantage, 1.0, dim=32)
        return result.loss, int(result.clipped.sum())

    one, copies = moved.clone().requires_grad_(), moved.repeat(12, 1, 1, 1).requires_grad_()
    total, clipped = loss(one)
    total.backward()
    loss(copies)[0].backward()
    assert one.grad is not None and copies.grad is not None
    assert 0 < clipped < 12
    assert (one.grad - copies.grad.sum(0, keepdim=True)).abs().max() < 1e-12


def test_step_weights_have_mean_one_over_the_steps_that_explore() -> None:
    steps = [0, 1, 2, 3]
    for name in ("none", "noise", "inverse-dt"):
        weights = ClippedRatio(step_weight=name).step_weights(FLOW, steps)  # type: ignore[arg-type]
        assert weights[steps].mean() == pytest.approx(1.0)
    noise = ClippedRatio(step_weight="noise").step_weights(FLOW, range(9))
    table = [1.58, 1.67, 1.21, 1.00, 0.88, 0.79, 0.72, 0.64, 0.51]
    assert np.allclose(noise[:9], table, atol=0.01)


def test_a_ratio_on_edges_without_noise_is_refused() -> None:
    plan = TreePlan(Kernel("cps", 0.8), forks={9: 4}, trunk=True)
    with pytest.raises(ConfigError, match="Step 9 explores without noise"):
        ClippedRatio().check(plan, compile_kernel(plan.kernel, SIGMAS))
    silent = TreePlan(Kernel("flow-sde", 0.0), forks={2: 4}, trunk=True)
    with pytest.raises(ConfigError, match="raise eta"):
        ClippedRatio().check(silent, compile_kernel(silent.kernel, SIGMAS))


def test_the_guarded_ratio_is_the_plain_one_times_std_without_its_bias() -> None:
    """ln r = mean(ε·δ)/std − mean δ²/(2·std²); guarded: mean(ε·δ) = std·(ln r + mean δ²/2std²)."""
    step = 4
    std = float(FLOW.std[step])
    x, noise = torch.randn(1, 4, 4, 4).double(), torch.randn(1, 4, 4, 4).double()
    old_v = torch.randn_like(x)
    new_v = old_v + 0.01 * torch.randn_like(x)
    old_mu, new_mu = kernels.mean(FLOW, step, x, old_v), kernels.mean(FLOW, step, x, new_v)
    target, delta = old_mu + std * noise, new_mu - old_mu
    before = kernels.log_prob(FLOW, step, target, old_mu)
    nodes = Decisions(
        step,
        np.zeros(1, int),
        x,
        [0],
        np.ones(1, int),
        torch.zeros(1, dtype=int),
        target,
        before,
        old_v,
    )
    payload = _Edges(nodes, torch.zeros(1, dtype=int), 1.0)
    batch = Batch(x, 0.5, [0], np.ones(1, int), torch.ones(1), step, payload)
    part = SimpleNamespace(coefficients=FLOW)
    said = {
        name: ClippedRatio(ratio=name).loss(batch, new_v, {}, part).ratio  # type: ignore[arg-type]
        for name in ("plain", "guard")
    }
    bias = float(delta.pow(2).mean()) / (2 * std**2)
    log_plain, log_guard = (float(said[name].log()) for name in ("plain", "guard"))
    assert log_guard == pytest.approx(std * (log_plain + bias), rel=1e-6)
    assert log_guard == pytest.approx(float((noise * delta).mean()), rel=1e-6)


def test_a_leash_on_the_mean_is_the_kl_divergence_of_a_step() -> None:
    """KL of Gaussians of equal std is (μ − μ′)²/(2·std²) an element, and μ − μ′ = b·(v − v′)."""
    step, gap = 3, 0.2
    b, std = float(FLOW.b[step]), float(FLOW.std[step])
    kl = (b * gap) ** 2 / (2 * std**2)
    delta = float(FLOW.sigmas[step] - FLOW.sigmas[step + 1])
    assert Leash(1.0, on="mean-dt").scale(FLOW)[step] * gap**2 == pytest.approx(kl)
    assert Leash(1.0, on="mean").scale(FLOW)[step] * gap**2 == pytest.approx(kl * delta)
    assert Leash(1.0).scale(FLOW)[step] == 1.0
