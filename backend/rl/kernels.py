"""One transition of the sampler, x_σ → x_σ′: μ = a·x + b·v,  x′ = μ + std·ε.

With σ → σ′, dt = σ′ − σ < 0, Δ = −dt, one network call v = v_θ(x, σ, c) gives the clean estimate
x̂₀ = x − σv and the noise estimate x̂₁ = x + (1−σ)v. Every kernel is linear in x and v, so a whole
schedule compiles into three numbers a step, all checked finite before a run begins:

    kernel     a                       b                           std
    O (ODE)    1                       dt                          0
    S (SDE)    1 + s²dt/(2σ)           dt·(1 + s²(1−σ)/(2σ))       s·√Δ
    C (CPS)    1 − σ′ + c              −σ(1−σ′) + (1−σ)c           σ′·sin(ηπ/2),  c = √(σ′² − std²)

    "flow-sde"    S with s = η·√(σ/(1−σ)); at σ = 1 the 1−σ is that of the next step
    "const-sde"   S with s = η
    "table-sde"   S with s = ψ_i, a number of its own for each step
    "cps"         C: the total noise stays exactly σ′, where S leaves 2 to 7 % too much

`solver_step` finishes a branch without noise, by Euler or by the second-order DPM-Solver++.

Sources: Flow-GRPO (arXiv 2505.05470) eq. 9; DanceGRPO (2505.07818); CPS (2509.05952); DenseGRPO's
table (2601.20218); DPM-Solver++ (2211.01095) Algorithm 2 in its multistep form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from backend.config import Config
from backend.errors import ConfigError, MethodError

if TYPE_CHECKING:
    from torch import Tensor

KernelName = Literal["flow-sde", "const-sde", "table-sde", "cps"]
Solver = Literal["euler", "dpm2"]


@dataclass(frozen=True)
class Kernel:
    """How explored edges are drawn; edges that do not explore are always ODE."""

    name: KernelName
    eta: float
    table: tuple[float, ...] = ()
    """ψ of "table-sde", one a step; the last number serves all steps after it."""

    def __post_init__(self) -> None:
        if (self.name == "table-sde") != bool(self.table) or any(
            not (math.isfinite(psi) and psi >= 0) for psi in self.table
        ):
            raise ConfigError(
                f"The noise table {list(self.table)} does not fit kernel '{self.name}': "
                "'table-sde' needs one number of 0 or more a step, the others take none.",
                field="psi",
            )
        top = 1.0 if self.name == "cps" else math.inf
        if not 0 <= self.eta <= top or not math.isfinite(self.eta):
            raise ConfigError(
                f"Noise level eta = {self.eta} cannot be used with kernel '{self.name}'; "
                f"take a value of 0 or more{', at most 1' if top == 1 else ''}.",
                field="eta",
            )

    def level(self, step: int) -> float:
        """The noise level of a step: ψ_i of a table, else η."""
        return self.table[min(step, len(self.table) - 1)] if self.table else self.eta


class NoiseSettings(Config):
    """Settings of every method whose edges explore."""

    kernel: KernelName = "flow-sde"
    """How a step draws its noise."""
    eta: float = Field(0.7, ge=0)
    """Noise level of the steps that explore."""
    psi: list[float] = Field(default_factory=list)
    """Noise levels of "table-sde", one a step; the last serves all later steps."""

    def noise(self) -> Kernel:
        """The kernel that these settings describe."""
        return Kernel(self.kernel, self.eta, tuple(self.psi))


@dataclass(frozen=True)
class Coefficients:
    """a, b and std of every step (float64, (T,)) for explored edges, next to the sigmas (T+1,)."""

    kernel: Kernel
    sigmas: NDArray[np.float64]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    std: NDArray[np.float64]


def compile_kernel(kernel: Kernel, sigmas: Sequence[float]) -> Coefficients:
    """a, b, std of `kernel` for each step; raises MethodError if any is not finite."""
    s = np.asarray(sigmas, dtype=np.float64)
    now, then = s[:-1], s[1:]
    dt = then - now
    if kernel.name == "cps":
        std = then * math.sin(kernel.eta * math.pi / 2)
        kept = np.sqrt(np.maximum(then**2 - std**2, 0.0))
        a, b = 1 - then + kept, -now * (1 - then) + (1 - now) * kept
    else:
        noise = _noise_levels(kernel, now, then)
        a = 1 + noise**2 * dt / (2 * now)
        b = dt * (1 + noise**2 * (1 - now) / (2 * now))
        std = noise * np.sqrt(-dt)
    for name, values in (("a", a), ("b", b), ("std", std)):
        if not np.isfinite(values).all():
            step = int(np.flatnonzero(~np.isfinite(values))[0])
            raise MethodError(
                f"Kernel '{kernel.name}' has no finite {name} at step {step} "
                f"(σ {now[step]:.4g} → {then[step]:.4g}); use another schedule or kernel."
            )
    return Coefficients(kernel, s, a, b, std)


def _noise_levels(
    kernel: Kernel, now: NDArray[np.float64], then: NDArray[np.float64]
) -> NDArray[np.float64]:
    """s of kernel S at each step."""
    if kernel.name == "table-sde":
        return np.array([kernel.level(step) for step in range(len(now))])
    if kernel.name == "const-sde":
        return np.full_like(now, kernel.eta)
    return np.asarray(kernel.eta * np.sqrt(now / np.where(now >= 1.0, 1 - then, 1 - now)))


def ode_step(latent: Tensor, velocity: Tensor, dt: float | Tensor) -> Tensor:
    """Kernel O, one Euler step, in float32; the very operations of the stock scheduler."""
    return latent + dt * velocity


def dpm2_weights(before: float | None, now: float, then: float) -> tuple[float, float, float]:
    """(w_x, w_0, w_p) of one DPM-Solver++ step: x′ = w_x·x + w_0·x̂₀ + w_p·x̂₀ᵖ.

    x̂₀ᵖ is the clean estimate one step earlier, at σ = `before`. With λ = ln((1−σ)/σ), h = λ′ − λ
    and r = (λ − λᵖ)/h the second-order estimate is D = x̂₀ + (x̂₀ − x̂₀ᵖ)/(2r), and
    x′ = (σ′/σ)·x + ((1−σ′) − (σ′/σ)(1−σ))·D. The first step, one that leaves pure noise and the
    last one are of first order, which is Euler's step exactly.
    """
    w_x = then / now
    w_0 = (1 - then) - w_x * (1 - now)
    if before is None or before >= 1.0 or then <= 0.0:
        return w_x, w_0, 0.0
    half = (_log_snr(then) - _log_snr(now)) / (2 * (_log_snr(now) - _log_snr(before)))
    return w_x, w_0 * (1 + half), -w_0 * half


def _log_snr(sigma: float) -> float:
    return math.log((1 - sigma) / sigma)


def mean(coefficients: Coefficients, step: int, latent: Tensor, velocity: Tensor) -> Tensor:
    """μ = a·x + b·v of an explored edge that leaves step `step`; shapes (B, C, H, W)."""
    return float(coefficients.a[step]) * latent + float(coefficients.b[step]) * velocity


def log_prob(coefficients: Coefficients, step: int, target: Tensor, mu: Tensor) -> Tensor:
    """log p(x′ | x) of an explored edge, mean over the D latent elements → (E,).

    S: −(x′−μ)²/(2·std²) − ln std − ½ln 2π.   C: −(x′−μ)², without variance or constants.
    x′ is a constant: the gradient reaches θ through μ only. Raises MethodError where std is 0.
    """
    std = float(coefficients.std[step])
    if std <= 0:
        raise MethodError(
            f"The transition at step {step} has no noise, so it has no log-probability; "
            "raise eta, or do not explore there."
        )
    squared = (target.detach() - mu).pow(2).flatten(1).mean(1)
    if coefficients.kernel.name == "cps":
        return -squared
    return -squared / (2 * std**2) - math.log(std) - 0.5 * math.log(2 * math.pi)
