"""Calibrated noise: how much each step can bear before it only does harm (DenseGRPO's ψ).

Whole noisy trajectories, each latent finished by ODE, give a gain for every step. Where noise is
too strong all gains are negative; where it is weak the signs balance, and it can bear more. Round
by round, with fresh prompts, for each step

    ψ ← ψ + increment   while |positive − negative| < max(2, √(positive + negative))
    ψ ← ψ − increment   otherwise

The paper's bound is 2; √n is what chance alone does to n signs, and 2 at n = 4.
Source: DenseGRPO, 2026, arXiv 2601.20218. Letters: I edges with a gain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backend.errors import ConfigError
from backend.rl.credit import Credit, Floats
from backend.rl.growing import (
    SETTINGS,
    Grower,
    ProbeCost,
    Say,
    accepts,
    check,
    cost_of,
    noise_of,
)
from backend.rl.kernels import Kernel, NoiseSettings, compile_kernel
from backend.rl.probe import Probe, Proposal
from backend.rl.recipe import RunConfig, read_method
from backend.rl.sigma import stock_schedule
from backend.rl.tree import Ints, TreePlan, chains

if TYPE_CHECKING:
    from backend.types import Policy, Scorer


@dataclass(frozen=True)
class PsiPlan:
    """How much a calibration of ψ draws."""

    rounds: int = 10
    increment: float = 0.05
    """The paper's .01, for fewer and larger rounds."""
    children: int = 12
    """Trajectories of each prompt."""
    num_prompts: int = 2
    """New ones in each round."""
    seed: int = 0


@dataclass(frozen=True)
class PsiRow:
    """The noise found for one step, and the signs of its gains in each round."""

    step: int
    start: float
    psi: float
    positive: list[int]
    negative: list[int]


def calibrate_psi(
    config: RunConfig,
    policy: Policy,
    rewards: Mapping[str, Scorer],
    prompts: Sequence[str],
    plan: PsiPlan | None = None,
    *,
    say: Say | None = None,
) -> Probe:
    """Find ψ of every step but the last, starting from the noise that the run has now.

    Deterministic in the plan's seed. Raises what `check` raises.
    """
    plan = plan or PsiPlan()
    start = _noise_levels(config, policy.schedule(config.sampling.num_steps))
    grower = Grower(config, policy, rewards, prompts, Credit("step", "gain"), plan.seed)
    psi, total = start.copy(), plan.rounds * plan.num_prompts
    positive, negative = (np.zeros((plan.rounds, len(psi)), dtype=np.int64) for _ in range(2))
    for turn in range(total):
        number = turn // plan.num_prompts
        if say:
            say(turn, total, f"round {number + 1} of {plan.rounds}")
        shape, gain_I = grower.values(_trajectories(psi, plan), turn)
        step_I = shape.parent_step[shape.edge]
        positive[number] += np.bincount(step_I[gain_I > 0], minlength=len(psi))
        negative[number] += np.bincount(step_I[gain_I < 0], minlength=len(psi))
        if turn % plan.num_prompts == plan.num_prompts - 1:
            psi = next_psi(psi, positive[number], negative[number], plan.increment)
    rows = [
        PsiRow(
            step,
            float(start[step]),
            float(psi[step]),
            positive[:, step].tolist(),
            negative[:, step].tolist(),
        )
        for step in range(len(psi))
    ]
    proposal = _table(config, rows)
    return Probe(rows, None, proposal, grower.nfe, grower.pictures, grower.seconds)


def psi_cost(config: RunConfig, plan: PsiPlan | None = None) -> ProbeCost:
    """What `calibrate_psi` will cost, grown on paper; raises what `check` raises."""
    plan = plan or PsiPlan()
    sigmas = stock_schedule(config.sampling.num_steps)
    tree = _trajectories(_noise_levels(config, sigmas), plan)
    return cost_of(config, [tree], plan.rounds * plan.num_prompts)


def next_psi(psi: Floats, positive: Ints, negative: Ints, increment: float) -> Floats:
    """ψ after one round; it never falls under one increment.

    Example: increment .1; 20 against 28 gains differ by 8 > √48 = 6.9, so ψ = .5 becomes .4; 22
    against 26 differ by 4, so it becomes .6.
    """
    bound = np.maximum(2.0, np.sqrt(positive + negative))
    balanced = np.abs(positive - negative) < bound
    return np.maximum(psi + np.where(balanced, increment, -increment), increment)


def _trajectories(psi: Floats, plan: PsiPlan) -> TreePlan:
    """Whole noisy trajectories whose every latent is finished without noise."""
    kernel = Kernel("table-sde", 0.0, tuple(float(level) for level in psi))
    steps = range(len(psi))
    return chains(kernel, plan.children, steps, same_noise=False, complete=True)


def _noise_levels(config: RunConfig, sigmas: Sequence[float]) -> Floats:
    """s = std/√Δ of the run's own noise at every step but the last, (T − 1,)."""
    check(config)
    if not isinstance(read_method(config), NoiseSettings):
        raise ConfigError(
            f"The method '{config.method.name}' draws its samples without noise, so there is no "
            "noise to calibrate.",
            field="method.name",
        )
    compiled = compile_kernel(noise_of(config), sigmas)
    return np.asarray(compiled.std / np.sqrt(-np.diff(compiled.sigmas)))[:-1]


def _table(config: RunConfig, rows: Sequence[PsiRow]) -> Proposal:
    table = [round(row.psi, 6) for row in rows]
    changes = {f"{SETTINGS}.kernel": "table-sde", f"{SETTINGS}.psi": table}
    ends = [f"{row.start:.2g} → {row.psi:.2g}" for row in (rows[0], rows[-1])]
    text = f"Noise by step, calibrated: {ends[0]} at step 0, {ends[1]} at step {rows[-1].step}."
    return Proposal(changes if accepts(config, changes) else {}, text)
