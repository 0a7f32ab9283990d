"""Rollout trees as the trainer records them; a leaf's shares add up to its advantage."""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from backend.pocket import world
from backend.services.studio import Studio
from db.tables import (
    RolloutGroup,
    RolloutNode,
)
from tests.seed._material import REWARDS, SET_SEED, Pictures, blurred, put

T = 10
SIGMAS = [1 - k / T * (0.35 + 0.65 * k / T) for k in range(T)] + [0.0]
FORK_STEPS = (1, 3)
CHILDREN = 8
STRIDES = (1, 2)
Tree = list[tuple[RolloutGroup, list[RolloutNode]]]


def trees_of(
    studio: Studio, run_id: int, step: int, method: str, rng: np.random.Generator, count: int
) -> list[Tree]:
    return [_tree(studio, run_id, step, tree, method, rng) for tree in range(count)]


def add_trees(session: Session, trees: list[Tree]) -> None:
    for group, nodes in (pair for tree in trees for pair in tree):
        session.add(group)
        session.flush()
        for node in nodes:
            node.group_id = group.id
        session.add_all(nodes)


def _tree(
    studio: Studio, run_id: int, step: int, tree: int, method: str, rng: np.random.Generator
) -> Tree:
    """The groups of one prompt's tree: one for each fork, or one of whole chains."""
    texts = world.draw(64, seed=SET_SEED)
    prompt = texts[(7 * step + tree) % len(texts)]
    if method == "g2rpo":
        flat = tree == 2
        return [
            _group(studio, run_id, step, tree, prompt, fork, rng, flat=flat and fork == 3)
            for fork in FORK_STEPS
        ]
    return [_group(studio, run_id, step, tree, prompt, None, rng)]


def _group(
    studio: Studio,
    run_id: int,
    step: int,
    tree: int,
    prompt: str,
    fork: int | None,
    rng: np.random.Generator,
    *,
    flat: bool = False,
) -> tuple[RolloutGroup, list[RolloutNode]]:
    strides = STRIDES if fork is not None else (1,)
    values = _shares(CHILDREN * len(strides), 0.0 if flat else 1.0, rng)
    nodes: list[RolloutNode] = []
    tiles: list[Pictures] = []

    def node(parent: int | None, kind: str, at: int, **more: Any) -> int:
        nodes.append(
            RolloutNode(
                idx=len(nodes),
                parent=parent,
                kind=kind,
                step=at,
                stride=more.pop("stride", 1),
                sigma=SIGMAS[at],
                **more,
            )
        )
        return len(nodes) - 1

    trunk = None
    if fork is not None:
        for at in range(fork + 1):
            trunk = node(trunk, "trunk", at)
    scene = world.parse(prompt)
    for child in range(CHILDREN):
        leaves = [values[child * len(strides) + i] for i in range(len(strides))]
        edge = float(sum(sum(part["share"] or 0.0 for part in leaf.values()) for leaf in leaves))
        at, length = (trunk, 1) if fork is not None else (node(None, "trunk", 0), T)
        first = fork or 0
        for k in range(first, first + length):
            at = node(
                at,
                "child",
                k + 1,
                eta=0.7,
                log_prob=-1.2 - 0.1 * child,
                ratio=1.0,
                advantage=edge,
                seed=70000 + child,
            )
        for stride, rewards in zip(strides, leaves, strict=True):
            picture = world.render(scene, seed=step + child * 3 + stride)
            tiles.append(blurred(picture, 6.0 + 6.0 * child * (not flat), rng))
            share = float(sum(part["share"] or 0.0 for part in rewards.values()))
            node(
                at, "leaf", T, stride=stride, advantage=share, rewards=rewards, tile=len(tiles) - 1
            )
    totals = [
        sum((part["raw"] or 0.0) * part["weight"] for part in leaf.values()) for leaf in values
    ]
    group = RolloutGroup(
        run_id=run_id,
        step=step,
        tree=tree,
        prompt=prompt,
        fork_step=fork,
        mean=float(np.mean(totals)),
        spread=float(np.std(totals)),
        kept=not flat,
        reason="no spread: 0.000 is under the floor of 0.020" if flat else "",
        sheet=put(studio, np.concatenate(tiles, axis=1)),
        trunk=put(
            studio,
            np.concatenate(
                [blurred(tiles[0], 90.0 / (k + 1), rng) for k in range(fork + 1)], axis=1
            ),
        )
        if fork is not None
        else None,
        detail={
            "sigmas": SIGMAS,
            "eta": 0.7,
            "nfe": 178,
            "fork_steps": list(FORK_STEPS),
            "strides": list(strides),
            "floors": dict.fromkeys(REWARDS, 0.02),
            "divisor": 0.162,
            "clip": 5.0,
        },
    )
    return group, nodes


def _shares(count: int, width: float, rng: np.random.Generator) -> list[dict[str, dict[str, Any]]]:
    """Every stage of `count` leaves; shares are centred, one brightness is missing."""
    total = sum(REWARDS.values())
    raw = {
        name: 0.6
        + 0.12 * width * (i + 1) * np.sort(rng.normal(size=count))[::-1] * (-1 if i == 2 else 1)
        for i, name in enumerate(REWARDS)
    }
    leaves: list[dict[str, dict[str, Any]]] = [{} for _ in range(count)]
    for name, weight in REWARDS.items():
        z = (raw[name] - raw[name].mean()) / max(float(raw[name].std()), 0.02)
        for i in range(count):
            gone = name == "brightness" and i == 3 and width > 0
            leaves[i][name] = {
                "raw": None if gone else float(raw[name][i]),
                "shaped": None if gone else float(raw[name][i]),
                "z": None if gone else float(z[i]),
                "weight": weight / total,
                "share": None if gone else float(z[i] * weight / total),
                "status": "error: the picture could not be read" if gone else "ok",
            }
    return leaves
