"""What an iteration leaves behind: its figures, and some of its trees with pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.rewards.interface import Scores
from backend.rl.credit import Credit, Credited, Floats, Group, partition
from backend.rl.evaluate import diversity
from backend.rl.recipe import RunConfig
from backend.rl.sampler import Rollouts, decode
from backend.rl.tree import Shape, TreePlan
from backend.rl.update import Pass
from backend.types import GroupRecord, NodeRecord, Pictures, Policy


@dataclass(frozen=True)
class Iteration:
    """Everything one iteration produced, as the records need it."""

    config: RunConfig
    plans: Sequence[TreePlan]
    prompts: Sequence[str]
    rollouts: Rollouts
    images: Pictures
    """(L, h, w, 3)"""
    scores: Mapping[str, Scores]
    credited: Credited
    seen: Pass | None
    """Of the last pass of the update; None when nothing was kept."""

    def raw(self) -> Floats:
        """Σ w·raw / Σ|w| over the rewards present on each leaf, (L,): in the rewards' units."""
        stages = self.credited.composed.stages
        raw_KL = np.stack([stage.raw for stage in stages.values()])
        weight_KL = np.stack([stage.weight for stage in stages.values()])
        gone = np.isnan(weight_KL * raw_KL).all(axis=0)
        return np.where(gone, np.nan, np.nansum(weight_KL * raw_KL, axis=0))


def recorded_groups(shape: Shape, credit: Credit, num: int) -> list[Group]:
    """`num` groups spread evenly over the forest."""
    _, groups = partition(shape, credit)
    if num <= 0:
        return []
    chosen = np.unique(np.linspace(0, len(groups) - 1, min(num, len(groups))).round().astype(int))
    return [groups[i] for i in chosen]


def trunk_nodes(shape: Shape, groups: Sequence[Group]) -> frozenset[int]:
    """Nodes that lead to the forks of `groups`: their clean estimates are worth a picture."""
    return frozenset(n for g in groups if g.anchor >= 0 for n in shape.path(g.anchor))


def iteration_metrics(it: Iteration) -> dict[str, float]:
    """The flat figures of one iteration; a figure that does not exist is left out, never NaN."""
    credited, leaf_tree = it.credited, it.rollouts.shape.tree[it.rollouts.shape.leaf]
    metrics: dict[str, float] = {}
    for name, scores in it.scores.items():
        by_tree = _means(scores.values, leaf_tree)
        metrics[f"reward/{name}"] = float(np.nanmean(scores.values))
        metrics[f"missing/{name}"] = float(np.isnan(scores.values).mean())
        if len(by_tree) > 1:
            metrics[f"reward_se/{name}"] = float(by_tree.std(ddof=1) / math.sqrt(len(by_tree)))
    raw = it.raw()
    metrics |= {
        "spread": _finite_mean([_spread(raw, credited.group_L, g) for g in credited.groups]),
        "advantage_std": float(np.nanstd(credited.edge_N)) if credited.kept else 0.0,
        "groups_kept": float(credited.kept),
        "groups_total": float(len(credited.groups)),
        "diversity": _finite_mean([diversity(it.images[g.leaves]) for g in credited.groups]),
    }
    if it.seen is not None:
        metrics |= _update_metrics(it.seen, it.rollouts.shape, it.config)
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def group_records(it: Iteration, groups: Sequence[Group], policy: Policy) -> list[GroupRecord]:
    """The chosen groups with their nodes and pictures."""
    raw = it.raw()
    return [_group_record(it, group, raw, policy) for group in groups]


def _group_record(it: Iteration, group: Group, raw: Floats, policy: Policy) -> GroupRecord:
    shape, composed = it.rollouts.shape, it.credited.composed
    values = raw[group.leaves]
    trunk = shape.path(group.anchor) if group.anchor >= 0 else []
    shown = [it.rollouts.estimates[node] for node in trunk if node in it.rollouts.estimates]
    kept = set(composed.kept_groups)
    return GroupRecord(
        tree=group.tree,
        prompt=it.prompts[group.tree],
        fork_step=int(shape.step[group.anchor]) if group.anchor >= 0 else None,
        mean=_or_none(_finite_mean(values)),
        spread=_or_none(_spread(raw, it.credited.group_L, group)),
        kept=any(number in kept for number in group.ids),
        reason="; ".join(dict.fromkeys(composed.reasons.get(i, "") for i in group.ids)).strip("; "),
        nodes=_nodes(it, group, trunk),
        images=it.images[group.leaves],
        trunk=decode(policy, _stack(shown)) if shown else None,
        detail=_detail(it, group),
    )


def _nodes(it: Iteration, group: Group, trunk: Sequence[int]) -> list[NodeRecord]:
    """Roots, the trunk, explored nodes and leaves; what lies between them on a tail is left out."""
    shape, leaf = it.rollouts.shape, it.rollouts.shape.leaf
    position = {int(leaf[at]): tile for tile, at in enumerate(group.leaves)}
    kept: dict[int, int | None] = {}
    for node in position:
        above: int | None = None
        for step_node in shape.path(node):
            inside = step_node in trunk or step_node == node or bool(shape.explored[step_node])
            if inside or shape.parent[step_node] < 0:
                kept.setdefault(step_node, above)
                above = step_node
    number = {node: idx for idx, node in enumerate(kept)}
    records = []
    for node, above in kept.items():
        tile = position.get(node)
        record = _node(it, node, tile, int(group.leaves[tile]) if tile is not None else None)
        record.idx, record.parent = number[node], None if above is None else number[above]
        records.append(record)
    return records


def _node(it: Iteration, node: int, tile: int | None, leaf: int | None) -> NodeRecord:
    shape, rollouts = it.rollouts.shape, it.rollouts
    explored, is_root = bool(shape.explored[node]), shape.parent[node] < 0
    step = int(shape.step[node])
    ratio = it.seen.ratio_N[node] if it.seen is not None else math.nan
    advantage = it.credited.edge_N[node]
    if leaf is not None and not explored:
        used = bool(it.credited.composed.used[leaf])
        advantage = it.credited.composed.total[leaf] if used else math.nan
    return NodeRecord(
        idx=0,
        parent=None,
        kind="leaf" if leaf is not None else "child" if explored else "trunk",
        step=step,
        stride=int(shape.stride[node]),
        sigma=float(rollouts.coefficients.sigmas[step]),
        eta=rollouts.coefficients.kernel.eta if explored else None,
        log_prob=_or_none(rollouts.log_prob_N[node]),
        ratio=_or_none(ratio),
        advantage=_or_none(advantage),
        rewards={} if leaf is None else _leaf_rewards(it, leaf),
        tile=tile,
        seed=int(rollouts.seed_N[node]) if explored or is_root else None,
    )


def _leaf_rewards(it: Iteration, leaf: int) -> dict[str, dict[str, Any]]:
    stages = it.credited.composed.stages
    return {
        name: {
            "raw": _or_none(stage.raw[leaf]),
            "shaped": _or_none(stage.shaped[leaf]),
            "z": _or_none(stage.z[leaf]),
            "weight": _or_none(stage.weight[leaf]),
            "share": _or_none(stage.share[leaf]),
            "status": it.scores[name].status[leaf],
        }
        for name, stage in stages.items()
    }


def _detail(it: Iteration, group: Group) -> dict[str, Any]:
    plan, shape, compose = it.plans[group.tree], it.rollouts.shape, it.config.compose
    return {
        "sigmas": [round(float(sigma), 6) for sigma in it.rollouts.coefficients.sigmas],
        "kernel": plan.kernel.name,
        "eta": plan.kernel.eta,
        "fork_steps": sorted({*plan.forks, *plan.explore}),
        "strides": list(plan.strides),
        "nfe": int((shape.inner & (shape.tree == group.tree)).sum()),
        "scale": compose.scale,
        "floor": compose.floor,
        "clip": compose.clip,
    }


def _update_metrics(seen: Pass, shape: Shape, config: RunConfig) -> dict[str, float]:
    trained = seen.trained_N
    ratio = seen.ratio_N[trained]
    metrics = {
        "loss": seen.loss,
        "kl": seen.kl,
        "ratio_mean": float(ratio.mean()),
        "ratio_max_dev": float(np.abs(ratio - 1).max()),
        "clip_share": float(seen.clipped_N[trained].mean()),
    }
    step_N = np.where(shape.parent >= 0, shape.step[shape.parent], -1)
    for step in np.unique(step_N[trained]):
        metrics[f"clip_share/{step}"] = float(seen.clipped_N[trained & (step_N == step)].mean())
    return metrics


def _spread(raw: Floats, group_L: Any, group: Group) -> float:
    """Mean over strides of the standard deviation among siblings."""
    inside = [raw[group_L == number] for number in group.ids]
    return _finite_mean([v[np.isfinite(v)].std(ddof=1) for v in inside if np.isfinite(v).sum() > 1])


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
