"""What an update will cost, worked out on paper before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.registry import rewards
from backend.rl.credit import siblings
from backend.rl.objectives import others_needed
from backend.rl.recipe import RunConfig, method_of, read_method, shape_at
from backend.rl.tree import Ints, predict_cost


@dataclass(frozen=True)
class RunCost:
    """Network evaluations, pictures and judge calls; guidance is already counted twice."""

    nfe_sample: int
    """S: without gradient, in one update."""
    nfe_update: int
    """U: with gradient, in one update; each costs about three of the others."""
    nfe_reference: int
    """R: of the reference and of copies, in one update; 0 without a pull towards them."""
    pictures: int
    """K: decoded and scored in one update."""
    judge_calls: int
    """Made by rewards that ask a judge, in one update."""
    nfe_evaluation: int
    """In one evaluation."""

    @property
    def nfe(self) -> int:
        """All evaluations of one update: equal to what its iteration record counts."""
        return self.nfe_sample + self.nfe_update + self.nfe_reference


def compared(config: RunConfig, step: int = 0) -> Ints:
    """Sizes of the groups whose samples are compared in update `step`. (groups,)"""
    credit = method_of(config).credit(read_method(config))
    group_L = siblings(shape_at(config, step), credit)
    return np.unique(group_L, return_counts=True)[1].astype(np.int64)


def predict(config: RunConfig, step: int = 0) -> RunCost:
    """The cost of update `step` if no group is skipped; the same every step for most methods.

    Pruning and a method that trains on some of the leaves cost less than this.
    """
    method, sampling, shape = method_of(config), config.sampling, shape_at(config, step)
    settings = read_method(config)
    objective, cost = method.objective(settings), predict_cost(shape)
    guided = 1 if sampling.guidance == 1 else 2
    trained = sampling.train_guidance or sampling.guidance
    points = objective.num_points(shape) * config.optim.updates_per_rollout
    referred = sampling.reference_guidance or trained
    each = {
        name: (referred if name == "reference" else trained) for name in others_needed(objective)
    }
    sizes = compared(config, step)
    calls = 0
    for term in config.rewards:
        kind = rewards.get(term.kind)
        if hasattr(kind, "judge_calls"):
            calls += kind.judge_calls(kind.Config.read(term.config), sizes)
    evaluation = config.evaluation
    drawn = evaluation.num_prompts + 64
    steps = evaluation.num_steps or sampling.num_steps
    return RunCost(
        guided * cost.sample,
        points * (1 if trained == 1 else 2),
        sum(points * (1 if guidance == 1 else 2) for guidance in each.values()),
        cost.pictures,
        calls,
        guided * drawn * steps,
    )
