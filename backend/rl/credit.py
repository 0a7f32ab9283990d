"""Credit: rewards of leaves become one advantage on every explored edge.

    leaves compared with each other = one group: same tree ("tree"), or same forking node ("fork"),
                                      and always the same stride, for a coarse tail looks worse
    A(leaf) = compose(rewards of its group)                             (backend.rewards.compose)
    A(edge) = clip( Σ over strides of the mean of A(leaf) over the leaves below the edge )

"tree" credits every explored edge on a leaf's path with that leaf (Flow-GRPO); "fork" credits only
the edge by which the siblings differ, so a decision is judged by what followed from it alone
(TempFlow-GRPO, arXiv 2508.04324; summed over strides: G²RPO, arXiv 2510.01982). Where every edge
has one leaf a stride, the advantages of a group sum to 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from backend.rewards.compose import Composed, Scale, Term, compose
from backend.rl.tree import Ints, Shape

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Credit:
    """Which leaves are compared."""

    key: Literal["tree", "fork"]


@dataclass(frozen=True)
class Group:
    """Leaves of one tree that share what they are compared by, in all strides."""

    tree: int
    anchor: int
    """The node that forked, or −1 when the whole tree is the group."""
    leaves: Ints
    """Positions among the leaves."""
    ids: list[int]
    """Its group ids, one a stride, as in `Credited.group_L`."""


@dataclass(frozen=True)
class Credited:
    """Advantages of one batch of trees and how they came about."""

    edge_N: Floats
    """Advantage of the edge that leads to each node; NaN where nothing is learned from it."""
    group_L: Ints
    """Group id of each leaf."""
    groups: list[Group]
    composed: Composed
    """Every stage of every leaf's value."""

    @property
    def kept(self) -> int:
        """Number of groups that teach something in at least one stride."""
        kept = set(self.composed.kept_groups)
        return sum(any(number in kept for number in group.ids) for group in self.groups)


def partition(shape: Shape, credit: Credit) -> tuple[Ints, list[Group]]:
    """Group id of each leaf, (L,), and the groups; both follow from the trees' shape alone."""
    leaf = shape.leaf
    key = shape.tree[leaf] if credit.key == "tree" else shape.anchor[leaf]
    columns = np.stack([key, shape.stride[leaf]], axis=1)
    pairs, group_L = np.unique(columns, axis=0, return_inverse=True)
    groups = []
    for value in np.unique(key):
        members = np.flatnonzero(key == value)
        ids = np.flatnonzero(pairs[:, 0] == value).tolist()
        anchor = -1 if credit.key == "tree" else int(value)
        groups.append(Group(int(shape.tree[leaf[members[0]]]), anchor, members, ids))
    return group_L.reshape(-1).astype(np.int64), groups


def assign(
    shape: Shape,
    values: Mapping[str, Floats],
    terms: Sequence[Term],
    credit: Credit,
    *,
    scale: Scale,
    floor: float,
    clip: float,
) -> Credited:
    """Advantages of all explored edges from the leaves' rewards, each (L,), NaN where missing."""
    group_L, groups = partition(shape, credit)
    composed = compose(values, group_L, terms, scale=scale, floor=floor, clip=clip)
    edge_N = np.clip(_back_up(shape, composed, credit), -clip, clip)
    return Credited(edge_N, group_L, groups, composed)


def _back_up(shape: Shape, composed: Composed, credit: Credit) -> Floats:
    """Σ over strides of the mean over used leaves below each credited edge; (N,), NaN elsewhere."""
    leaf = shape.leaf
    strides, column = np.unique(shape.stride[leaf], return_inverse=True)
    total = np.zeros((len(shape), len(strides)))
    count = np.zeros_like(total)
    node, alive = leaf.copy(), composed.used.copy()
    while alive.any():
        here, col = node[alive], column[alive]
        credited = shape.explored[here]
        if credit.key == "fork":
            credited &= shape.parent[here] == shape.anchor[leaf[alive]]
        np.add.at(total, (here[credited], col[credited]), composed.total[alive][credited])
        np.add.at(count, (here[credited], col[credited]), 1.0)
        node = np.where(alive, shape.parent[node], -1)
        alive &= node >= 0
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return np.where((count > 0).any(axis=1), mean.sum(axis=1), np.nan)
