"""Plain statistics of pictures: rewards that can be hacked, and features of the learned one.

Everything takes uint8 (B, H, W, 3) and gives float64 (B,). numpy only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.rewards.interface import Floats, Images

Pictures = NDArray[np.float32]

SIDE = 32
"""Pictures of twice this side and more are read at every second, third … pixel by `table`."""

NAMES = (
    "luminance",
    "saturation",
    "contrast",
    "gradient",
    "centring",
    "foreground",
    "spread",
)
"""The statistics of `table`, in its order."""


def luminance(images: Images) -> Floats:
    """Mean of .2126 R + .7152 G + .0722 B over the picture, 0 to 1 (Rec. 709 weights)."""
    return np.asarray(_luma(images).mean(axis=(1, 2), dtype=np.float64))


def saturation(images: Images) -> Floats:
    """Mean of max(R, G, B) − min(R, G, B), 0 to 1: how far from grey, dark pixels counting less."""
    red, green, blue = images[..., 0], images[..., 1], images[..., 2]
    most = np.maximum(np.maximum(red, green), blue)
    apart = most - np.minimum(np.minimum(red, green), blue)
    return np.asarray(apart.mean(axis=(1, 2), dtype=np.float64) / 255)


def centring(images: Images) -> Floats:
    """How near the middle the things of the picture stand, 0 to 1.

    A pixel weighs as much as it differs from the ground, the median of the picture's border; c is
    the weighted middle in [−1, 1]² of the picture. centring = 1 − |c|, and ½ for an empty picture.
    """
    return _mass(images)[0]


def table(images: Images) -> Floats:
    """All statistics side by side, (B, 7) as in `NAMES`; large pictures are thinned out."""
    step = max(min(images.shape[1:3]) // SIDE, 1)
    images = images[:, ::step, ::step]
    luma = _luma(images)
    down, across = np.abs(np.diff(luma, axis=1)), np.abs(np.diff(luma, axis=2))
    gradient = down.mean(axis=(1, 2)) + across.mean(axis=(1, 2))
    centred, amount, wide = _mass(images)
    light = luma.mean(axis=(1, 2))
    columns = (light, saturation(images), luma.std(axis=(1, 2)), gradient, centred, amount, wide)
    return np.stack(columns, axis=1).astype(np.float64)


def _luma(images: Images) -> Pictures:
    weights = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32) / 255
    return np.asarray(images.astype(np.float32) @ weights)


def _mass(images: Images) -> tuple[Floats, Floats, Floats]:
    """Centring, share of the picture that is not ground, how widely it is strewn; (B,) each."""
    edge = np.concatenate(
        [images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]], axis=1
    )
    ground = np.median(edge, axis=1).astype(np.float32)
    channels = [np.abs(images[..., i] - ground[:, None, None, i]) for i in range(3)]
    away = np.maximum(np.maximum(channels[0], channels[1]), channels[2])
    weight = np.clip((away - 24) / 96, 0, 1)  # below 24 of 255 it is ground with noise
    total = weight.sum(axis=(1, 2), dtype=np.float64)
    height, width = weight.shape[1:]
    y, x = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    safe = np.maximum(total, 1e-6)
    rows, columns = weight.sum(axis=2) @ y / safe, weight.sum(axis=1) @ x / safe
    square = (weight.sum(axis=2) @ y**2 + weight.sum(axis=1) @ x**2) / safe
    empty = total < 1.0
    off = np.where(empty, 0.5, np.minimum(np.hypot(rows, columns), 1.0))
    strewn = np.sqrt(np.maximum(square - rows**2 - columns**2, 0.0))
    return 1 - off, total / (height * width), np.where(empty, 0.0, strewn)
