"""What an update will cost, worked out on paper before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from backend.rl.recipe import RunConfig, method_of, plans_at, read_method
from backend.rl.tree import grow, predict_cost


@dataclass(frozen=True)
class RunCost:
    """Network evaluations and pictures; guidance is already counted twice."""

    nfe_sample: int
    """Without gradient, in one update."""
    nfe_update: int
    """With gradient, in one update; each costs about three of the others."""
    nfe_reference: int
    """Of the reference, in one update; 0 without a pull towards it."""
    pictures: int
    """Decoded and scored in one update."""
    nfe_evaluation: int
    """In one evaluation."""

    @property
    def nfe(self) -> int:
        """All evaluations of one update: equal to what its iteration record counts."""
        return self.nfe_sample + self.nfe_update + self.nfe_reference


def predict(config: RunConfig, step: int = 0) -> RunCost:
    """The cost of update `step` if no group is skipped; the same every step for most methods."""
    cost = predict_cost(grow(plans_at(config, step), config.sampling.num_steps))
    each = 1 if config.sampling.guidance == 1 else 2
    passes = config.optim.updates_per_rollout
    kl = method_of(config).objective(read_method(config)).kl
    update = each * cost.update * passes
    evaluation = config.evaluation
    drawn = evaluation.num_prompts + 64
    steps = evaluation.num_steps or config.sampling.num_steps
    return RunCost(
        each * cost.sample, update, update if kl else 0, cost.pictures, each * drawn * steps
    )
