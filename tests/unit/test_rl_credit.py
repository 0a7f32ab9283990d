"""Credit: who is compared with whom, and what an edge gets of it."""

from __future__ import annotations

import numpy as np
import pytest

from backend.rewards.compose import Term
from backend.rl.credit import Credit, Credited, assign, partition
from backend.rl.kernels import Kernel
from backend.rl.tree import Shape, TreePlan, grow

KERNEL = Kernel("flow-sde", 0.7)
FORKED = TreePlan(KERNEL, forks={0: 4, 2: 4}, trunk=True, strides=(1, 2))
CHAINS = TreePlan(KERNEL, roots=4, explore=frozenset(range(5)))


def credited(shape: Shape, values: np.ndarray, key: str, **settings: object) -> Credited:
    options = {"scale": "batch", "floor": 1e-3, "clip": 5.0} | settings
    return assign(shape, {"r": values}, [Term("r")], Credit(key), **options)  # type: ignore[arg-type]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("scale", ["batch", "group", "none"])
def test_advantages_of_siblings_sum_to_zero(rng: np.random.Generator, scale: str) -> None:
    shape = grow([FORKED, FORKED], 6)
    result = credited(shape, rng.normal(size=len(shape.leaf)), "fork", scale=scale)
    for parent in np.flatnonzero(shape.deciding):
        siblings = shape.explored & (shape.parent == parent)
        assert abs(result.edge_N[siblings].sum()) < 1e-12


def test_an_edge_gets_the_sum_over_strides_of_its_leaves(rng: np.random.Generator) -> None:
    shape = grow([FORKED], 6)
    result = credited(shape, rng.normal(size=len(shape.leaf)), "fork")
    for edge in shape.edge:
        below = [i for i, leaf in enumerate(shape.leaf) if edge in shape.path(int(leaf))]
        assert len(below) == 2
        assert np.isclose(result.edge_N[edge], result.composed.total[below].sum())


def test_strides_are_never_compared_with_each_other() -> None:
    """A coarse tail looks worse; if that alone counted, every child would be punished."""
    shape = grow([FORKED], 6)
    quality = np.where(shape.stride[shape.leaf] == 2, -10.0, 0.0)
    result = credited(shape, quality + 1e-2 * np.arange(len(quality)), "fork", scale="none")
    assert np.nanmax(np.abs(result.edge_N)) < 1


def test_a_chains_advantage_goes_to_all_its_edges(rng: np.random.Generator) -> None:
    shape = grow([CHAINS, CHAINS], 6)
    result = credited(shape, rng.normal(size=8), "tree")
    for i, leaf in enumerate(shape.leaf):
        edges = [node for node in shape.path(int(leaf)) if shape.explored[node]]
        assert len(edges) == 5
        assert np.allclose(result.edge_N[edges], result.composed.total[i])


def test_a_group_that_is_all_equal_or_all_missing_is_skipped_and_counted(
    rng: np.random.Generator,
) -> None:
    shape = grow([CHAINS] * 4, 6)
    values = rng.normal(size=16)
    values[4:8], values[8:12] = 0.5, np.nan
    values[13:16] = np.nan
    result = credited(shape, values, "tree")
    assert (result.kept, len(result.groups)) == (1, 4)
    dead = np.isin(shape.tree, [1, 2, 3])
    assert np.isnan(result.edge_N[dead]).all()
    assert set(result.composed.reasons) == {1, 2, 3}


def test_a_missing_reward_takes_its_sample_out_and_leaves_the_rest_balanced(
    rng: np.random.Generator,
) -> None:
    shape = grow([CHAINS], 6)
    values = rng.normal(size=4)
    values[2] = np.nan
    result = credited(shape, values, "tree")
    gone = shape.path(int(shape.leaf[2]))
    assert np.isnan(result.edge_N[gone]).all()
    first_edges = shape.explored & (shape.step == 1)
    assert abs(np.nansum(result.edge_N[first_edges])) < 1e-12


def test_the_clip_bounds_the_sum_over_strides() -> None:
    shape = grow([FORKED], 6)
    values = np.zeros(len(shape.leaf))
    values[0] = values[1] = 1e3
    result = credited(shape, values, "fork", scale="none", clip=5.0)
    assert np.nanmax(np.abs(result.edge_N)) == 5.0


def test_groups_are_known_before_anything_is_sampled() -> None:
    shape = grow([FORKED, FORKED], 6)
    items = partition(shape, Credit("fork"))
    group_L, groups = items.group_I, items.groups
    assert len(groups) == 4
    assert len(np.unique(group_L)) == 8
    assert sorted(np.concatenate([g.leaves for g in groups])) == list(range(len(shape.leaf)))


def test_a_gain_is_the_value_after_the_step_less_that_before() -> None:
    """Two chains of two noisy steps in T = 3. Completions: V(x₀), V(x₁), and x₂'s is the leaf.

    Chain one: 0, 1, 3 → gains 1, 2. Chain two: 0, 3, 2 → gains 3, −1. Per step, unscaled and
    centred: step 0: −1, +1; step 1: +1.5, −1.5.
    """
    dense = TreePlan(KERNEL, roots=2, explore=frozenset({0, 1}), complete=True)
    shape = grow([dense], 3)
    worth = {}
    for chain, values in enumerate([[0.0, 1.0, 3.0], [0.0, 3.0, 2.0]]):
        root = np.flatnonzero(shape.parent < 0)[chain]
        for step, value in enumerate(values):
            on_chain = [
                n for n in range(len(shape)) if shape.step[n] == step and shape.origin[n] < 0
            ]
            node = next(n for n in on_chain if shape.path(n)[0] == root)
            worth[node] = value
    values = np.array([worth[int(shape.origin[leaf])] for leaf in shape.leaf])
    credit = Credit("step", "gain")
    result = assign(shape, {"r": values}, [Term("r")], credit, scale="none", floor=0.0, clip=9.0)
    by_step = {s: result.edge_N[shape.edge[shape.parent_step[shape.edge] == s]] for s in (0, 1)}
    assert by_step[0].tolist() == [-1.0, 1.0]
    assert by_step[1].tolist() == [1.5, -1.5]


def test_an_edge_of_a_branching_tree_is_worth_the_mean_of_its_leaves() -> None:
    """Leaves 0, 2 | 4, 10 below a split at step 0: means 1 and 7; depth 1: 0, 2, 4, 10."""
    branch = TreePlan(KERNEL, forks={0: 2, 1: 2})
    shape = grow([branch], 3)
    credit = Credit("step", "mean")
    values = np.array([0.0, 2.0, 4.0, 10.0])
    result = assign(shape, {"r": values}, [Term("r")], credit, scale="none", floor=0.0, clip=9.0)
    first = shape.edge[shape.parent_step[shape.edge] == 0]
    second = shape.edge[shape.parent_step[shape.edge] == 1]
    assert result.edge_N[first].tolist() == [-3.0, 3.0]
    assert result.edge_N[second].tolist() == [-4.0, -2.0, 0.0, 6.0]
    assert (len(result.groups), result.kept) == (1, 1)


def test_softmax_back_up_leans_to_the_likelier_branch() -> None:
    shape = grow([TreePlan(KERNEL, forks={0: 2, 1: 2})], 3)
    log_prob = np.full(len(shape), np.nan)
    log_prob[shape.edge] = 0.0
    likelier = shape.edge[shape.parent_step[shape.edge] == 1][1]
    log_prob[likelier] = np.log(3.0)
    values = np.array([0.0, 4.0, 1.0, 1.0])
    credit, options = Credit("step", "softmax"), {"scale": "none", "floor": 0.0, "clip": 9.0}
    result = assign(shape, {"r": values}, [Term("r")], credit, log_prob_N=log_prob, **options)  # type: ignore[arg-type]
    first = shape.edge[shape.parent_step[shape.edge] == 0]
    assert result.edge_N[first] == pytest.approx([1.0, -1.0])  # (3·4 + 1·0)/4 = 3 against 1


def test_pruning_keeps_the_paths_of_the_best_and_the_worst(rng: np.random.Generator) -> None:
    shape = grow([TreePlan(KERNEL, forks={0: 2, 1: 2, 2: 2})], 4)
    values = np.arange(8.0)
    kept = {}
    for prune, keep in (("extremes", 0.25), ("best", 0.25)):
        credit = Credit("step", "mean", prune, keep)  # type: ignore[arg-type]
        result = assign(
            shape, {"r": values}, [Term("r")], credit, scale="none", floor=0.0, clip=9.0
        )
        last = shape.edge[shape.parent_step[shape.edge] == 2]
        kept[prune] = np.flatnonzero(np.isfinite(result.edge_N[last])).tolist()
    assert kept == {"extremes": [0, 7], "best": [6, 7]}
