"""Spread probe: a short sampling run that says where to fork, and with how much noise.

For each η, the ODE trunk of every prompt forks at every step k into G children, each finished by
ODE and scored by the trained rewards. With r the raw weighted reward:

    spread(k, η)  std of r over the siblings, mean over prompts
    share(k, η)   mean of the siblings' variance over that of G independent samples; at 1 the fork
                  decides as much as the initial noise does
    drop(k, η)    r of the ODE sample of the same initial noise − mean r of the children, mean over
                  prompts: what the noise costs

What is proposed, `enough` being 80 %:

    F(η)  the steps whose spread is at least `enough` of the best step's at that η
    η     of those whose drop is below half of their spread, both means over F(η), the smallest
          with at least `enough` of the largest spread; where noise costs too much at every η, the
          smallest of all

A drop beyond half of the spread means that siblings differ more by how far the noise harmed them
than by what they show. More noise than it takes to spread them costs quality and buys nothing: the
advantage is divided by the spread anyway.

The cost is known beforehand (`probe_cost`) and equals what is counted. Prompts are grown one at a
time, so memory does not grow with their number. A win rate compares inside its group only: it has a
spread, but its drop is 0 by construction. Letters: L leaves · I items (leaves, or edges with a
gain).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.errors import ConfigError, RewardError
from backend.preferences.intervals import mean_se
from backend.rl.credit import Credit, Floats
from backend.rl.growing import SETTINGS, Grower, accepts, check, cost_of, noise_of
from backend.rl.growing import ProbeCost as ProbeCost
from backend.rl.growing import Say as Say
from backend.rl.kernels import Kernel
from backend.rl.recipe import RunConfig, read_method
from backend.rl.tree import TreePlan

if TYPE_CHECKING:
    from backend.types import Policy, Scorer


@dataclass(frozen=True)
class SpreadPlan:
    """How much a spread probe draws."""

    steps: tuple[int, ...] = ()
    """Steps that fork; empty takes all but the last, which is too short to carry noise."""
    etas: tuple[float, ...] = (0.4, 0.7, 1.0)
    children: int = 12
    num_prompts: int = 16
    seed: int = 0
    enough: float = 0.8
    """The share of the best spread that is as good as the best."""


@dataclass(frozen=True)
class SpreadRow:
    """What a fork at one step with one noise level does."""

    step: int
    eta: float
    spread: float
    spread_se: float
    share: float
    mean: float
    drop: float
    drop_se: float


@dataclass(frozen=True)
class Independent:
    """The same number of samples, each from its own noise, by ODE."""

    spread: float
    spread_se: float
    mean: float


@dataclass(frozen=True)
class Proposal:
    """What follows, as changes of the run's settings by dotted path, and in a sentence."""

    changes: dict[str, Any]
    text: str


@dataclass(frozen=True)
class Probe:
    """What a probe found and what it cost."""

    rows: Sequence[Any]
    """`SpreadRow`, or `backend.rl.psi.PsiRow`."""
    independent: Independent | None
    proposal: Proposal
    nfe: int
    """Network evaluations; guidance counts twice."""
    pictures: int
    seconds: float

    def plain(self) -> dict[str, Any]:
        """JSON-ready; what could not be measured is None."""
        return _finite(asdict(self))  # type: ignore[no-any-return]


def probe(
    config: RunConfig,
    policy: Policy,
    rewards: Mapping[str, Scorer],
    prompts: Sequence[str],
    plan: SpreadPlan | None = None,
    *,
    say: Say | None = None,
) -> Probe:
    """Measure the spread of the trained rewards at every (step, η), and propose where to fork.

    `rewards` has a scorer for every trained term of the config. Deterministic in the plan's seed.
    Raises what `check` raises, and RewardError where no group had two values.
    """
    plan = plan or SpreadPlan()
    independent, forked = _plans(config, plan)
    grower = Grower(config, policy, rewards, prompts, Credit(key="fork"), plan.seed)
    own: list[Floats] = []
    found: dict[tuple[int, float], list[Floats]] = defaultdict(list)
    total = plan.num_prompts * (1 + len(forked))
    for turn in range(plan.num_prompts):
        done = turn * (1 + len(forked))
        if say:
            say(done, total, f"prompt {turn + 1} of {plan.num_prompts}")
        own.append(grower.values(independent, turn)[1])
        for nth, (eta, tree) in enumerate(forked.items(), 1):
            if say:
                say(done + nth, total, f"prompt {turn + 1} of {plan.num_prompts}, eta {eta:g}")
            shape, reward_L = grower.values(tree, turn)
            fork_L = shape.step[shape.anchor[shape.leaf]]
            for step in tree.forks:
                found[step, eta].append(reward_L[fork_L == step])
    alone = _independent(own)
    rows = [_row(step, eta, groups, own) for (step, eta), groups in found.items()]
    proposal = _propose(config, rows, alone, plan.enough)
    return Probe(rows, alone, proposal, grower.nfe, grower.pictures, grower.seconds)


def probe_cost(config: RunConfig, plan: SpreadPlan | None = None) -> ProbeCost:
    """What `probe` will cost, grown on paper; raises what `check` raises."""
    plan = plan or SpreadPlan()
    independent, forked = _plans(config, plan)
    return cost_of(config, [independent, *forked.values()], plan.num_prompts)


def _plans(config: RunConfig, plan: SpreadPlan) -> tuple[TreePlan, dict[float, TreePlan]]:
    """Independent samples, the first with the trunk's own noise, and for each η a forked trunk."""
    check(config)
    noise = noise_of(config)
    if noise.name == "table-sde":
        raise ConfigError(
            "The run's noise follows a table, so there is no eta to probe; choose another kernel.",
            field=f"{SETTINGS}.kernel",
        )
    num_steps = config.sampling.num_steps
    forks = dict.fromkeys(plan.steps or range(num_steps - 1), plan.children)
    forked = {eta: TreePlan(Kernel(noise.name, eta), forks=forks, trunk=True) for eta in plan.etas}
    independent = TreePlan(Kernel(noise.name, 0.0), roots=plan.children)
    for tree in (independent, *forked.values()):
        tree.check(num_steps)
    return independent, forked


def _independent(groups: Sequence[Floats]) -> Independent:
    spread = mean_se([_std(group) for group in groups])
    if not spread.num:
        raise RewardError(
            "The trained rewards had no two values in any group, so nothing can be said of their "
            "spread; look at them on the Rewards page."
        )
    mean = mean_se([_mean(group) for group in groups]).mean
    return Independent(spread.mean, spread.se, mean)


def _row(step: int, eta: float, groups: Sequence[Floats], own: Sequence[Floats]) -> SpreadRow:
    """Its drop is paired: the first of a prompt's independent samples has the trunk's noise."""
    spread, mean = (mean_se([of(group) for group in groups]) for of in (_std, _mean))
    inside, whole = (mean_se([_std(group) ** 2 for group in some]).mean for some in (groups, own))
    drop = mean_se([plain[0] - _mean(group) for plain, group in zip(own, groups, strict=True)])
    share = inside / whole if whole > 0 else math.nan
    return SpreadRow(step, eta, spread.mean, spread.se, share, mean.mean, drop.mean, drop.se)


@dataclass(frozen=True)
class _Choice:
    """F(η), and what holds on it."""

    eta: float
    steps: list[int]
    spread: float
    drop: float

    @classmethod
    def at(cls, eta: float, rows: Sequence[SpreadRow], enough: float) -> _Choice:
        """The steps that spread enough at this η."""
        mine = [row for row in rows if row.eta == eta and math.isfinite(row.spread)]
        best = max((row.spread for row in mine), default=0.0)
        good = [row for row in mine if row.spread >= enough * best]
        spread, drop = (mean_se([getattr(row, key) for row in good]) for key in ("spread", "drop"))
        return cls(eta, sorted(row.step for row in good), spread.mean, drop.mean)

    @property
    def affordable(self) -> bool:
        """Whether the noise spreads more than it costs."""
        return not self.drop >= self.spread / 2


def _propose(
    config: RunConfig, rows: Sequence[SpreadRow], alone: Independent, enough: float
) -> Proposal:
    """The rule of the module's docstring."""
    choices = [_Choice.at(eta, rows, enough) for eta in sorted({row.eta for row in rows})]
    choices = [choice for choice in choices if choice.spread > 0]
    if not choices:
        text = "No fork made the rewards differ, so there is nothing to learn from these prompts."
        return Proposal({}, text)
    affordable = [choice for choice in choices if choice.affordable]
    most = max((choice.spread for choice in affordable), default=math.inf)
    chosen = next((c for c in affordable if c.spread >= enough * most), choices[0])
    price = f"{chosen.drop:.2g}" if chosen.drop > 0 else "nothing"
    text = (
        f"Fork at {_listed(chosen.steps)} with eta {chosen.eta:g}: the reward differs there by "
        f"{chosen.spread:.3g} between siblings ({alone.spread:.3g} between independent samples), "
        f"and the noise costs {price}."
    )
    if not affordable:
        text += " That is more than half of what it spreads: try less noise still."
    return Proposal(_fitting(config, chosen.steps, chosen.eta), text)


def _fitting(config: RunConfig, steps: Sequence[int], eta: float) -> dict[str, Any]:
    """The changes that this run's method has a setting for and accepts.

    The last steps are given up one by one where tails of long strides need them.
    """
    fields = type(read_method(config)).model_fields
    for num in range(len(steps), 0, -1):
        wanted = {"fork_steps": list(steps[:num]), "eta": eta}
        changes = {f"{SETTINGS}.{name}": v for name, v in wanted.items() if name in fields}
        if accepts(config, changes):
            return changes
    return {}


def _std(group: Floats) -> float:
    known = group[np.isfinite(group)]
    return float(known.std(ddof=1)) if len(known) > 1 else math.nan


def _mean(group: Floats) -> float:
    return mean_se(group).mean


def _listed(steps: Sequence[int]) -> str:
    """ "step 2", "steps 0 to 3" or "steps 0, 1 and 4"."""
    if len(steps) == 1:
        return f"step {steps[0]}"
    if len(steps) > 2 and steps[-1] - steps[0] == len(steps) - 1:
        return f"steps {steps[0]} to {steps[-1]}"
    return f"steps {', '.join(map(str, steps[:-1]))} and {steps[-1]}"


def _finite(data: Any) -> Any:
    """Plain data with None in place of what is not a number."""
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
