"""What somebody gives as a picture is stored as the picture alone: no word about who made it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from backend.services.media import Media

SECRET = b"secretive-model step 40"


def told(kind: str, mode: str) -> bytes:
    """A picture whose file names its model in every place its format has, and behind its end."""
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, len(mode)), dtype=np.uint8)
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", SECRET.decode())
    text.add_itxt("prompt", SECRET.decode())
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()  # ImageDescription
    out = io.BytesIO()
    more = {"PNG": {"pnginfo": text}, "JPEG": {"comment": SECRET}, "WEBP": {"xmp": SECRET}}[kind]
    Image.fromarray(pixels, mode).save(out, kind, exif=exif, icc_profile=SECRET, **more)
    return out.getvalue() + SECRET


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGB"), ("PNG", "RGBA"), ("JPEG", "RGB"), ("WEBP", "RGB")]
)
def test_a_picture_is_stored_without_a_word_and_looks_the_same(
    tmp_path: Path, kind: str, mode: str
) -> None:
    given = told(kind, mode)
    assert given.count(SECRET) >= 3
    media = Media(str(tmp_path))
    name, width, height = media.put_picture(given)
    stored = media.read(name)
    assert (width, height) == (32, 24)
    assert b"secret" not in stored and b"step" not in stored
    shown, original = (Image.open(io.BytesIO(data)).convert("RGB") for data in (stored, given))
    np.testing.assert_array_equal(np.asarray(shown), np.asarray(original))
