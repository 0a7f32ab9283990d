"""Credit: rewards of leaves become one advantage on every explored edge, or on every leaf.

What is compared ("items") are leaves, or explored edges with a value of their own:

    value "leaf"      a leaf has its reward
          "mean"      an edge has the mean of the leaves below it                    (BranchGRPO)
          "softmax"   the same, branches weighted by the softmax of their log-probability
          "gain"      an edge has V(its end) − V(its start), V by ODE completion     (DenseGRPO)

Items compared with each other = one group: same tree ("tree"), same forking node ("fork"), or same
tree and step ("step"); always the same stride too, for a coarse tail looks worse. Then

    A(item) = compose(values of its group)                             (backend.rewards.compose)
    A(edge) = A(item) if edges are the items, else
              clip( Σ over strides of the mean of A(leaf) over the leaves below the edge )

With leaves as items, "tree" and "step" credit every explored edge on a leaf's path with that leaf
(Flow-GRPO); "fork" credits only the edge by which the siblings differ, so a decision is judged by
what followed from it alone (TempFlow-GRPO, arXiv 2508.04324; summed over strides: G²RPO,
arXiv 2510.01982). Where every edge has one leaf a stride, the advantages of a group sum to 0.

Pruning leaves out edges on no path to a kept leaf: the best share of a tree's leaves, or half of
the share from either end (BranchGRPO's width pruning, arXiv 2509.06040).

Letters: N nodes · L leaves · I items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backend.rewards.compose import PLAIN, Composed, Manner, Scale, Term, compose
from backend.rl.tree import Bools, Ints, Shape

Floats = NDArray[np.float64]
Prune = Literal["none", "best", "extremes"]


@dataclass(frozen=True)
class Credit:
    """What is compared, and with whom."""

    key: Literal["tree", "fork", "step"]
    value: Literal["leaf", "mean", "softmax", "gain"] = "leaf"
    prune: Prune = "none"
    keep: float = 0.5
    """Share of a tree's leaves whose paths are trained on when pruning."""


def by_prompt(config: Any) -> Credit:
    """The credit of most methods: all leaves of a prompt are compared."""
    return Credit(key="tree")


def by_fork(config: Any) -> Credit:
    """Siblings of one fork are compared, and it alone is credited."""
    return Credit(key="fork")


@dataclass(frozen=True)
class Group:
    """Leaves that are shown together: those compared, or the whole tree where edges are."""

    tree: int
    anchor: int
    """The node that forked, or −1 when the whole tree is the group."""
    leaves: Ints
    """Positions among the leaves."""
    ids: list[int]
    """Its group ids, one a stride (leaves) or a step (edges), as in `Items.group_I`."""


@dataclass(frozen=True)
class Items:
    """What is compared, known from the trees' shape alone."""

    node_I: Ints
    """The node of each item: a leaf, or the end of an explored edge."""
    group_I: Ints
    item_N: Ints
    """Item that speaks for each node: its own, or for a leaf that of the edge it values; −1."""
    groups: list[Group]


@dataclass(frozen=True)
class Credited:
    """Advantages of one batch of trees and how they came about."""

    edge_N: Floats
    """Advantage of the edge that leads to each node; NaN where nothing is learned from it."""
    leaf_N: Floats
    """Advantage of each leaf, at its node; NaN elsewhere and where nothing is learned from it."""
    items: Items
    composed: Composed
    """Every stage of every item's value."""

    @property
    def groups(self) -> list[Group]:
        """Leaves that are shown together."""
        return self.items.groups

    @property
    def kept(self) -> int:
        """Number of groups that teach something in at least one stride or step."""
        kept = set(self.composed.kept_groups)
        return sum(any(number in kept for number in group.ids) for group in self.groups)


def partition(shape: Shape, credit: Credit) -> Items:
    """Items, their group ids and the groups; all follow from the trees' shape alone."""
    node = shape.leaf if credit.value == "leaf" else shape.edge
    key = _key(shape, node, credit)
    columns = np.stack([key, shape.stride[node]], axis=1)
    if credit.key == "step":
        columns = np.stack([key, shape.parent_step[node]], axis=1)
    pairs, group_I = np.unique(columns, axis=0, return_inverse=True)
    item_N = np.full(len(shape), -1, dtype=np.int64)
    item_N[node] = np.arange(len(node))
    if credit.value != "leaf":
        for leaf in shape.leaf:
            above = next((n for n in reversed(shape.path(int(leaf))) if shape.explored[n]), -1)
            valued = int(shape.origin[leaf]) if shape.origin[leaf] >= 0 else above
            item_N[leaf] = item_N[valued] if valued >= 0 else -1
    return Items(node, group_I.reshape(-1).astype(np.int64), item_N, _groups(shape, credit, pairs))


def siblings(shape: Shape, credit: Credit) -> Ints:
    """Group id of each leaf, (L,), for rewards that compare leaves with each other."""
    leaf = shape.leaf
    if credit.value == "leaf":
        return partition(shape, credit).group_I
    stage = np.where(shape.origin[leaf] >= 0, shape.step[shape.origin[leaf]], shape.num_steps)
    columns = np.stack([shape.tree[leaf], stage], axis=1)
    return np.unique(columns, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def assign(  # noqa: PLR0913 - the settings of composition are passed on one by one
    shape: Shape,
    values: Mapping[str, Floats],
    terms: Sequence[Term],
    credit: Credit,
    *,
    scale: Scale,
    floor: float | Mapping[str, float],
    clip: float,
    renormalise: bool = False,
    manner: Manner = PLAIN,
    log_prob_N: Floats | None = None,
) -> Credited:
    """Advantages from the leaves' rewards, each (L,), NaN where missing.

    `log_prob_N` weighs the branches of value "softmax".
    """
    items = partition(shape, credit)
    values = item_values(shape, values, credit, log_prob_N)
    if credit.value != "leaf" and manner.doubt:
        doubt = item_values(shape, manner.doubt, replace(credit, value="mean"), None)
        manner = replace(manner, doubt=doubt)
    composed = compose(
        values,
        items.group_I,
        terms,
        scale=scale,
        floor=floor,
        clip=clip,
        renormalise=renormalise,
        manner=manner,
    )
    leaf_N = np.full(len(shape), np.nan)
    spoken = items.item_N[shape.leaf]
    used = (spoken >= 0) & composed.used[spoken]
    leaf_N[shape.leaf[used]] = composed.total[spoken[used]]
    if credit.value == "leaf":
        edge_N = np.clip(_back_up(shape, composed, credit), -clip, clip)
    else:
        edge_N = np.full(len(shape), np.nan)
        edge_N[items.node_I[composed.used]] = composed.total[composed.used]
    edge_N[~shape.trained] = np.nan
    edge_N[_pruned(shape, leaf_N, credit)] = np.nan
    return Credited(edge_N, leaf_N, items, composed)


def item_values(
    shape: Shape, values: Mapping[str, Floats], credit: Credit, log_prob_N: Floats | None
) -> Mapping[str, Floats]:
    """Each reward's values of what is compared, (I,), from those of the leaves, (L,)."""
    if credit.value == "leaf":
        return values
    return {name: _edge_values(shape, v, credit, log_prob_N) for name, v in values.items()}


def _key(shape: Shape, node: Ints, credit: Credit) -> Ints:
    return shape.anchor[node] if credit.key == "fork" else shape.tree[node]


def _groups(shape: Shape, credit: Credit, pairs: Ints) -> list[Group]:
    """Leaves by tree or by fork, with the ids of the items' groups that belong to them."""
    key_L = _key(shape, shape.leaf, credit)
    groups = []
    for value in np.unique(pairs[:, 0]):
        members = np.flatnonzero(key_L == value)
        ids = np.flatnonzero(pairs[:, 0] == value).tolist()
        anchor = int(value) if credit.key == "fork" else -1
        groups.append(Group(int(shape.tree[shape.leaf[members[0]]]), anchor, members, ids))
    return groups


def _edge_values(
    shape: Shape, value_L: Floats, credit: Credit, log_prob_N: Floats | None
) -> Floats:
    """The value of each explored edge, in the order of `shape.edge`."""
    if credit.value == "gain":
        worth = _completions(shape, value_L)
        return np.asarray(worth[shape.edge] - worth[shape.parent[shape.edge]])
    weight = np.ones(len(shape))
    if credit.value == "softmax" and log_prob_N is not None:
        weight = np.exp(np.where(np.isfinite(log_prob_N), _centred(shape, log_prob_N), 0.0))
    total, mass, known = np.zeros(len(shape)), np.zeros(len(shape)), np.isfinite(value_L)
    total[shape.leaf[known]], mass[shape.leaf[known]] = value_L[known], 1.0
    for node in range(len(shape) - 1, -1, -1):  # children stand after their parents
        above = shape.parent[node]
        if above >= 0:
            total[above] += weight[node] * total[node]
            mass[above] += weight[node] * mass[node]
    return np.asarray(np.divide(total, mass, out=np.full(len(shape), np.nan), where=mass > 0))[
        shape.edge
    ]


def _completions(shape: Shape, value_L: Floats) -> Floats:
    """V of each node: its reward if it is a leaf, else that of the ODE tail which finishes it."""
    worth = np.full(len(shape), np.nan)
    worth[shape.leaf] = value_L
    origin = shape.origin[shape.leaf]
    finished = origin >= 0
    worth[origin[finished]] = value_L[finished]
    return worth


def _centred(shape: Shape, log_prob_N: Floats) -> Floats:
    """Log-probability of each edge minus the largest of its siblings."""
    top = np.full(len(shape) + 1, -np.inf)
    np.maximum.at(top, shape.parent, np.where(np.isfinite(log_prob_N), log_prob_N, -np.inf))
    return np.asarray(log_prob_N - top[shape.parent])


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


def _pruned(shape: Shape, leaf_N: Floats, credit: Credit) -> Bools:
    """Nodes on no path to a leaf that pruning keeps."""
    gone = np.zeros(len(shape), dtype=bool)
    if credit.prune == "none":
        return gone
    gone[:] = True
    for tree in np.unique(shape.tree):
        mine = shape.leaf[shape.tree[shape.leaf] == tree]
        ranked = mine[np.argsort(leaf_N[mine], kind="stable")]
        ranked = ranked[np.isfinite(leaf_N[ranked])]
        num = max(round(credit.keep * len(ranked)), 1)
        low = num // 2 if credit.prune == "extremes" else 0
        for leaf in [*ranked[:low], *ranked[len(ranked) - (num - low) :]]:
            gone[shape.path(int(leaf))] = False
    return gone
