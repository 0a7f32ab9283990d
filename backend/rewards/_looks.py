"""Looks that rewards are known to buy with: text, tiles, darkness, few colours. numpy only.

Everything takes uint8 (B, H, W, 3) and gives float64 (B,). Large pictures are thinned out first:
these are signs for a chart, not measurements.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from backend.rewards.interface import Floats, Images

SIDE: Final = 128
"""Pictures of twice this side and more are read at every second, third … pixel."""
BLOCK: Final = 8
"""Side of the blocks that hold text or do not, in pixels that are read."""
STROKE: Final = 0.2
"""Difference of light, 0 to 1, between a stroke and its ground."""
FLAT: Final = 0.05
"""Difference of light up to which two pixels are of one ground or one stroke."""
DARK: Final = 0.1
"""Luminance under which a pixel is dark."""


def thinned(images: Images) -> Images:
    """The pictures at no more than about twice SIDE."""
    step = max(min(images.shape[1:3]) // SIDE, 1)
    return images[:, ::step, ::step]


def light(images: Images) -> np.ndarray:
    """Rec. 709 luminance of every pixel, 0 to 1, (B, H, W)."""
    weights = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32) / 255
    return np.asarray(images.astype(np.float32) @ weights)


def dark_share(images: Images) -> Floats:
    """Share of pixels that are nearly black."""
    return np.asarray((light(thinned(images)) < DARK).mean(axis=(1, 2), dtype=np.float64))


def colour_entropy(images: Images) -> Floats:
    """Entropy of the picture's colours in 64 bins, 0 (one colour) to 1 (all alike)."""
    bins = (thinned(images) >> 6).astype(np.int64)
    codes = (bins[..., 0] * 16 + bins[..., 1] * 4 + bins[..., 2]).reshape(len(images), -1)
    share = np.stack([np.bincount(row, minlength=64) for row in codes]) / codes.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(share > 0, share * np.log(share), 0.0)
    return np.asarray(np.maximum(-terms.sum(axis=1), 0.0) / np.log(64))


def text_area(images: Images) -> Floats:
    """Share of the picture's blocks that look like writing, 0 to 1.

    Writing is many sharp edges, dark to light and back, on flat ground: in a block a fifth of the
    neighbours along a row differ by a stroke, up as down, some along the columns too, and most of
    the others hardly differ. Noise has no ground, and the outline of a thing only one side.
    """
    if min(images.shape[1:3]) <= BLOCK:
        return np.zeros(len(images))
    rows, both, column, ground = strokes(images)
    written = (rows > 0.2) & (both > 0.08) & (column > 0.08) & (ground > 0.4)
    return np.asarray(written.mean(axis=(1, 2), dtype=np.float64))


def strokes(images: Images) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Shares of the neighbours in each block, (B, h, w): along a row those that differ by a stroke
    and the lesser of those that rise and that fall; along a column that differ; of one ground.
    """
    luma = light(thinned(images))
    across = np.diff(luma, axis=2)[:, :-1]
    down = np.diff(luma, axis=1)[:, :, :-1]
    up, fall = _blocks(across > STROKE), _blocks(across < -STROKE)
    column = _blocks(np.abs(down) > STROKE)
    ground = _blocks(np.abs(across) < FLAT)
    return up + fall, np.minimum(up, fall), column, ground


def tiling(images: Images) -> Floats:
    """How much the picture repeats itself: the highest autocorrelation of its edges, 0 to 1.

    Lags under an eighth of the side are left out, for every picture is like itself there.
    """
    luma = light(thinned(images))
    edges = np.abs(luma - np.roll(luma, 1, axis=1)) + np.abs(luma - np.roll(luma, 1, axis=2))
    edges = edges - edges.mean(axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.rfft2(edges)) ** 2
    likeness = np.fft.irfft2(power, s=edges.shape[1:])
    whole = np.maximum(likeness[:, 0, 0], 1e-12)
    height, width = edges.shape[1:]
    y = np.minimum(np.arange(height), height - np.arange(height))[:, None]
    x = np.minimum(np.arange(width), width - np.arange(width))[None, :]
    far = np.maximum(y * 8 / height, x * 8 / width) >= 1
    return np.asarray(np.clip(likeness[:, far].max(axis=1) / whole, 0.0, 1.0), dtype=np.float64)


def _blocks(found: np.ndarray) -> np.ndarray:
    """Share of True in each BLOCK × BLOCK block, (B, h, w)."""
    height, width = (side // BLOCK for side in found.shape[1:])
    cut = found[:, : height * BLOCK, : width * BLOCK]
    return np.asarray(cut.reshape(len(found), height, BLOCK, width, BLOCK).mean(axis=(2, 4)))
