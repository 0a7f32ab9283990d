"""Trees on paper: shapes, costs and refusals."""

from __future__ import annotations

import pytest

from backend.errors import ConfigError
from backend.rl.kernels import Kernel
from backend.rl.tree import TreePlan, grow, predict_cost

KERNEL = Kernel("flow-sde", 0.7)


def plan(**settings: object) -> TreePlan:
    return TreePlan(KERNEL, **settings)  # type: ignore[arg-type]


def test_flow_grpo_shares_nothing() -> None:
    """24 chains of 10 steps: 240 evaluations, 9 explored edges each."""
    cost = predict_cost(grow([plan(roots=24, explore=frozenset(range(9)))], 10))
    assert (cost.sample, cost.update, cost.pictures) == (240, 216, 24)


def test_one_fork_costs_its_prefix_once_and_one_parent() -> None:
    """k + 1 + 12·(9 − k) at k = 2: 87 evaluations, 1 with gradient, 12 pictures."""
    cost = predict_cost(grow([plan(forks={2: 12}, trunk=True)], 10))
    assert (cost.sample, cost.update, cost.pictures) == (87, 1, 12)


def test_strides_share_the_childs_first_evaluation() -> None:
    """A child at step 3 of 10: tails 3,4,…,9 and 3,5,7,9 share that at 3: 7 + 4 − 1 = 10."""
    cost = predict_cost(grow([plan(forks={2: 12}, trunk=True, strides=(1, 2))], 10))
    assert cost.sample == 3 + 12 * 10
    assert cost.pictures == 24


def test_mixgrpo_shares_the_prefix_and_its_first_noisy_step() -> None:
    """T = 25, window of 4 from step 10, 12 children: 11 shared, then 12 chains of 14."""
    window = plan(forks={10: 12}, explore=frozenset({11, 12, 13}))
    cost = predict_cost(grow([window], 25))
    assert (cost.sample, cost.update) == (11 + 12 * 14, 1 + 12 * 3)


def test_branching_doubles_at_each_fork() -> None:
    branch = plan(forks={0: 2, 3: 2, 6: 2, 9: 2}, explore=frozenset(range(19)))
    shape = grow([branch], 20)
    assert len(shape.leaf) == 16
    assert predict_cost(shape).sample == 3 * (2 + 4 + 8) + 1 + 10 * 16


def test_a_parent_stands_before_its_children_and_leaves_lie_at_the_end() -> None:
    shape = grow(
        [
            plan(forks={0: 3, 2: 3}, trunk=True, strides=(1, 2)),
            plan(roots=2, explore=frozenset({0})),
        ],
        6,
    )
    assert all(parent < node for node, parent in enumerate(shape.parent))
    assert set(shape.step[shape.leaf]) == {6}
    assert shape.path(int(shape.leaf[-1]))[0] in set((shape.parent < 0).nonzero()[0])
    assert not shape.inner[shape.leaf].any()


def test_a_fork_beyond_the_last_step_is_refused() -> None:
    with pytest.raises(ConfigError, match="Step 12 cannot be explored: with 10 steps"):
        grow([plan(forks={12: 4}, trunk=True)], 10)


def test_strides_longer_than_the_tail_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 steps are left"):
        grow([plan(forks={7: 4}, trunk=True, strides=(1, 3))], 10)
    with pytest.raises(ConfigError, match="different strides"):
        grow([plan(forks={2: 4}, trunk=True, strides=(2, 2))], 10)


def test_a_group_of_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="group of 1"):
        grow([plan(forks={2: 1}, trunk=True)], 10)
    with pytest.raises(ConfigError, match="group of 1"):
        grow([plan(roots=1, explore=frozenset({0}))], 10)


def test_plain_samples_are_trees_that_explore_nowhere() -> None:
    """24 leaves of 10 evaluations each and no decision: DiffusionNFT's rollouts."""
    cost = predict_cost(grow([plan(roots=24)], 10))
    assert (cost.sample, cost.update, cost.pictures) == (240, 0, 24)


def test_completions_share_the_chains_evaluations() -> None:
    """DenseGRPO, T = 10: a chain of 10, tails of 9 + 8 + … + 1 = 45 beyond their first."""
    shape = grow([plan(roots=24, explore=frozenset(range(9)), complete=True)], 10)
    cost = predict_cost(shape)
    assert (cost.sample, cost.update, cost.pictures) == (24 * 55, 216, 240)
    assert (shape.origin[shape.leaf] >= 0).all()


def test_a_share_of_the_steps_is_drawn_for_each_path_and_repeats_itself() -> None:
    """int(.6·9) = 5 of 9 steps on each of 4 chains, not the same ones."""
    some = plan(roots=4, explore=frozenset(range(9)), train_share=0.6)
    shape, again = grow([some], 10, seed=3), grow([some], 10, seed=3)
    assert (shape.trained == again.trained).all()
    assert (shape.trained != grow([some], 10, seed=4).trained).any()
    roots = [shape.path(node)[0] for node in shape.edge]
    chosen = [
        frozenset(
            shape.parent_step[node]
            for node, root in zip(shape.edge, roots, strict=True)
            if root == mine and shape.trained[node]
        )
        for mine in sorted(set(roots))
    ]
    assert [len(steps) for steps in chosen] == [5] * 4
    assert len(set(chosen)) > 1
    assert predict_cost(shape).update == 20


def test_steps_that_are_not_trained_cost_no_gradient() -> None:
    half = plan(roots=4, explore=frozenset(range(9)), trained=frozenset({0, 1}))
    assert predict_cost(grow([half], 10)).update == 8


def test_given_leaves_cost_nothing() -> None:
    shape = grow([plan(given=2)] * 3, 10)
    cost = predict_cost(shape)
    assert (cost.sample, cost.update, cost.pictures, len(shape.leaf)) == (0, 0, 0, 6)


def test_parts_of_a_forest_are_the_trees_by_themselves() -> None:
    plans = [plan(forks={0: 3, 2: 3}, trunk=True), plan(roots=2, explore=frozenset({0, 1}))] * 2
    whole = grow(plans, 6)
    part, alone = whole.part(1, 3), grow(plans[1:3], 6)
    for column in ("tree", "local", "parent", "step", "stride", "explored", "anchor", "origin"):
        assert (getattr(part, column) == getattr(alone, column)).all()


def test_finished_latents_are_no_outcomes_of_a_path() -> None:
    """Of a dense chain's leaves one is where the path ended; elsewhere every leaf is."""
    dense = grow([plan(roots=3, explore=frozenset(range(4)), complete=True)], 6)
    assert (len(dense.leaf), int(dense.outcome.sum())) == (15, 3)
    forked = grow([plan(forks={0: 3, 2: 3}, trunk=True, strides=(1, 2))], 6)
    assert forked.outcome.all()
    assert grow([plan(roots=4)], 6).outcome.all()
