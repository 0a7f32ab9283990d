"""The tree that one prompt of a run will grow, on paper: what the New run page draws."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import numpy as np

from backend import recipes
from backend.errors import ConfigError
from backend.rl.cost import predict
from backend.rl.kernels import NoiseSettings, compile_kernel
from backend.rl.probe import ProbeCost, probe_cost
from backend.rl.psi import psi_cost
from backend.rl.randomness import seed_of
from backend.rl.recipe import RunConfig, learns_from_pairs, method_of, plans_at, read_method
from backend.rl.sigma import stock_schedule
from backend.rl.tree import Shape, TreePlan, grow, predict_cost

MOST_NODES = 1_500
"""Nodes that are handed out; of a larger tree the first roots, whole."""
UPDATES = 24
"""Updates looked at for the steps that explore sooner or later."""


def draw(config: dict[str, Any], update: int = 0) -> dict[str, Any]:
    """The first prompt's tree in an update, and what the other prompts and updates explore.

    {update, steps, sigmas, kernel, given, strides, nodes, leaves, shown, by_step, sometimes,
    moves, nfe, probes}. A node is {idx, parent, step, stride, explored, trained, completes, leaf};
    nodes between two that matter (roots, forks, explored edges, leaves) are left out. `sometimes`
    are steps that explore for other prompts or in other updates, `moves` says whether plans differ,
    `probes` what each probe of these settings would cost. Raises ConfigError.
    """
    read = RunConfig.read(config)
    num_steps = read.sampling.num_steps
    update = min(max(update, 0), read.num_steps - 1)
    plans = plans_at(read, update)
    others = [*plans, *_later(read)]
    shape = grow(plans[:1], num_steps, seed_of(read.seed, update, "train-share"))
    nodes = _nodes(shape)
    shown = _capped(nodes)
    return {
        "update": update,
        "steps": num_steps,
        "sigmas": [round(sigma, 6) for sigma in stock_schedule(num_steps)],
        "kernel": plans[0].kernel.name,
        "given": plans[0].given,
        "strides": list(plans[0].strides),
        "nodes": shown,
        "leaves": len(shape.leaf),
        "shown": sum(node["leaf"] for node in shown),
        "by_step": _by_step(plans[0], shape),
        "sometimes": sorted({step for plan in others for step in _decisions(plan)}),
        "moves": any(plan != plans[0] for plan in others),
        "nfe": predict_cost(shape).sample,
        "probes": _probes(read),
    }


@cache
def facts(recipe: str) -> dict[str, Any]:
    """What the gallery says of a recipe beside its card: {learns_on, price: {nfe, pictures}}."""
    config = recipes.load(recipe)
    cost = predict(config)
    return {"learns_on": learns_on(config), "price": {"nfe": cost.nfe, "pictures": cost.pictures}}


def learns_on(config: RunConfig) -> Literal["tree", "samples", "labels"]:
    """Where a method takes its lesson from: noisy edges, finished pictures or stored pairs."""
    if learns_from_pairs(config):
        return "labels"
    on = method_of(config).objective(read_method(config)).on
    return "tree" if on == "edges" else "samples"


def _nodes(shape: Shape) -> list[dict[str, Any]]:
    """Roots, explored nodes, those that an explored edge leaves, and leaves; each names the nearest
    such node above it as its parent."""
    leaf = np.zeros(len(shape), dtype=bool)
    leaf[shape.leaf] = True
    left = np.zeros(len(shape), dtype=bool)
    left[shape.parent[shape.explored]] = True
    kept = leaf | left | shape.explored | (shape.parent < 0)
    completed = shape.origin[leaf & (shape.origin >= 0)]
    number = np.cumsum(kept) - 1
    above = np.full(len(shape), -1, dtype=np.int64)
    for node in range(len(shape)):  # parents stand before their children
        parent = shape.parent[node]
        if parent >= 0:
            above[node] = parent if kept[parent] else above[parent]
    inside = np.zeros(len(shape), dtype=bool)
    inside[completed] = True
    inside &= left  # a tail that finishes a node which goes on exploring only values it
    return [
        {
            "idx": int(number[node]),
            "parent": int(number[above[node]]) if above[node] >= 0 else None,
            "step": int(shape.step[node]),
            "stride": int(shape.stride[node]),
            "explored": bool(shape.explored[node]),
            "trained": bool(shape.trained[node]),
            "completes": bool(shape.origin[node] >= 0 and inside[shape.origin[node]]),
            "leaf": bool(leaf[node]),
        }
        for node in np.flatnonzero(kept)
    ]


def _capped(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first roots with everything below them, as many as fit, at least one."""
    if len(nodes) <= MOST_NODES:
        return nodes
    roots = [node["idx"] for node in nodes if node["parent"] is None]
    fitting = [root for root in roots[1:] if root <= MOST_NODES]
    return nodes[: fitting[-1] if fitting else MOST_NODES]


def _by_step(plan: TreePlan, shape: Shape) -> list[dict[str, Any]]:
    """What every step does: {fork, explored, trained, std}; std is that of its noise, None for
    ODE."""
    coefficients = compile_kernel(plan.kernel, stock_schedule(shape.num_steps))
    at = shape.parent_step
    found = []
    for step in range(shape.num_steps):
        explored = int((shape.explored & (at == step)).sum())
        found.append(
            {
                "fork": plan.forks.get(step, 0),
                "explored": explored,
                "trained": int((shape.trained & (at == step)).sum()),
                "std": round(float(coefficients.std[step]), 6) if explored else None,
            }
        )
    return found


def _later(config: RunConfig) -> list[TreePlan]:
    """Plans of the first prompts in updates spread over the run, the first two among them."""
    every = max(config.num_steps // UPDATES, 1)
    updates = {*range(0, config.num_steps, every), min(1, config.num_steps - 1)}
    return [plan for step in sorted(updates) for plan in plans_at(config, step)[:2]]


def _decisions(plan: TreePlan) -> set[int]:
    return {*plan.explore, *plan.forks}


def _probes(config: RunConfig) -> dict[str, dict[str, Any]]:
    """What each kind of probe that fits the method would cost, or why it cannot be done."""
    settings = read_method(config)
    costs: dict[str, Callable[[RunConfig], ProbeCost]] = {}
    if isinstance(settings, NoiseSettings):
        costs["spread"] = probe_cost
    if method_of(config).credit(settings).value == "gain":
        costs["psi"] = psi_cost
    found: dict[str, dict[str, Any]] = {}
    for kind, cost_of in costs.items():
        try:
            cost = cost_of(config)
        except ConfigError as error:
            found[kind] = {"reason": str(error)}
        else:
            found[kind] = {"nfe": cost.nfe, "pictures": cost.pictures}
    return found
