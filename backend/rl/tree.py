"""The rollout tree on paper: from a method's plan to a table of nodes, before anything is sampled.

A node is a latent at a step of the schedule; the edge that leads to it either explores (kernel S
or C) or is ODE; a leaf is at step T. Because the shape is known beforehand, so is the cost:
**every inner node is evaluated exactly once**, whatever leaves it, so NFE = inner nodes, and an
update costs one forward/backward for each node that an explored edge leaves.

    plan                                                  gives
    roots=G, explore=all                                  Flow-GRPO: G chains, each its own noise
    forks={0: G}, explore=window                          MixGRPO, DanceGRPO: one noise for all
    forks={k: G}, trunk=True                              one fork at step k of an ODE trunk
    forks={0: G, 1: G, …}, trunk=True, strides=(1, 2)     G²RPO
    roots=4, forks={0: 6, 1: 6, …}, trunk=True            TempFlow-GRPO
    forks={0: 2, 3: 2, 6: 2, 9: 2}, explore=all           BranchGRPO
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backend.errors import ConfigError
from backend.rl.kernels import Kernel
from backend.rl.sigma import tail

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class TreePlan:
    """Where one prompt's tree explores, where it branches, and how its branches are finished."""

    kernel: Kernel
    roots: int = 1
    """Initial noises; a chain or a trunk grows from each."""
    explore: frozenset[int] = frozenset()
    """Steps at which every path explores with a single child."""
    forks: Mapping[int, int] = field(default_factory=dict)
    """Step → number of explored children."""
    trunk: bool = False
    """The forks leave an ODE trunk that goes on to the last one; children are finished by ODE."""
    strides: tuple[int, ...] = (1,)
    """Each branch is finished once with each stride λ: every λ-th sigma of what is left."""

    def check(self, num_steps: int) -> None:
        """Raise ConfigError if the tree cannot be grown in `num_steps` steps."""
        decisions = sorted({*self.explore, *self.forks})
        if not decisions:
            raise ConfigError(
                "The tree explores nowhere, so nothing can be compared; name a step to fork or to "
                "explore.",
                field="fork_steps",
            )
        if decisions[0] < 0 or decisions[-1] >= num_steps:
            wrong = next(step for step in decisions if not 0 <= step < num_steps)
            raise ConfigError(
                f"Step {wrong} cannot be explored: with {num_steps} steps the choices are "
                f"0 to {num_steps - 1}.",
                field="fork_steps",
            )
        small = [step for step, children in self.forks.items() if children < 2]
        if small or (not self.forks and self.roots < 2):
            raise ConfigError(
                "A group of 1 has nobody to be compared with; give a group at least 2 members.",
                field="group_size",
            )
        left = num_steps - (decisions[-1] + 1)
        long = [stride for stride in self.strides if stride < 1 or (stride > 1 and stride > left)]
        if long or len(set(self.strides)) < len(self.strides) or not self.strides:
            raise ConfigError(
                f"Strides {list(self.strides)} do not fit: after the last explored step "
                f"({decisions[-1]}) {left} steps are left; give different strides from 1 to "
                f"{max(left, 1)}.",
                field="strides",
            )


@dataclass(frozen=True)
class Shape:
    """Nodes of one or many trees as columns of length N; a parent stands before its children."""

    num_steps: int
    tree: Ints
    """Which tree."""
    local: Ints
    """Number of the node inside its own tree; noise is seeded by it."""
    parent: Ints
    """−1 for a root."""
    step: Ints
    """Index of the node's sigma, 0 to T."""
    stride: Ints
    """Stride of the tail the node lies on; 1 elsewhere."""
    explored: Bools
    """The edge that led here explored."""
    anchor: Ints
    """Of a node below a fork: the node that forked, the last one on its path; else −1."""

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def inner(self) -> Bools:
        """Nodes that something leaves: each is evaluated once."""
        flag = np.zeros(len(self), dtype=bool)
        flag[self.parent[self.parent >= 0]] = True
        return flag

    @property
    def leaf(self) -> Ints:
        """Nodes at step T, in order."""
        return np.flatnonzero(self.step == self.num_steps)

    @property
    def edge(self) -> Ints:
        """Explored edges, each named by the node it leads to."""
        return np.flatnonzero(self.explored)

    @property
    def deciding(self) -> Bools:
        """Nodes that an explored edge leaves: the update evaluates these, with gradient."""
        flag = np.zeros(len(self), dtype=bool)
        flag[self.parent[self.explored]] = True
        return flag

    def path(self, node: int) -> list[int]:
        """Nodes from the root to `node`, both included."""
        nodes = []
        while node >= 0:
            nodes.append(node)
            node = int(self.parent[node])
        return nodes[::-1]


@dataclass(frozen=True)
class Cost:
    """What one iteration costs before guidance doubles it: network evaluations and pictures."""

    sample: int
    """Evaluations without gradient."""
    update: int
    """Forward/backward evaluations in one pass over the rollouts."""
    pictures: int
    """Leaves to decode and to score."""


def grow(plans: Sequence[TreePlan], num_steps: int) -> Shape:
    """The table of nodes of one tree for each plan."""
    rows: list[tuple[int, ...]] = []
    for tree, plan in enumerate(plans):
        plan.check(num_steps)
        _grow_one(plan, tree, num_steps, rows)
    tree_N, local, parent, step, stride, explored, anchor = np.array(rows, dtype=np.int64).T
    return Shape(num_steps, tree_N, local, parent, step, stride, explored.astype(bool), anchor)


def predict_cost(shape: Shape) -> Cost:
    """Count the evaluations that the sampler and one pass of the update will make."""
    return Cost(int(shape.inner.sum()), int(shape.deciding.sum()), len(shape.leaf))


def _grow_one(plan: TreePlan, tree: int, num_steps: int, rows: list[tuple[int, ...]]) -> None:
    """Depth-first growth; every branch carries (node, its step, the node it forked from)."""
    first = len(rows)
    last = max({*plan.explore, *plan.forks})

    def add(parent: int, step: int, stride: int, explored: bool, anchor: int) -> int:
        rows.append((tree, len(rows) - first, parent, step, stride, explored, anchor))
        return len(rows) - 1

    def finish(node: int, step: int, anchor: int) -> None:
        for stride in plan.strides if step < num_steps else ():
            at = node
            for later in tail(step, num_steps, stride)[1:]:
                at = add(at, later, stride, False, anchor)

    def walk(node: int, step: int, anchor: int) -> None:
        if step > last:
            finish(node, step, anchor)
        elif step in plan.forks:
            for _ in range(plan.forks[step]):
                child = add(node, step + 1, 1, True, node)
                (finish if plan.trunk else walk)(child, step + 1, node)
            if plan.trunk and step < last:
                walk(add(node, step + 1, 1, False, anchor), step + 1, anchor)
        else:
            walk(add(node, step + 1, 1, step in plan.explore, anchor), step + 1, anchor)

    for _ in range(plan.roots):
        walk(add(-1, 0, 1, False, -1), 0, -1)
