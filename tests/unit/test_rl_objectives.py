"""The clipped ratio: numbers worked by hand, the shared-parent identity, step weights, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.errors import ConfigError
from backend.rl import kernels
from backend.rl.kernels import Kernel, compile_kernel
from backend.rl.objectives import ClippedRatio
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
