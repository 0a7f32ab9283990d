"""Small copies of large pictures: made when first asked for, kept in the data folder."""

from __future__ import annotations

import io
import uuid
from pathlib import Path

from PIL import Image

from backend.errors import InputError, NotFound
from backend.services.studio import Studio

SIDES = (128, 256, 512)
"""Longest sides that are made; few, so that nobody can fill the disk with sizes."""
QUALITY = 82


def path(studio: Studio, name: str, side: int) -> Path:
    """A local file with the picture `name`, its longest side at most `side` pixels.

    A picture that is no larger is its own thumbnail, to the byte. Others are WebP.
    """
    if side not in SIDES:
        raise InputError(
            f"Pictures are made small at {', '.join(map(str, SIDES))} pixels, not {side}."
        )
    whole = studio.media.local_path(name)
    small = studio.settings.home / "thumbnails" / name[:2] / f"{name}-{side}.webp"
    if small.exists():
        return small
    try:
        with Image.open(whole) as picture:
            if max(picture.size) <= side:
                return whole
            picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
            out = io.BytesIO()
            picture.convert("RGB").save(out, "WEBP", quality=QUALITY)
    except (OSError, ValueError, Image.DecompressionBombError):
        raise NotFound(f"'{name[:12]}…' is no picture, so it has no small copy.") from None
    small.parent.mkdir(parents=True, exist_ok=True)
    partial = small.with_name(f".{uuid.uuid4().hex}.part")
    partial.write_bytes(out.getvalue())
    partial.replace(small)
    return small
