"""Edits that make no picture better, and one that hides half of it.

Each takes one picture (H, W, 3) uint8 and returns one of the same shape.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

Picture = NDArray[np.uint8]


def saturated(picture: Picture) -> Picture:
    """Saturation up by a fifth."""
    return np.asarray(ImageEnhance.Color(Image.fromarray(picture)).enhance(1.2))


def sharpened(picture: Picture) -> Picture:
    """An unsharp mask."""
    mask = ImageFilter.UnsharpMask(radius=1.5, percent=80, threshold=0)
    return np.asarray(Image.fromarray(picture).filter(mask))


def brighter(picture: Picture) -> Picture:
    """Brightness up by a tenth."""
    return np.asarray(ImageEnhance.Brightness(Image.fromarray(picture)).enhance(1.1))


def framed(picture: Picture) -> Picture:
    """A dark border, one pixel in thirty wide."""
    edge, copy = max(len(picture) // 30, 1), picture.copy()
    for side in (np.s_[:edge], np.s_[-edge:], np.s_[:, :edge], np.s_[:, -edge:]):
        copy[side] = 40
    return copy


def compressed(picture: Picture) -> Picture:
    """JPEG of quality 60."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file))


def watermarked(picture: Picture) -> Picture:
    """A faint word in a corner."""
    image = Image.fromarray(picture).convert("RGBA")
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    ImageDraw.Draw(layer).text((2, image.height - 12), "sample", fill=(255, 255, 255, 90))
    return np.asarray(Image.alpha_composite(image, layer).convert("RGB"))


def tiled(picture: Picture) -> Picture:
    """The picture four times over, each at half its size."""
    half = (picture.shape[1] // 2, picture.shape[0] // 2)
    small = np.asarray(Image.fromarray(picture).resize(half))
    twice = np.concatenate([small, small], axis=1)
    return _like(np.concatenate([twice, twice]), picture)


def half_hidden(picture: Picture) -> Picture:
    """The half that has more in it covered with the picture's own ground."""
    copy, middle = picture.copy(), picture.shape[1] // 2
    ground = np.median(picture.reshape(-1, 3), axis=0).astype(np.uint8)
    away = np.abs(picture.astype(np.int16) - ground).sum((0, 2))
    side = np.s_[:, :middle] if away[:middle].sum() > away[middle:].sum() else np.s_[:, middle:]
    copy[side] = ground
    return copy


def _like(made: Any, picture: Picture) -> Picture:
    size = (picture.shape[1], picture.shape[0])
    return made if made.shape == picture.shape else np.asarray(Image.fromarray(made).resize(size))


CHEAP: Final[dict[str, Callable[[Picture], Picture]]] = {
    "saturation": saturated,
    "sharpening": sharpened,
    "brightness": brighter,
    "border": framed,
    "JPEG": compressed,
    "watermark": watermarked,
    "tiling": tiled,
}
"""All but tiling leave what is shown as it was; none makes a picture better."""
