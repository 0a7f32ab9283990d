"""Kernels S, C and O: numbers worked by hand, and what must hold for every schedule."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from backend.errors import ConfigError, MethodError, PolicyError
from backend.rl.kernels import Kernel, compile_kernel, log_prob, mean
from backend.rl.sigma import check_schedule, stock_schedule, tail

SIGMAS = stock_schedule(10, shift=3.0)


def test_the_stock_schedule_is_the_one_of_the_published_table() -> None:
    rounded = [1.0, 0.960, 0.913, 0.858, 0.790, 0.707, 0.602, 0.465, 0.278, 0.009, 0.0]
    assert np.allclose(SIGMAS, rounded, atol=6e-4)


def test_flow_sde_has_the_noise_of_the_published_table() -> None:
    std = compile_kernel(Kernel("flow-sde", 0.7), SIGMAS).std
    assert np.allclose(
        std[:9], [0.700, 0.743, 0.536, 0.446, 0.392, 0.353, 0.319, 0.282, 0.225], atol=6e-4
    )


def test_const_sde_and_cps_have_the_noise_of_the_published_table() -> None:
    dance = compile_kernel(Kernel("const-sde", 0.3), SIGMAS).std
    assert np.allclose(
        dance[:9], [0.060, 0.065, 0.071, 0.078, 0.087, 0.097, 0.111, 0.130, 0.156], atol=1e-3
    )
    cps = compile_kernel(Kernel("cps", 0.8), SIGMAS).std
    assert np.allclose(
        cps[:9], [0.913, 0.869, 0.816, 0.752, 0.673, 0.573, 0.442, 0.264, 0.009], atol=1e-3
    )


@pytest.mark.parametrize("name", ["flow-sde", "const-sde", "cps"])
def test_without_noise_every_kernel_is_the_ode(name: str) -> None:
    quiet = compile_kernel(Kernel(name, 0.0), SIGMAS)  # type: ignore[arg-type]
    assert not quiet.std.any()
    x, v = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2)
    for step in range(10):
        expected = x + (SIGMAS[step + 1] - SIGMAS[step]) * v
        assert torch.allclose(mean(quiet, step, x, v), expected, atol=1e-6)


@pytest.mark.parametrize("eta", [0.1, 0.5, 0.8, 1.0])
def test_cps_keeps_the_total_noise_at_the_next_sigma(eta: float) -> None:
    """x = (1−σ)x₀ + σε with the exact v = ε − x₀ must become (1−σ′)x₀ plus noise of std σ′."""
    c = compile_kernel(Kernel("cps", eta), SIGMAS)
    for step in range(10):
        now, then = SIGMAS[step], SIGMAS[step + 1]
        on_data = c.a[step] * (1 - now) - c.b[step]
        on_noise = c.a[step] * now + c.b[step]
        assert math.isclose(on_data, 1 - then, abs_tol=1e-12)
        assert math.isclose(math.hypot(on_noise, c.std[step]), then, abs_tol=1e-12)


@pytest.mark.parametrize("name", ["flow-sde", "const-sde", "cps"])
def test_coefficients_are_finite_from_pure_noise_to_data(name: str) -> None:
    for sigmas in (SIGMAS, stock_schedule(4, 1.0), [1.0, 0.5, 0.0]):
        c = compile_kernel(Kernel(name, 0.7), sigmas)  # type: ignore[arg-type]
        assert np.isfinite(np.stack([c.a, c.b, c.std])).all()


def test_log_probability_is_the_mean_gaussian_density() -> None:
    c = compile_kernel(Kernel("flow-sde", 0.7), SIGMAS)
    mu, target = torch.zeros(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    normal = torch.distributions.Normal(mu, float(c.std[2]))
    expected = normal.log_prob(target).flatten(1).mean(1)
    assert torch.allclose(log_prob(c, 2, target, mu), expected, atol=1e-6)


def test_an_edge_without_noise_has_no_log_probability() -> None:
    c = compile_kernel(Kernel("cps", 0.8), SIGMAS)
    x = torch.zeros(1, 1, 2, 2)
    with pytest.raises(MethodError, match="step 9 has no noise"):
        log_prob(c, 9, x, x)


def test_impossible_noise_levels_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"eta = -0\.1"):
        Kernel("flow-sde", -0.1)
    with pytest.raises(ConfigError, match="at most 1"):
        Kernel("cps", 1.5)


def test_a_schedule_that_rises_is_refused() -> None:
    with pytest.raises(PolicyError, match="must fall strictly"):
        check_schedule([1.0, 0.4, 0.5, 0.0])


def test_a_tail_keeps_its_start_then_every_nth_sigma_then_zero() -> None:
    assert tail(3, 10, 1) == [3, 4, 5, 6, 7, 8, 9, 10]
    assert tail(3, 10, 2) == [3, 5, 7, 9, 10]
    assert tail(4, 10, 3) == [4, 7, 10]


def test_the_first_and_the_last_step_of_dpm_solver_are_eulers() -> None:
    """x = (1−σ)x̂₀ + σx̂₁ moves to (1−σ′)x̂₀ + σ′x̂₁, which is x + v·dt."""
    from backend.rl.kernels import dpm2_weights

    x, v = 0.7, -1.3
    for before, now, then in ((None, 0.8, 0.5), (1.0, 0.9, 0.6), (0.9, 0.4, 0.0)):
        w_x, w_0, w_p = dpm2_weights(before, now, then)
        assert w_p == 0.0
        assert w_x * x + w_0 * (x - now * v) == pytest.approx(x + (then - now) * v)


def test_dpm_solver_is_of_second_order() -> None:
    """On dx/dσ = v with x̂₀ = cos(3σ): halving the step divides the error by about four.

    Exact: x(σ) = σ·(c + ∫ x̂₀/σ² ...) is found by Euler with 4,096 steps.
    """
    from backend.rl.kernels import dpm2_weights

    def solve(num: int, second: bool) -> float:
        sigmas = np.linspace(0.9, 0.1, num + 1)
        x, before, earlier = 0.5, None, 0.0
        for now, then in pairwise(sigmas):
            clean = math.cos(3 * now)
            w_x, w_0, w_p = dpm2_weights(before if second else None, now, then)
            x = w_x * x + w_0 * clean + w_p * earlier
            before, earlier = now, clean
        return x

    exact = solve(200_000, second=True)
    errors = [abs(solve(num, second=True) - exact) for num in (32, 64, 128)]
    assert 3.3 < errors[0] / errors[1] < 4.7
    assert 3.3 < errors[1] / errors[2] < 4.7
    assert errors[0] < 0.3 * abs(solve(32, second=False) - exact)


def test_a_table_gives_each_step_its_own_noise() -> None:
    """s = ψ_i, std = ψ_i·√Δ; the last number serves all later steps."""
    table = compile_kernel(Kernel("table-sde", 0.0, (0.9, 0.5)), SIGMAS)
    delta = -np.diff(SIGMAS)
    assert table.std[0] == pytest.approx(0.9 * math.sqrt(delta[0]))
    assert table.std[5] == pytest.approx(0.5 * math.sqrt(delta[5]))
