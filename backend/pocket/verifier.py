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

Shapes: B pictures, N groups (one colour in one picture), M components. numpy and scipy only.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from backend.errors import InputError
from backend.pocket import world
from backend.pocket.world import KINDS, SIDE, Scene

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
Pictures = NDArray[np.uint8]

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

_COLOURS: Final = len(world.COLOURS)
_OTHER: Final = _COLOURS + 1  # classes of a pixel: 0 ground, 1 … 7 colours, 8 none of these
_CLASSES: Final = _OTHER + 1
_GRID: Final = 12
_TEMPERATURE: Final = 4.0  # of the shape's likelihood ratio; higher is more graded
_UNLIKE: Final = (-0.11, -0.05)  # mean square distance from the nearest template: no shape, a shape
_MIN_AREA, _MIN_CORE = 12, 3  # pixels; a component below is an edge or a speck


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


@dataclass(frozen=True)
class _Seen:
    """What stands in each picture, by colour class: (B, 9) and (B, 9, …)."""

    count: Ints
    area: Floats
    place: Floats
    alpha: Floats
    shape: Floats
    large: Floats


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
    codes = _codes(pictures)
    background, ground = _ground(codes, wanted.background)
    seen = _see(codes, ground)
    group = _assign(seen, wanted)
    there = wanted.thing & (group > 0)
    row = np.arange(len(codes))[:, None]
    pick = np.where(there, group, 0)

    count = seen.count[row, pick]
    colour = (group == wanted.colour) * _ramp(seen.alpha[row, pick], 0.4, 0.7)
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
    named = np.zeros((len(codes), _CLASSES), dtype=bool)
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
    held = _ramp(along - 0.8 * abs(across), -2, 8) * there.all(1)
    return np.where(wanted.thing[:, 1], held, 1.0)


def _assign(seen: _Seen, wanted: _Wanted) -> Ints:
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


def _fit(seen: _Seen, wanted: _Wanted, group: Ints) -> Any:
    """How well two groups stand for the two things by shape and size, for a tie of colours."""
    row = np.arange(len(group))[:, None]
    large = seen.large[row, group]
    size = np.where(wanted.size == 0, large, 1 - large)
    return ((seen.shape[row, group, wanted.shape] + size) * (group > 0)).sum(1)


# ---------------------------------------------------------------- seeing


def _codes(pictures: Pictures) -> NDArray[np.int32]:
    """Five bits a channel: (B, 64, 64) in [0, 32768)."""
    high = (pictures >> 3).astype(np.int32)
    return (high[..., 0] << 10) | (high[..., 1] << 5) | high[..., 2]


def _ground(codes: NDArray[np.int32], wanted: Ints) -> tuple[Floats, NDArray[np.int32]]:
    """The aspect `background` (B,), and each pixel's place in the unmixing tables (B, 64, 64)."""
    num, kinds = len(codes), len(world.BACKGROUNDS) + 2
    palette = _nearest()[codes] + (np.arange(num) * kinds)[:, None, None]
    counts = np.bincount(palette.ravel(), minlength=num * kinds).reshape(num, kinds)
    grounds = counts[:, :-2]
    measured = np.where(grounds.sum(1) > 0, grounds.argmax(1), wanted)
    share = grounds[np.arange(num), wanted] / np.maximum(counts[:, :-1].sum(1), 1)
    return _ramp(share, 0.25, 0.7), codes + (measured.astype(np.int32) << 15)[:, None, None]


def _see(codes: NDArray[np.int32], ground: NDArray[np.int32]) -> _Seen:
    """Find the objects of each colour and measure them."""
    classes, alphas = _unmixing()
    kind = classes.ravel()[ground]
    core = _core(kind)
    num = len(codes)
    keys = kind[core] + _CLASSES * np.nonzero(core)[0]
    cores = np.bincount(keys, minlength=num * _CLASSES).reshape(num, _CLASSES)
    cores[:, 0] = 0
    where, which = np.nonzero(cores >= _MIN_CORE)
    masks = kind[where] == which[:, None, None].astype(kind.dtype)
    labels, num_found = ndimage.label(masks, _PLANE)
    flat = np.flatnonzero(labels)
    label = labels.ravel()[flat]
    inside = where[flat >> 12] * SIDE * SIDE + (flat & 4095)
    at_core = core.ravel()[inside]

    def summed(weights: Any) -> Any:
        return np.bincount(label, weights, minlength=num_found + 1)[1:]

    area, core_area = summed(None), summed(at_core)
    keep = (area >= _MIN_AREA) & (core_area >= _MIN_CORE)
    x, y = summed(flat & 63) / area, summed((flat >> 6) & 63) / area
    first = np.zeros(num_found + 1, dtype=np.int64)
    first[label[::-1]] = flat[::-1]
    plane = first[1:] >> 12
    alpha = summed(alphas.ravel()[ground.ravel()[inside]] * at_core) / np.maximum(core_area, 1)
    kept = np.flatnonzero(keep)
    shape = _shapes(labels, plane[kept], kept + 1, x[kept], y[kept], area[kept])
    radius = np.sqrt(area[kept] / (shape @ _areas() + 1e-6 + (shape.sum(1) < 0.05)))
    big, small = world.SIZES["large"], world.SIZES["small"]
    large = 1 / (1 + np.exp(-(np.log(radius / np.sqrt(big * small))) / 0.06))

    slot = where[plane[kept]] * _CLASSES + which[plane[kept]]

    def gathered(values: Any) -> Any:
        return np.bincount(slot, values, minlength=num * _CLASSES).reshape(num, _CLASSES)

    count = gathered(None)
    some = np.maximum(count, 1)
    place = np.stack([gathered(x[kept]) / some, gathered(y[kept]) / some], 2)
    shapes = np.stack([gathered(column) / some for column in shape.T], 2)
    measured = (gathered(area[kept]), place, gathered(alpha[kept]) / some, shapes)
    return _Seen(count.astype(np.int64), *measured, gathered(large) / some)


def _core(kind: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels whose four neighbours are of the same class, ground left out; (B, 64, 64)."""
    core = kind > 0
    down, across = kind[:, 1:] == kind[:, :-1], kind[:, :, 1:] == kind[:, :, :-1]
    core[:, 1:] &= down
    core[:, :-1] &= down
    core[:, :, 1:] &= across
    core[:, :, :-1] &= across
    return core


def _shapes(labels: NDArray[np.int32], plane: Ints, label: Ints, x: Any, y: Any, area: Any) -> Any:
    """How much each component looks like each shape, (M, 5); a row sums to at most 1."""
    crops = _crops(labels, plane, label, x, y, area)
    weight, offset, templates = _templates()
    likely = crops @ weight + offset
    likely = np.exp((likely - likely.max(1, keepdims=True)) / _TEMPERATURE)
    apart = (crops**2).sum(1)[:, None] - 2 * crops @ templates.T + (templates**2).sum(1)
    # a shape unlike every template is no shape at all
    known = _ramp(-apart.min(1, keepdims=True) / _GRID**2, *_UNLIKE)
    return likely / likely.sum(1, keepdims=True) * known


def _crops(labels: NDArray[np.int32], plane: Ints, label: Ints, x: Any, y: Any, area: Any) -> Any:
    """Each component on a grid about its middle, scaled by the root of its area; (M, 144)."""
    steps = np.linspace(-0.95, 0.95, _GRID) * np.sqrt(area)[:, None]
    rows, columns = y[:, None] + steps + 1, x[:, None] + steps + 1
    framed = np.pad(labels, ((0, 0), (1, 2), (1, 2)))
    top = np.clip(np.floor(rows).astype(np.int64), 0, SIDE + 1)
    left = np.clip(np.floor(columns).astype(np.int64), 0, SIDE + 1)
    down = np.clip(rows - top, 0, 1)[:, :, None]
    across = np.clip(columns - left, 0, 1)[:, None, :]
    width = framed.shape[2]
    start = plane[:, None, None] * width * width + top[:, :, None] * width + left[:, None, :]
    flat, mine = framed.ravel(), label[:, None, None]
    above = (flat[start] == mine) * (1 - across) + (flat[start + 1] == mine) * across
    start += width
    below = (flat[start] == mine) * (1 - across) + (flat[start + 1] == mine) * across
    return (above * (1 - down) + below * down).reshape(len(label), _GRID * _GRID)


def _ramp(value: Any, low: float, high: float) -> Any:
    """0 up to `low`, 1 from `high`, a straight line between."""
    return np.clip((value - low) / (high - low), 0, 1)


_PLANE: Final = np.stack(
    [np.zeros((3, 3), int), ndimage.generate_binary_structure(2, 1), np.zeros((3, 3), int)]
)


# ---------------------------------------------------------------- tables, made once


def _cube() -> Floats:
    """The middle of every five-bit colour, (32768, 3)."""
    levels = np.arange(32, dtype=np.float32) * 8 + 4
    return np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)


@cache
def _nearest() -> NDArray[np.int64]:
    """Five-bit colour → nearest background; 7 unlike any, 8 an object colour. (32768,)"""
    palette = np.array([*world.BACKGROUNDS.values(), *world.COLOURS.values()], dtype=np.float32)
    apart = np.linalg.norm(_cube()[:, None] - palette, axis=2)
    best, num = apart.argmin(1), len(world.BACKGROUNDS)
    return np.where(apart.min(1) > 55, num, np.where(best < num, best, num + 1))


@cache
def _unmixing() -> tuple[NDArray[np.uint8], Floats]:
    """For each background and five-bit colour: class, and share of the object colour. (7, 32768)"""
    cube = _cube()
    classes, alphas = [], []
    for ground in np.array(list(world.BACKGROUNDS.values()), dtype=np.float32):
        ways = np.array(list(world.COLOURS.values()), dtype=np.float32) - ground
        apart = cube - ground
        share = np.clip(apart @ ways.T / (ways**2).sum(1), 0, 1)
        rest = np.linalg.norm(apart[:, None] - share[..., None] * ways, axis=2)
        best = rest.argmin(1)
        row = np.arange(len(cube))
        share, rest = share[row, best], rest[row, best]
        far = (rest > 48) & (np.linalg.norm(apart, axis=1) > 48)
        classes.append(np.where(far, _OTHER, np.where(share >= 0.5, best + 1, 0)))
        alphas.append(share)
    return np.stack(classes).astype(np.uint8), np.stack(alphas).astype(np.float32)


@cache
def _templates() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """A linear discriminant for the shape of a crop, and the mean crops it was made from.

    Fitted on shapes drawn small and large, crisp and soft, at places between pixels. Returns
    weights (144, 5), offsets (5,), templates (K, 144).
    """
    rng = np.random.default_rng(5)
    radii = [radius * scale for radius in world.SIZES.values() for scale in (0.93, 1.0, 1.07)]
    means, scatter, templates = [], np.zeros((_GRID**2, _GRID**2)), []
    for shape in world.SHAPES:
        drawn = [_drawn(shape, r, blur, rng)[0] for r in radii for blur in (0.0, 0.8, 1.2)]
        crops = np.concatenate(drawn)
        means.append(crops.mean(0))
        scatter += np.cov(crops.T) / len(world.SHAPES)
        templates += [part.mean(0) for part in drawn]
    mean = np.array(means)
    weight = np.linalg.solve(scatter + 0.01 * np.eye(len(scatter)), mean.T)
    return weight, -0.5 * (mean.T * weight).sum(0), np.array(templates)


@cache
def _areas() -> NDArray[np.float64]:
    """Area in pixels of each shape of radius 1, as measured. (5,)"""
    rng = np.random.default_rng(6)
    radius = world.SIZES["large"]
    return np.array([_drawn(shape, radius, 0.5, rng)[1] / radius**2 for shape in world.SHAPES])


def _drawn(
    shape: str, radius: float, blur: float, rng: np.random.Generator, num: int = 24
) -> tuple[NDArray[np.float64], float]:
    """Crops (num, 144) and mean area of a shape drawn `num` times at places between pixels."""
    axis = np.arange(SIDE, dtype=np.float32) + 0.5 - SIDE / 2
    masks = np.empty((num, SIDE, SIDE), dtype=np.int32)
    for i, (dx, dy) in enumerate(rng.uniform(-0.5, 0.5, (num, 2)).astype(np.float32)):
        cover = np.clip(0.5 - world.distance(shape, axis - dx, (axis - dy)[:, None], radius), 0, 1)
        masks[i] = ndimage.gaussian_filter(cover, blur) >= 0.5
    area = masks.sum((1, 2)).astype(np.float64)
    x = (masks.sum(1) * np.arange(SIDE)).sum(1) / area
    y = (masks.sum(2) * np.arange(SIDE)).sum(1) / area
    crops = _crops(masks, np.arange(num), np.ones(num, np.int64), x, y, area)
    return crops, float(area.mean())
