"""Flow-GRPO: whole noisy trajectories with their own noise, or with one noise."""

from __future__ import annotations

from backend.methods import flow_grpo
from backend.rl.tree import grow, predict_cost


def test_the_published_settings_cost_240_evaluations_and_216_with_gradient() -> None:
    shape = grow([flow_grpo.plan(flow_grpo.Config(), 10, step=0, tree=0)], 10)
    cost = predict_cost(shape)
    assert (cost.sample, cost.update, cost.pictures) == (240, 216, 24)
    assert int((shape.parent < 0).sum()) == 24


def test_with_one_noise_the_first_evaluation_is_shared() -> None:
    config = flow_grpo.Config(same_noise=True)
    cost = predict_cost(grow([flow_grpo.plan(config, 10, step=0, tree=0)], 10))
    assert (cost.sample, cost.update) == (1 + 24 * 9, 1 + 24 * 8)


def test_the_last_step_does_not_explore() -> None:
    plan = flow_grpo.plan(flow_grpo.Config(), 10, step=3, tree=1)
    assert max(plan.explore) == 8
    assert flow_grpo.credit(flow_grpo.Config()).key == "tree"
