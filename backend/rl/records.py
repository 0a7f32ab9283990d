"""What an iteration leaves behind: its figures, and some of its trees with pictures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from backend.registry import rewards
from backend.rewards.compose import Term
from backend.rewards.interface import Scores
from backend.rl.credit import Credit, Credited, Floats, Group, partition
from backend.rl.evaluate import diversity
from backend.rl.hacking import leans, style_r2
from backend.rl.kernels import Coefficients
from backend.rl.recipe import RunConfig
from backend.rl.sampler import Rollouts, decode
from backend.rl.tree import Ints, Shape, TreePlan
from backend.rl.update import Pass
from backend.types import GroupRecord, NodeRecord, Pictures, Policy

_ALARMING = ("loss", "kl", "ratio_mean", "ratio_max_dev")
"""Figures that always exist after an update: without a finite value they are kept as what they are,
for a gap in the chart and an alarm."""


@dataclass(frozen=True)
class Forest:
    """All parts of an iteration as one; columns of nodes that another process grew are blank."""

    shape: Shape
    coefficients: Coefficients
    seed_N: Ints
    log_prob_N: Floats
    estimates: Mapping[int, Any]
    latents: Mapping[int, Any]
    mine: frozenset[int]
    """Trees that this process grew."""

    @staticmethod
    def of(
        shape: Shape, coefficients: Coefficients, seed_N: Ints, parts: Sequence[Rollouts]
    ) -> Forest:
        """Put parts back where they stand in the whole."""
        log_prob_N, mine = np.full(len(shape), np.nan), set()
        estimates: dict[int, Any] = {}
        latents: dict[int, Any] = {}
        for part in parts:
            log_prob_N[part.first : part.first + len(part.shape)] = part.log_prob_N
            estimates |= {node + part.first: x for node, x in part.estimates.items()}
            latents |= {node + part.first: x for node, x in part.latents.items()}
            mine |= set(shape.tree[part.first : part.first + len(part.shape)].tolist())
        return Forest(shape, coefficients, seed_N, log_prob_N, estimates, latents, frozenset(mine))


@dataclass(frozen=True)
class Iteration:
    """Everything one iteration produced, as the records need it."""

    config: RunConfig
    plans: Sequence[TreePlan]
    prompts: Sequence[str]
    terms: Sequence[Term]
    on: Literal["edges", "leaves"]
    """Where the objective reads advantages."""
    forest: Forest
    images: Pictures
    """(L, h, w, 3); blank where another process drew."""
    scores: Mapping[str, Scores]
    credited: Credited
    seen: Pass | None
    """Of the last pass of the update; None when nothing was kept."""

    def owns(self, group: Group) -> bool:
        """Whether this process has the group's pictures."""
        return group.tree in self.forest.mine

    def raw(self) -> Floats:
        """Σ w·raw / Σ|w| over the rewards present on each leaf, (L,): in the rewards' units."""
        terms = {t.name: t.weight for t in self.terms if t.name in self.scores and t.role == "sum"}
        value_KL = np.stack([self.scores[name].values for name in terms])
        weight_KL = np.where(np.isfinite(value_KL), np.array(list(terms.values()))[:, None], 0.0)
        size = np.abs(weight_KL).sum(axis=0)
        total = (weight_KL * np.nan_to_num(value_KL)).sum(axis=0)
        return np.asarray(np.divide(total, size, out=np.full_like(total, np.nan), where=size > 0))

    def spread(self, group: Group) -> float:
        """Standard deviation of the compared values, mean over the group's strides or steps."""
        stages = self.credited.composed.stages.values()
        raw_KI = np.stack([stage.weight * stage.raw for stage in stages])
        raw = np.where(np.isnan(raw_KI).all(axis=0), np.nan, np.nansum(raw_KI, axis=0))
        inside = [raw[self.credited.items.group_I == number] for number in group.ids]
        kept = [values[np.isfinite(values)] for values in inside]
        return _finite_mean([values.std(ddof=1) for values in kept if len(values) > 1])


def recorded_groups(
    shape: Shape, credit: Credit, num: int, trees: frozenset[int] | None = None
) -> list[Group]:
    """About `num` groups, spread evenly over the forest, or over some of its trees.

    All groups of a tree are taken, so that it can be drawn whole: as many trees as make no more
    than `num` groups, but at least one.
    """
    by_tree: dict[int, list[Group]] = {}
    for group in partition(shape, credit).groups:
        if trees is None or group.tree in trees:
            by_tree.setdefault(group.tree, []).append(group)
    if num <= 0 or not by_tree:
        return []
    whole = list(by_tree.values())
    most = max(num // max(map(len, whole)), 1)
    at = np.linspace(0, len(whole) - 1, min(most, len(whole))).round().astype(int)
    return [group for i in np.unique(at) for group in whole[i]]


def trunk_nodes(shape: Shape, groups: Sequence[Group]) -> frozenset[int]:
    """Nodes that lead to the forks of `groups`: their clean estimates are worth a picture."""
    return frozenset(n for g in groups if g.anchor >= 0 for n in shape.path(g.anchor))


def kept_nodes(shape: Shape, groups: Sequence[Group], most: int) -> frozenset[int]:
    """At most so many nodes whose latents are kept: what is drawn of `groups` but their leaves, the
    nodes nearest to the root first, so that of a large model's trees at least the forks are there.
    """
    inner: dict[int, None] = {}
    for group in groups:
        inner |= dict.fromkeys(n for n in drawn_nodes(shape, group) if shape.inner[n])
    return frozenset(sorted(inner, key=lambda node: int(shape.step[node]))[: max(most, 0)])


def iteration_metrics(it: Iteration) -> dict[str, float]:
    """The flat figures of one iteration. A figure that does not exist is left out; one of the
    update that has no finite value stays, so that people are told."""
    shape, credited = it.forest.shape, it.credited
    ended = shape.outcome
    leaf_tree = shape.tree[shape.leaf][ended]
    metrics: dict[str, float] = {}
    for name, scores in it.scores.items():
        by_tree = _means(scores.values[ended], leaf_tree)
        metrics[f"reward/{name}"] = _finite_mean(scores.values[ended])
        metrics[f"missing/{name}"] = scores.share_failed
        if len(by_tree) > 1:
            metrics[f"reward_se/{name}"] = float(by_tree.std(ddof=1) / math.sqrt(len(by_tree)))
    learned = credited.edge_N if it.on == "edges" else credited.leaf_N
    metrics |= {
        "spread": _finite_mean([it.spread(group) for group in credited.groups]),
        "advantage_std": float(np.nanstd(learned)) if np.isfinite(learned).any() else 0.0,
        "groups_kept": float(credited.kept),
        "groups_total": float(len(credited.groups)),
        "diversity": _finite_mean(
            [diversity(it.images[g.leaves[ended[g.leaves]]]) for g in credited.groups if it.owns(g)]
        ),
    }
    metrics |= _at_bound(it) | _agreement(it) | _style(it)
    if it.seen is not None:
        metrics |= _update_metrics(it.seen, it.forest.shape, it.config)
    return {n: value for n, value in metrics.items() if math.isfinite(value) or n in _ALARMING}


def _at_bound(it: Iteration) -> dict[str, float]:
    """Share of the samples that stand at an end of their reward's range.

    A reward that only compares inside a group always has a best and a worst; it is left out.
    """
    found = {}
    for term in it.config.rewards:
        ends = [end for end in getattr(rewards.get(term.kind), "RANGE", ()) if end is not None]
        relative = any(t.relative for t in it.terms if t.name == term.name)
        values = it.scores[term.name].values[it.forest.shape.outcome]
        values = values[np.isfinite(values)]
        if ends and not relative and len(values):
            found[f"bound/{term.name}"] = float(np.isclose(values[:, None], ends).any(1).mean())
    return found


def _agreement(it: Iteration) -> dict[str, float]:
    """Correlation inside a group between two trained rewards, mean over groups where both vary."""
    names = [term.name for term in it.config.rewards if term.name in it.scores]
    ended, found = it.forest.shape.outcome, {}
    for one, other in itertools.combinations(names, 2):
        a, b = it.scores[one].values, it.scores[other].values
        inside = [g.leaves[ended[g.leaves]] for g in it.credited.groups]
        value = _finite_mean([_correlation(a[leaves], b[leaves]) for leaves in inside])
        found[f"agreement/{one}|{other}"] = value
    return found


def _style(it: Iteration) -> dict[str, float]:
    """How much of the leaves' advantages their looks explain, and of where rewards fail."""
    shape, items = it.forest.shape, it.credited.items
    mine = np.isin(shape.tree[shape.leaf], list(it.forest.mine))
    there = np.flatnonzero(mine & (items.item_N[shape.leaf] >= 0))
    images, group_L = it.images[there], items.group_I[items.item_N[shape.leaf[there]]]
    learned = it.credited.leaf_N[shape.leaf[there]]
    return style_r2(learned, images, group_L) | leans(it.scores, there, images, group_L)


def _correlation(a: Floats, b: Floats) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 3 or a[both].std() < 1e-9 or b[both].std() < 1e-9:
        return math.nan
    return float(np.corrcoef(a[both], b[both])[0, 1])


def group_records(it: Iteration, groups: Sequence[Group], policy: Policy) -> list[GroupRecord]:
    """The chosen groups with their nodes and pictures."""
    raw = it.raw()
    return [_group_record(it, group, raw, policy) for group in groups]


def _group_record(it: Iteration, group: Group, raw: Floats, policy: Policy) -> GroupRecord:
    shape, composed = it.forest.shape, it.credited.composed
    values = raw[group.leaves[shape.outcome[group.leaves]]]
    trunk = _trunk(shape, group)
    above = drawn_nodes(shape, group)
    number = {node: idx for idx, node in enumerate(above)}
    shown = [it.forest.estimates[node] for node in trunk if node in it.forest.estimates]
    kept = set(composed.kept_groups)
    return GroupRecord(
        tree=group.tree,
        prompt=it.prompts[group.tree],
        fork_step=int(shape.step[group.anchor]) if group.anchor >= 0 else None,
        mean=_or_none(_finite_mean(values)),
        spread=_or_none(it.spread(group)),
        kept=any(number in kept for number in group.ids),
        reason="; ".join(dict.fromkeys(composed.reasons.get(i, "") for i in group.ids)).strip("; "),
        nodes=_nodes(it, group, above),
        images=it.images[group.leaves],
        trunk=decode(policy, _stack(shown)) if shown else None,
        detail=_detail(it, group),
        latents={
            number[node]: it.forest.latents[node].cpu().numpy()
            for node in above
            if node in it.forest.latents
        },
    )


def _trunk(shape: Shape, group: Group) -> Sequence[int]:
    return shape.path(group.anchor) if group.anchor >= 0 else []


def drawn_nodes(shape: Shape, group: Group) -> dict[int, int | None]:
    """Node of a group → the one it hangs from: roots, the trunk, explored nodes and leaves; what
    lies between them on a tail is left out."""
    trunk = _trunk(shape, group)
    kept: dict[int, int | None] = {}
    for node in shape.leaf[group.leaves].tolist():
        above: int | None = None
        for step_node in shape.path(node):
            inside = step_node in trunk or step_node == node or bool(shape.explored[step_node])
            if inside or shape.parent[step_node] < 0:
                kept.setdefault(step_node, above)
                above = step_node
    return kept


def _nodes(it: Iteration, group: Group, kept: Mapping[int, int | None]) -> list[NodeRecord]:
    leaf = it.forest.shape.leaf
    position = {int(leaf[at]): tile for tile, at in enumerate(group.leaves)}
    number = {node: idx for idx, node in enumerate(kept)}
    records = []
    for node, above in kept.items():
        tile = position.get(node)
        record = _node(it, node, tile, int(group.leaves[tile]) if tile is not None else None)
        record.idx, record.parent = number[node], None if above is None else number[above]
        records.append(record)
    return records


def _node(it: Iteration, node: int, tile: int | None, leaf: int | None) -> NodeRecord:
    shape, forest = it.forest.shape, it.forest
    explored, is_root = bool(shape.explored[node]), shape.parent[node] < 0
    step = int(shape.step[node])
    ratio = it.seen.ratio_N[node] if it.seen is not None else math.nan
    advantage = it.credited.edge_N[node]
    if leaf is not None and not explored:
        advantage = it.credited.leaf_N[node]
    return NodeRecord(
        idx=0,
        parent=None,
        kind="leaf" if leaf is not None else "child" if explored else "trunk",
        step=step,
        stride=int(shape.stride[node]),
        sigma=float(forest.coefficients.sigmas[step]),
        eta=forest.coefficients.kernel.level(step - 1) if explored else None,
        log_prob=_or_none(forest.log_prob_N[node]),
        ratio=_or_none(ratio),
        advantage=_or_none(advantage),
        rewards={} if leaf is None else _leaf_rewards(it, leaf, node),
        tile=tile,
        seed=int(forest.seed_N[node]) if explored or is_root else None,
    )


def _leaf_rewards(it: Iteration, leaf: int, node: int) -> dict[str, dict[str, Any]]:
    """What each reward said of a leaf, and what became of it in the item that speaks for it."""
    found, item = {}, int(it.credited.items.item_N[node])
    for name, stage in it.credited.composed.stages.items():
        columns = {"shaped": stage.shaped, "z": stage.z, "weight": stage.weight}
        columns["share"] = stage.share
        if stage.factor is not None:
            columns["factor"] = stage.factor
        told: dict[str, Any] = {
            "raw": _or_none(it.scores[name].values[leaf]),
            **{key: _or_none(c[item]) if item >= 0 else None for key, c in columns.items()},
            "status": _status(it, name, leaf, item),
        }
        if it.scores[name].spans:
            told["spans"] = [list(span) for span in it.scores[name].spans[leaf]]
        found[name] = told
    return found


def _status(it: Iteration, name: str, leaf: int, item: int) -> str:
    """Whether there is a value, or why not; a value that a gate has no use for says so."""
    gated, said = it.credited.composed.gated, it.scores[name].status[leaf]
    return "skipped_gate" if said == "ok" and gated is not None and gated[item] else said


def _detail(it: Iteration, group: Group) -> dict[str, Any]:
    plan, shape, compose = it.plans[group.tree], it.forest.shape, it.config.compose
    floors, more = it.credited.composed.floors, dict[str, Any]()
    if len(set(floors.values())) > 1:
        more["floors"] = floors
    if compose.combine != "each":
        more["combine"] = compose.combine
    if bouts := _bouts(it, group):
        more["bouts"] = bouts
    return {
        "sigmas": [round(float(sigma), 6) for sigma in it.forest.coefficients.sigmas],
        "kernel": plan.kernel.name,
        "eta": plan.kernel.eta,
        "fork_steps": sorted({*plan.forks, *plan.explore}),
        "strides": list(plan.strides),
        "nfe": int((shape.inner & (shape.tree == group.tree)).sum()),
        "scale": compose.scale,
        "floor": compose.floor,
        "clip": compose.clip,
        **more,
    }


def _bouts(it: Iteration, group: Group) -> dict[str, list[list[float]]]:
    """By reward: [tile shown first, tile shown second, how far the first was preferred]."""
    tile = {int(leaf): number for number, leaf in enumerate(group.leaves)}
    found = {}
    for name, scores in it.scores.items():
        inside = [
            [tile[one], tile[other], round(said, 3)]
            for one, other, said in scores.bouts
            if one in tile and other in tile
        ]
        if inside:
            found[name] = inside
    return found


def _update_metrics(seen: Pass, shape: Shape, config: RunConfig) -> dict[str, float]:
    trained = seen.trained_N & np.isfinite(seen.ratio_N)
    ratio = seen.ratio_N[trained]
    metrics = {"loss": seen.loss, "kl": seen.kl}
    if len(ratio):
        metrics["ratio_mean"] = float(ratio.mean())
        metrics["ratio_max_dev"] = float(np.abs(ratio - 1).max())
        metrics["clip_share"] = float(seen.clipped_N[trained].mean())
    on_edges = trained & shape.trained
    for step in np.unique(shape.parent_step[on_edges]):
        there = on_edges & (shape.parent_step == step)
        metrics[f"clip_share/{step}"] = float(seen.clipped_N[there].mean())
    return metrics | dict(seen.figures)


def _means(values: Floats, key: Any) -> Floats:
    """Mean of the present values of each key that has any."""
    has = np.isfinite(values)
    total = np.bincount(key[has], weights=values[has])
    count = np.bincount(key[has])
    return np.asarray(total[count > 0] / count[count > 0])


def _finite_mean(values: Any) -> float:
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]
    return float(array.mean()) if len(array) else math.nan


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _stack(latents: Sequence[Any]) -> Any:
    import torch

    return torch.stack(list(latents))
