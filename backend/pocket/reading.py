"""What the pocket encoder sees in a picture, held against a prompt of the pocket language.

For each kind of word, how sure the picture is of it, 0 to 1, the mean over the things:

    count, size, shape   P(the prompt's word) of the named colour's objects
    colour               P(something of that colour is there)
    relation             the first thing lies the named way from the second
    background           P(the named one)
    nothing else         e^(−area of other colours / 50 pixels)

A thing that is not there has no size and no shape. The likeness of picture and prompt is the
product of (1 + p) / 2 over the kinds: each that is surely missing halves it. ½ throughout for a
prompt out of the language.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backend.errors import InputError
from backend.pocket import world
from backend.pocket.encoder import AREA, Sight

Floats = NDArray[np.float64]

KINDS: Final = ("count", "size", "colour", "shape", "relation", "background", "nothing else")
_COLOURS: Final = tuple(world.COLOURS)
_SHAPES: Final = tuple(world.SHAPES)
_ACROSS: Final = 0.8
"""How much sideways counts against a relation."""
_SPARE: Final = 50.0
_CLEAR: Final = 3.0, 2.0
"""Pixels along a relation at which it is even, and the width of the doubt."""


def read(sight: Sight, prompts: Sequence[str]) -> Floats:
    """(B, 7), in the order of `KINDS`."""
    wanted = [_wanted(prompt) for prompt in prompts]
    known = np.array([row is not None for row in wanted], dtype=bool)
    found = np.full((len(prompts), len(KINDS)), 0.5)
    if known.any():
        rows = np.array([row for row in wanted if row is not None])
        found[known] = _held_against(
            rows, {k: _array(v)[known] for k, v in vars(sight).items() if k != "first"}
        )
    return found


def likeness(found: Floats) -> Floats:
    """How well each picture shows its prompt, by what `read` found. (B,)"""
    return np.asarray(np.prod((1 + found) / 2, axis=1))


def _held_against(wanted: NDArray[np.int64], seen: dict[str, Any]) -> Floats:
    """Prompts as numbers (B, 11) against pictures."""
    background, relation = wanted[:, 0], wanted[:, 1]
    things = wanted[:, 2:].reshape(-1, 2, 4)
    named = things[:, :, 0] >= 0
    count, size, colour, shape = np.moveaxis(np.maximum(things, 0), 2, 0)
    row = np.arange(len(wanted))[:, None]
    counts = _softmax(seen["count"])
    there = 1 - counts[:, :, 0]
    present = there[row, colour]
    large = _sigmoid(seen["large"])[row, colour]
    each = {
        "count": counts[row, colour, count],
        "size": np.where(size == 0, large, 1 - large) * present,
        "colour": present,
        "shape": _softmax(seen["shape"])[row, colour, shape] * present,
    }
    num = named.sum(1)
    columns = [(value * named).sum(1) / num for value in each.values()]
    apart = (seen["place"][row, colour][:, 0] - seen["place"][row, colour][:, 1]) * world.SIDE / 2
    way = np.array([*world.RELATIONS.values(), (0, 0)], dtype=np.float64)[relation]
    along, across = (apart * way).sum(1), np.abs((apart * way[:, ::-1]).sum(1))
    even, doubt = _CLEAR
    held = _sigmoid((along - _ACROSS * across - even) / doubt) * present.prod(1)
    ground = _softmax(seen["background"])[np.arange(len(wanted)), background]
    other = np.maximum(seen["area"], 0.0) * AREA / _SPARE
    taken = np.take_along_axis(other, colour, 1)
    np.put_along_axis(other, colour, np.where(named, 0.0, taken), 1)
    columns += [np.where(named[:, 1], held, 1.0), ground, np.exp(-other.sum(1))]
    return np.stack(columns, axis=1)


@lru_cache(maxsize=20_000)
def _wanted(prompt: str) -> tuple[int, ...] | None:
    """Background, relation, and count, size, colour, shape of both things; −1 for what is not."""
    try:
        scene = world.parse(prompt)
    except InputError:
        return None
    found = [list(world.BACKGROUNDS).index(scene.background)]
    found.append(4 if scene.relation is None else list(world.RELATIONS).index(scene.relation))
    for thing in scene.things:
        found += [thing.count, list(world.SIZES).index(thing.size)]
        found += [_COLOURS.index(thing.colour), _SHAPES.index(thing.shape)]
    return (*found, *[-1] * (10 - len(found)))


def _array(tensor: Any) -> Floats:
    return np.asarray(tensor.float().cpu().numpy(), dtype=np.float64)


def _softmax(logits: Floats) -> Floats:
    high = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(high / high.sum(axis=-1, keepdims=True))


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))))
