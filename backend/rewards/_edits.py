"""Edits that make no picture better, and one that hides half of it.

Each takes one picture (H, W, 3) uint8 and returns one of the same shape. `CHEAP` are those that a
judge's audit asks about; `PROBES` are the eight by which a reward's edit leverage is measured.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

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


def cropped(picture: Picture) -> Picture:
    """A tenth cut from every side, the middle enlarged."""
    y, x = max(len(picture) // 10, 1), max(picture.shape[1] // 10, 1)
    return _like(np.ascontiguousarray(picture[y:-y, x:-x]), picture)


def blurred(picture: Picture) -> Picture:
    """A Gaussian blur, one pixel in forty wide."""
    radius = max(len(picture) / 40, 0.6)
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def grainy(picture: Picture) -> Picture:
    """Grain of deviation 12 of 255, the same on every picture of a size."""
    grain = np.random.default_rng(0).normal(0.0, 12.0, picture.shape)
    return np.asarray((picture + grain).round().clip(0, 255).astype(np.uint8))


def captioned(picture: Picture, prompt: str) -> Picture:
    """The prompt's own words painted over the lowest quarter, black on white."""
    image = Image.fromarray(picture)
    top = image.height - max(image.height // 4, 8)
    size = max(8, image.height // 12)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, top, image.width, image.height), fill="white")
    lines = textwrap.wrap(prompt, max(4, int(1.8 * image.width / size))) or [""]
    font = ImageFont.load_default(size)
    draw.multiline_text((2, top), "\n".join(lines), fill="black", font=font, spacing=0)
    return np.asarray(image)


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

PROBES: Final[dict[str, Callable[[Picture, str], Picture]]] = {
    "saturation": lambda picture, _: saturated(picture),
    "sharpening": lambda picture, _: sharpened(picture),
    "brightness": lambda picture, _: brighter(picture),
    "border": lambda picture, _: framed(picture),
    "crop": lambda picture, _: cropped(picture),
    "blur": lambda picture, _: blurred(picture),
    "noise": lambda picture, _: grainy(picture),
    "text": captioned,
}
"""Eight cheap edits of a picture and its prompt: a reward that any of them raises can be bought."""
