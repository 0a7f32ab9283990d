"""Pictures as PNG bytes: one picture, a strip of tiles for a group, a before-and-after grid.

Latents as safetensors.
"""

from __future__ import annotations

import io
import uuid
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backend.types import Pictures

if TYPE_CHECKING:
    from PIL.Image import Image

TILE = 256
"""Tiles of a strip are at most this many pixels wide; samples keep their own size."""


def png(picture: np.ndarray) -> bytes:
    """One picture (h, w, 3) as PNG, quickly rather than smallest."""
    from PIL import Image

    return _bytes(Image.fromarray(picture))


def stack(files: Sequence[bytes], most: int | None = None) -> Pictures:
    """Picture files as one array (B, h, w, 3); others are scaled to the size of the first, and that
    to `most` pixels on its longer side."""
    from PIL import Image

    found: list[np.ndarray] = []
    for data in files:
        with Image.open(io.BytesIO(data)) as picture:
            colours = picture.convert("RGB")
        if most is not None:
            colours.thumbnail((most, most))
        if found and colours.size != found[0].shape[1::-1]:
            colours = colours.resize(found[0].shape[1::-1], Image.Resampling.LANCZOS)
        found.append(np.asarray(colours))
    return np.stack(found)


def strip(pictures: Pictures) -> bytes:
    """Pictures (B, h, w, 3) side by side; tile i starts at i times the tile's width."""
    from PIL import Image

    height, width = pictures.shape[1:3]
    if width <= TILE:
        return _bytes(Image.fromarray(np.concatenate(list(pictures), axis=1)))
    size = (TILE, max(1, round(height * TILE / width)))
    tiles = [np.asarray(Image.fromarray(picture).resize(size)) for picture in pictures]
    return _bytes(Image.fromarray(np.concatenate(tiles, axis=1)))


def latents(kept: Mapping[int, NDArray[np.float16]]) -> bytes:
    """Latents (C, H, W) by their node as safetensors."""
    from safetensors.numpy import save

    return bytes(save({str(node): np.ascontiguousarray(x) for node, x in kept.items()}))


def read_latents(data: bytes) -> dict[int, NDArray[np.float16]]:
    """Node → latent, by rising node."""
    from safetensors.numpy import load

    return {int(node): x for node, x in sorted(load(data).items(), key=lambda one: int(one[0]))}


def parcel(pictures: Pictures) -> bytes:
    """Pictures to the bit, for a while: no other file is equal to it, so it can be removed."""
    out = io.BytesIO()
    np.save(out, pictures, allow_pickle=False)
    return uuid.uuid4().bytes + zlib.compress(out.getvalue(), level=1)


def unpacked(parcel: bytes) -> Pictures:
    """The pictures of a parcel."""
    content = io.BytesIO(zlib.decompress(parcel[16:]))
    return np.asarray(np.load(content, allow_pickle=False), dtype=np.uint8)


def before_after(rows: Sequence[tuple[str, bytes, bytes]], side: int = 128) -> bytes:
    """A grid of (prompt, picture before, picture after) with its prompts written beside them."""
    from PIL import Image, ImageDraw

    gap, head, words = 8, 24, 360
    width = 2 * side + 3 * gap + words
    sheet = Image.new("RGB", (width, head + len(rows) * (side + gap) + gap), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((gap, 6), "before", fill="black")
    draw.text((2 * gap + side, 6), "after", fill="black")
    for number, (prompt, before, after) in enumerate(rows):
        top = head + number * (side + gap)
        for column, data in enumerate((before, after)):
            with Image.open(io.BytesIO(data)) as picture:
                tile = picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(tile, (gap + column * (side + gap), top))
        left = 3 * gap + 2 * side
        for line, text in enumerate(_wrapped(prompt, 52)):
            draw.text((left, top + 4 + 14 * line), text, fill="black")
    return _bytes(sheet)


def _bytes(image: Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=3)
    return out.getvalue()


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
