"""What every probe does: it grows one tree at a time with the model as it is, asks the trained
rewards, and counts what that costs. Letters: I items (leaves, or edges with a gain), K rewards."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.errors import ConfigError, InputError
from backend.rewards.compose import Term
from backend.rewards.interface import checked
from backend.rl.credit import Credit, Floats, assign
from backend.rl.kernels import Kernel, NoiseSettings
from backend.rl.recipe import RunConfig, read_method
from backend.rl.team import Alone
from backend.rl.tree import Cost, Shape, TreePlan, grow, predict_cost

if TYPE_CHECKING:
    from backend.types import Policy, Scorer

Say = Callable[[int, int, str], None]
"""Told how far it is: done, total, and a few words. May raise to end the probe."""

SETTINGS = "method.settings"
"""Path of the method's own settings."""


@dataclass(frozen=True)
class ProbeCost:
    """What a probe will cost; guidance is already counted twice."""

    nfe: int
    pictures: int


class Grower:
    """Grows one tree at a time, untrained, and says what the trained rewards think of it."""

    def __init__(
        self,
        config: RunConfig,
        policy: Policy,
        rewards: Mapping[str, Scorer],
        prompts: Sequence[str],
        credit: Credit,
        seed: int,
    ) -> None:
        from backend.rl.collect import Collector, Data  # torch, which the web process has not
        from backend.rl.sampler import Field

        missing = [term.name for term in config.rewards if term.name not in rewards]
        if missing or not prompts:
            lacking = f"reward '{missing[0]}' was not loaded" if missing else "there are no prompts"
            raise InputError(f"The probe cannot begin: {lacking}.")
        scorers = {term.name: checked(rewards[term.name], term.name) for term in config.rewards}
        seeded = config.model_copy(update={"seed": seed})
        everything = Data(prompts, prompts)
        self.collector = Collector(seeded, policy, scorers, credit, everything, Alone())
        self.terms = [
            Term(t.name, t.weight, relative=scorers[t.name].shape == "groupwise")
            for t in config.rewards
            if t.role == "sum"
        ]
        sampling = config.sampling
        self.field = Field(policy, sampling.guidance, sampling.bf16, sampling.batch_size)
        self.credit, self.pictures, self.started = credit, 0, time.perf_counter()

    def values(self, tree: TreePlan, turn: int) -> tuple[Shape, Floats]:
        """The tree of prompt number `turn`, and Σ w·raw / Σ|w| of each item, (I,)."""
        from backend.rl.collect import Clock

        shape = _untrained(tree, self.collector.config.sampling.num_steps)
        got = self.collector.collect(self.field, turn, [tree], shape, (), Clock())
        self.pictures += len(got.images)
        said = {name: scores.values for name, scores in got.scores.items()}
        credited = assign(
            shape, said, self.terms, self.credit, scale="none", floor=0.0, clip=math.inf
        )
        raw_KI = np.stack([s.weight * s.raw for s in credited.composed.stages.values()])
        known = ~np.isnan(raw_KI).all(axis=0)
        return shape, np.where(known, np.nansum(raw_KI, axis=0), np.nan)

    @property
    def nfe(self) -> int:
        """Evaluations so far."""
        return self.field.nfe.total()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self.started


def _untrained(tree: TreePlan, num_steps: int) -> Shape:
    """The tree on paper; nothing of it is kept for an update."""
    shape = grow([tree], num_steps)
    return replace(shape, trained=np.zeros_like(shape.trained))


def cost_of(config: RunConfig, trees: Sequence[TreePlan], times: int) -> ProbeCost:
    """The cost of growing each of these trees so many times."""
    guided = 1 if config.sampling.guidance == 1 else 2
    costs: list[Cost] = [predict_cost(grow([tree], config.sampling.num_steps)) for tree in trees]
    nfe = guided * times * sum(cost.sample for cost in costs)
    return ProbeCost(nfe, times * sum(cost.pictures for cost in costs))


def check(config: RunConfig) -> None:
    """Raise ConfigError where no reward is trained on, so that there is nothing to measure."""
    if not config.rewards:
        raise ConfigError(
            "This run trains on no reward, so no reward's spread can be measured; choose a method "
            "that samples.",
            field="rewards",
        )


def noise_of(config: RunConfig) -> Kernel:
    """The noise that the run's method explores with; Flow-GRPO's where it has none of its own."""
    settings = read_method(config)
    return settings.noise() if isinstance(settings, NoiseSettings) else Kernel("flow-sde", 0.7)


def accepts(config: RunConfig, changes: Mapping[str, Any]) -> bool:
    """Whether the run's settings make sense with these changes of its method's."""
    data = config.plain()
    for path, value in changes.items():
        data["method"]["settings"][path.removeprefix(f"{SETTINGS}.")] = value
    try:
        RunConfig.read(data)
    except ConfigError:
        return False
    return True
