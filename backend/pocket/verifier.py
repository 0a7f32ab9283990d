"""What a picture shows, judged against its prompt from pixels alone.

Every aspect is a number in [0, 1]; with two things an aspect is the mean of both. It is strict on
meaning and lenient to softness: a pixel is unmixed between the background and an object colour, so
a blurred edge is part background, part object, and never a third colour.

    present        something stands where the prompt names a thing
    colour         it has the named colour
    shape, size    of each object, against templates and the two radii
    count          right 1, one off 0.3, further off 0
    relation       first thing against second; 1 where only one thing is named
    background     share of the ground that has the named colour
    nothing_extra  falls with the area of what the prompt does not name

    total = Π_aspect (1 − w (1 − aspect))       with w of `WEIGHTS`

so a single wholly wrong aspect costs about 40 % and an unrelated picture ends below 0.2, while two
pictures with different faults still differ: training by groups needs that spread.

What is to be seen is found by `backend.pocket.seeing`. Shapes: B pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.errors import InputError
from backend.pocket import world
from backend.pocket.seeing import (
    CLASSES,
    Floats,
    Ints,
    Pictures,
    Seen,
    codes_of,
    ground_of,
    ramp,
    see,
)
from backend.pocket.world import KINDS, SIDE, Scene

WEIGHTS: Final[dict[str, float]] = {
    "present": 0.5,
    "colour": 0.42,
    "shape": 0.42,
    "size": 0.38,
    "count": 0.38,
    "relation": 0.42,
    "background": 0.42,
    "nothing_extra": 0.42,
}
"""How much a wholly wrong aspect takes off the total, as a share."""

ASPECTS: Final[tuple[str, ...]] = tuple(WEIGHTS)


@dataclass(frozen=True)
class _Wanted:
    """Prompts as arrays; things are (B, 2), with -1 where there is no second thing."""

    colour: Ints
    shape: Ints
    size: Ints
    count: Ints
    way: Floats
    background: Ints
    thing: NDArray[np.bool_]

    def chunk(self, at: int) -> _Wanted:
        """Prompts `at` to `at + 64`."""
        parts = {field.name: getattr(self, field.name)[at : at + 64] for field in fields(self)}
        return _Wanted(**parts)


def _resized(pictures: Pictures) -> Pictures:
    """Pictures of any size at the size of the world."""
    size, how = (SIDE, SIDE), Image.Resampling.BILINEAR
    fitted = [np.asarray(Image.fromarray(picture).resize(size, how)) for picture in pictures]
    return np.stack(fitted) if fitted else np.zeros((0, SIDE, SIDE, 3), np.uint8)


def score(pictures: Pictures, prompts: list[str]) -> dict[str, Floats]:
    """Judge pictures (B, h, w, 3) uint8 against B prompts: "total" and each aspect, all (B,).

    Pictures of another size are brought to 64×64 first. Raises InputError on a wrong shape, a wrong
    number of prompts, or a prompt out of the language.
    """
    pictures = np.asarray(pictures)
    if pictures.ndim != 4 or pictures.shape[3] != 3 or pictures.dtype != np.uint8:
        raise InputError(
            f"The pocket verifier got {pictures.dtype} pictures of shape {pictures.shape}; "
            "it reads 8-bit pictures of shape (B, height, width, 3)."
        )
    if pictures.shape[1:3] != (SIDE, SIDE):
        pictures = _resized(pictures)
    if len(pictures) != len(prompts):
        raise InputError(f"The verifier got {len(pictures)} pictures for {len(prompts)} prompts.")
    wanted = _wanted([_parsed(prompt) for prompt in prompts])
    # small chunks stay in the processor's cache
    parts = [_score(pictures[at : at + 64], wanted.chunk(at)) for at in range(0, len(pictures), 64)]
    names = ("total", *ASPECTS)
    return {
        name: np.concatenate([np.zeros(0, np.float32), *(part[name] for part in parts)])
        for name in names
    }


def total(aspects: dict[str, Floats]) -> Floats:
    """The rule that makes one number of the aspects; (B,) each."""
    product = np.ones_like(aspects["present"])
    for name, weight in WEIGHTS.items():
        product = product * (1 - weight * (1 - aspects[name]))
    return product


# ---------------------------------------------------------------- the prompt

_parsed = cache(world.parse)


def _wanted(scenes: list[Scene]) -> _Wanted:
    num = len(scenes)
    words = np.full((num, 2, 4), -1, dtype=np.int64)
    way = np.zeros((num, 2), dtype=np.float32)
    background = np.zeros(num, dtype=np.int64)
    for i, scene in enumerate(scenes):
        background[i] = KINDS["background"].index(scene.background)
        if scene.relation is not None:
            way[i] = world.RELATIONS[scene.relation]
        for j, thing in enumerate(scene.things):
            words[i, j] = (
                KINDS["colour"].index(thing.colour) + 1,
                KINDS["shape"].index(thing.shape),
                KINDS["size"].index(thing.size),
                thing.count,
            )
    colour, shape, size, count = np.moveaxis(words, 2, 0)
    return _Wanted(colour, shape, size, count, way, background, count > 0)


# ---------------------------------------------------------------- judging


def _score(pictures: Pictures, wanted: _Wanted) -> dict[str, Floats]:
    codes = codes_of(pictures)
    background, ground = ground_of(codes, wanted.background)
    seen = see(codes, ground)
    group = _assign(seen, wanted)
    there = wanted.thing & (group > 0)
    row = np.arange(len(codes))[:, None]
    pick = np.where(there, group, 0)

    count = seen.count[row, pick]
    colour = (group == wanted.colour) * ramp(seen.alpha[row, pick], 0.4, 0.7)
    shape = seen.shape[row, pick, wanted.shape]
    large = seen.large[row, pick]
    each = {
        "present": np.minimum(seen.area[row, pick] / 30, 1),
        "colour": colour,
        "shape": shape,
        "size": np.where(wanted.size == 0, large, 1 - large),
        "count": np.take([1.0, 0.3, 0.0], np.minimum(abs(count - wanted.count), 2)),
    }
    num = wanted.thing.sum(1)
    aspects = {name: (value * there).sum(1) / num for name, value in each.items()}
    aspects["relation"] = _relation(seen.place[row, pick], there, wanted)
    aspects["background"] = background
    named = np.zeros((len(codes), CLASSES), dtype=bool)
    named[row, pick] = True
    extra = (seen.area * ~named).sum(1)
    aspects["nothing_extra"] = np.exp(-np.maximum(extra - 8, 0) / 40)
    result = {name: aspects[name].astype(np.float32) for name in ASPECTS}
    return {"total": total(result), **result}


def _relation(place: Floats, there: NDArray[np.bool_], wanted: _Wanted) -> Floats:
    """1 where the first thing lies the named way from the second, more along it than across."""
    apart = place[:, 0] - place[:, 1]
    along = (apart * wanted.way).sum(1)
    across = (apart * wanted.way[:, ::-1]).sum(1)
    held = ramp(along - 0.8 * abs(across), -2, 8) * there.all(1)
    return np.where(wanted.thing[:, 1], held, 1.0)


def _assign(seen: Seen, wanted: _Wanted) -> Ints:
    """Colour class of the group that stands for each thing, (B, 2); 0 where there is none.

    The group of the right colour if there is one, else the largest group of another colour, so that
    a wrong colour costs the colour alone.
    """
    row = np.arange(len(seen.area))[:, None]
    found = wanted.thing & (seen.area[row, wanted.colour] > 0)
    area = seen.area.copy()
    area[:, 0] = 0
    np.put_along_axis(area, np.where(found, wanted.colour, 0), 0, axis=1)
    spare = np.argsort(-area, axis=1, kind="stable")[:, :2]
    spare = np.where(np.take_along_axis(area, spare, 1) > 0, spare, 0)
    fits = [_fit(seen, wanted, spare), _fit(seen, wanted, spare[:, ::-1])]
    both = ~found.any(1) & wanted.thing[:, 1] & (fits[1] > fits[0])
    spare = np.where(both[:, None], spare[:, ::-1], spare)
    # where only the second thing is missing, it takes the first spare group
    spare = np.where(found[:, :1], spare[:, ::-1], spare)
    return np.where(found, wanted.colour, np.where(wanted.thing, spare, 0))


def _fit(seen: Seen, wanted: _Wanted, group: Ints) -> Any:
    """How well two groups stand for the two things by shape and size, for a tie of colours."""
    row = np.arange(len(group))[:, None]
    large = seen.large[row, group]
    size = np.where(wanted.size == 0, large, 1 - large)
    return ((seen.shape[row, group, wanted.shape] + size) * (group > 0)).sum(1)
