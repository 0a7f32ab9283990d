"""What stands in a picture of the pocket world: its ground, and of each colour how many objects of
which shape and size, where.

Each pixel is unmixed between the ground and an object colour, so a blurred edge is part of both and
never a third colour. The objects of a colour are its connected pixels; a linear discriminant, made
from drawn shapes, says what each looks like.

Shapes: B pictures, M components. numpy and scipy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from backend.pocket import world
from backend.pocket.world import SIDE

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
Pictures = NDArray[np.uint8]

_COLOURS: Final = len(world.COLOURS)
_OTHER: Final = _COLOURS + 1  # classes of a pixel: 0 ground, 1 … 7 colours, 8 none of these
CLASSES: Final = _OTHER + 1
_GRID: Final = 12
_TEMPERATURE: Final = 4.0  # of the shape's likelihood ratio; higher is more graded
_UNLIKE: Final = (-0.11, -0.05)  # mean square distance from the nearest template: no shape, a shape
_MIN_AREA, _MIN_CORE = 12, 3  # pixels; a component below is an edge or a speck


@dataclass(frozen=True)
class Seen:
    """What stands in each picture, by colour class: (B, 9) and (B, 9, …)."""

    count: Ints
    area: Floats
    place: Floats
    alpha: Floats
    shape: Floats
    large: Floats


def codes_of(pictures: Pictures) -> NDArray[np.int32]:
    """Five bits a channel: (B, 64, 64) in [0, 32768)."""
    high = (pictures >> 3).astype(np.int32)
    return (high[..., 0] << 10) | (high[..., 1] << 5) | high[..., 2]


def ground_of(codes: NDArray[np.int32], wanted: Ints) -> tuple[Floats, NDArray[np.int32]]:
    """The aspect `background` (B,), and each pixel's place in the unmixing tables (B, 64, 64)."""
    num, kinds = len(codes), len(world.BACKGROUNDS) + 2
    palette = _nearest()[codes] + (np.arange(num) * kinds)[:, None, None]
    counts = np.bincount(palette.ravel(), minlength=num * kinds).reshape(num, kinds)
    grounds = counts[:, :-2]
    measured = np.where(grounds.sum(1) > 0, grounds.argmax(1), wanted)
    share = grounds[np.arange(num), wanted] / np.maximum(counts[:, :-1].sum(1), 1)
    return ramp(share, 0.25, 0.7), codes + (measured.astype(np.int32) << 15)[:, None, None]


def see(codes: NDArray[np.int32], ground: NDArray[np.int32]) -> Seen:
    """Find the objects of each colour and measure them."""
    classes, alphas = _unmixing()
    kind = classes.ravel()[ground]
    core = _core(kind)
    num = len(codes)
    keys = kind[core] + CLASSES * np.nonzero(core)[0]
    cores = np.bincount(keys, minlength=num * CLASSES).reshape(num, CLASSES)
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

    slot = where[plane[kept]] * CLASSES + which[plane[kept]]

    def gathered(values: Any) -> Any:
        return np.bincount(slot, values, minlength=num * CLASSES).reshape(num, CLASSES)

    count = gathered(None)
    some = np.maximum(count, 1)
    place = np.stack([gathered(x[kept]) / some, gathered(y[kept]) / some], 2)
    shapes = np.stack([gathered(column) / some for column in shape.T], 2)
    measured = (gathered(area[kept]), place, gathered(alpha[kept]) / some, shapes)
    return Seen(count.astype(np.int64), *measured, gathered(large) / some)


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
    known = ramp(-apart.min(1, keepdims=True) / _GRID**2, *_UNLIKE)
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


def ramp(value: Any, low: float, high: float) -> Any:
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
