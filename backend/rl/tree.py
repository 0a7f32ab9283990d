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
    roots=G, explore=all, complete=True                   DenseGRPO: every node finished by ODE too
    roots=G                                               DiffusionNFT, AWM: plain samples
    given=2                                               Flow-DPO: the leaves are stored pictures
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.config import Config
from backend.errors import ConfigError
from backend.rl.kernels import Kernel, Solver
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
    solver: Solver = "euler"
    """How a branch is finished after its last explored step."""
    complete: bool = False
    """Every node that an explored edge leaves is finished by ODE as well, to value it."""
    trained: frozenset[int] | None = None
    """Steps whose explored edges are trained on; None: all of them."""
    train_share: float = 1.0
    """Share of those steps that is trained on, drawn anew for each path, rounded down."""
    given: int = 0
    """So many leaves are given instead of grown: stored pictures, nothing is sampled."""

    def check(self, num_steps: int) -> None:
        """Raise ConfigError if the tree cannot be grown in `num_steps` steps."""
        decisions = sorted({*self.explore, *self.forks})
        if decisions and not 0 <= decisions[0] <= decisions[-1] < num_steps:
            wrong = next(step for step in decisions if not 0 <= step < num_steps)
            raise ConfigError(
                f"Step {wrong} cannot be explored: with {num_steps} steps the choices are "
                f"0 to {num_steps - 1}.",
                field="fork_steps",
            )
        small = [step for step, children in self.forks.items() if children < 2]
        if small or (not self.forks and max(self.roots, self.given) < 2):
            raise ConfigError(
                "A group of 1 has nobody to be compared with; give a group at least 2 members.",
                field="group_size",
            )
        left = num_steps - (decisions[-1] + 1 if decisions else 0)
        long = [stride for stride in self.strides if stride < 1 or (stride > 1 and stride > left)]
        if long or len(set(self.strides)) < len(self.strides) or not self.strides:
            raise ConfigError(
                f"Strides {list(self.strides)} do not fit: after the last explored step "
                f"({decisions[-1]}) {left} steps are left; give different strides from 1 to "
                f"{max(left, 1)}."
                if decisions
                else f"Strides {list(self.strides)} do not fit: {left} steps are left; give "
                f"different strides from 1 to {max(left, 1)}.",
                field="strides",
            )
        if decisions and not self.trains():
            raise ConfigError(
                f"Of {len(decisions)} explored steps none would be trained on; train a larger "
                "share of them, or other steps.",
                field="train_share",
            )

    def trains(self) -> int:
        """Steps that each path trains on."""
        return int(self.train_share * len(self.trainable) + 1e-9)

    @property
    def trainable(self) -> list[int]:
        """Explored steps that may be trained on, in order."""
        decisions = {*self.explore, *self.forks}
        return sorted(decisions if self.trained is None else decisions & self.trained)


class RootSettings(Config):
    """Settings of every method whose paths may begin together or apart."""

    same_noise: bool = False
    """All paths of a prompt share their noise and everything before they part."""


def chains(
    kernel: Kernel, group_size: int, steps: Iterable[int], *, same_noise: bool, **more: Any
) -> TreePlan:
    """`group_size` paths that explore at `steps`.

    From one noise they share everything before the first of these steps, and fork there; else each
    grows from its own. `more` are settings of the plan.
    """
    explored = sorted(set(steps))
    if not same_noise:
        return TreePlan(kernel, roots=group_size, explore=frozenset(explored), **more)
    first, rest = explored[:1], frozenset(explored[1:])
    return TreePlan(kernel, forks=dict.fromkeys(first, group_size), explore=rest, **more)


def rotated(steps: Sequence[int], num: int, turn: int) -> list[int]:
    """`num` of the steps, those whose turn it is; all of them where `num` is 0."""
    ordered = sorted(set(steps))
    take = min(num or len(ordered), len(ordered))
    return [ordered[(turn * take + i) % len(ordered)] for i in range(take)]


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
    trained: Bools
    """The edge that led here explored and is trained on."""
    anchor: Ints
    """Of a node below a fork: the node that forked, the last one on its path; else −1."""
    origin: Ints
    """Of a node on a tail: the node that the tail finishes; else −1."""

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
    def outcome(self) -> Bools:
        """(L,) leaves in which a path ends, and not only a latent on its way was finished."""
        goes_on = np.zeros(len(self), dtype=bool)
        goes_on[self.parent[self.explored]] = True
        origin = self.origin[self.leaf]
        return np.asarray((origin < 0) | ~goes_on[origin])

    @property
    def edge(self) -> Ints:
        """Explored edges, each named by the node it leads to."""
        return np.flatnonzero(self.explored)

    @property
    def deciding(self) -> Bools:
        """Nodes that a trained edge leaves: the update evaluates these, with gradient."""
        flag = np.zeros(len(self), dtype=bool)
        flag[self.parent[self.trained]] = True
        return flag

    @property
    def trained_steps(self) -> tuple[int, ...]:
        """Steps that some trained edge leaves, in order."""
        return tuple(np.unique(self.parent_step[self.trained]).tolist())

    @property
    def parent_step(self) -> Ints:
        """Step that the edge to each node leaves; −1 for a root."""
        return np.where(self.parent >= 0, self.step[self.parent], -1)

    def part(self, first: int, last: int) -> Shape:
        """The trees `first` to `last` (excluded) by themselves, numbered from 0."""
        start, end = np.searchsorted(self.tree, [first, last]).tolist()

        def moved(column: Ints) -> Ints:
            return np.where(column[start:end] >= 0, column[start:end] - start, -1)

        return replace(
            self,
            tree=self.tree[start:end] - first,
            local=self.local[start:end],
            parent=moved(self.parent),
            step=self.step[start:end],
            stride=self.stride[start:end],
            explored=self.explored[start:end],
            trained=self.trained[start:end],
            anchor=moved(self.anchor),
            origin=moved(self.origin),
        )

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


def grow(plans: Sequence[TreePlan], num_steps: int, seed: int = 0) -> Shape:
    """The table of nodes of one tree for each plan; `seed` draws the steps of a `train_share`."""
    rows: list[tuple[int, ...]] = []
    for tree, plan in enumerate(plans):
        plan.check(num_steps)
        _Growth(plan, tree, num_steps, rows, np.random.default_rng([seed, tree])).grow()
    tree_N, local, parent, step, stride, explored, trained, anchor, origin = np.array(
        rows, dtype=np.int64
    ).T
    flags = explored.astype(bool), trained.astype(bool)
    return Shape(num_steps, tree_N, local, parent, step, stride, *flags, anchor, origin)


def predict_cost(shape: Shape) -> Cost:
    """Count the evaluations that the sampler and one pass over the explored edges will make."""
    drawn = shape.step[shape.leaf] > 0
    drawn &= shape.parent[shape.leaf] >= 0
    return Cost(int(shape.inner.sum()), int(shape.deciding.sum()), int(drawn.sum()))


@dataclass
class _Growth:
    """Depth-first growth of one tree into `rows`."""

    plan: TreePlan
    tree: int
    num_steps: int
    rows: list[tuple[int, ...]]
    rng: np.random.Generator

    def grow(self) -> None:
        """All roots and what grows from them."""
        self.first = len(self.rows)
        self.last = max({*self.plan.explore, *self.plan.forks}, default=-1)
        for _ in range(self.plan.given):
            self.add(-1, self.num_steps)
        for _ in range(self.plan.roots if not self.plan.given else 0):
            self.walk(self.add(-1, 0), 0, -1, self.chosen())

    def chosen(self) -> frozenset[int]:
        """The steps that the path which begins here trains on."""
        steps, num = self.plan.trainable, self.plan.trains()
        if num == len(steps):
            return frozenset(steps)
        return frozenset(self.rng.choice(steps, size=num, replace=False).tolist())

    def add(
        self,
        parent: int,
        step: int,
        *,
        stride: int = 1,
        explored: bool = False,
        trained: bool = False,
        anchor: int = -1,
        origin: int = -1,
    ) -> int:
        local = len(self.rows) - self.first
        self.rows.append(
            (self.tree, local, parent, step, stride, explored, trained, anchor, origin)
        )
        return len(self.rows) - 1

    def finish(self, node: int, step: int, anchor: int) -> None:
        """The tails of a node, one a stride."""
        for stride in self.plan.strides if step < self.num_steps else ():
            at = node
            for later in tail(step, self.num_steps, stride)[1:]:
                at = self.add(at, later, stride=stride, anchor=anchor, origin=node)

    def walk(self, node: int, step: int, anchor: int, trains: frozenset[int]) -> None:
        """What leaves a node on a path; `anchor` is the node it forked from."""
        plan = self.plan
        if step > self.last:
            self.finish(node, step, anchor)
            return
        explores = step in plan.forks or step in plan.explore
        if plan.complete and explores:
            self.finish(node, step, anchor)
        if step not in plan.forks:
            flags = {"explored": explores, "trained": explores and step in trains}
            child = self.add(node, step + 1, anchor=anchor, **flags)
            self.walk(child, step + 1, anchor, trains)
            return
        for _ in range(plan.forks[step]):
            own = self.chosen()
            child = self.add(node, step + 1, explored=True, trained=step in own, anchor=node)
            if plan.trunk:
                self.finish(child, step + 1, node)
            else:
                self.walk(child, step + 1, node, own)
        if plan.trunk and step < self.last:
            self.walk(self.add(node, step + 1, anchor=anchor), step + 1, anchor, trains)
