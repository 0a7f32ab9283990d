"""A picture's file without all that is not picture: no metadata, nothing behind its end.

What the pixels are decoded from stays byte for byte, which is a hundred times cheaper than to
encode them anew, and keeps a JPEG as small as it came. Text, dates, colour profiles, thumbnails and
what somebody appended are left out; so nothing in a file says which model made it. The file must
have been decoded before.
"""

from __future__ import annotations

import re
import struct

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""The next marker in a JPEG's entropy-coded data; 00 and restarts belong to the data. It begins
with one fixed byte, so that the search jumps from one to the next."""
_PNG = b"\x89PNG\r\n\x1a\n"
_ADOBE = 0xEE
"""Says how colours are coded; without it they would be decoded otherwise."""


def stripped(data: bytes, kind: str) -> bytes | None:
    """The bare file of a picture of that kind (PNG, JPEG or WEBP); None where it must be encoded
    anew."""
    try:
        return {"PNG": _png, "JPEG": _jpeg, "WEBP": _webp}[kind](data)
    except (KeyError, IndexError, struct.error):
        return None


def _png(data: bytes) -> bytes | None:
    """Only the chunks that every decoder must know."""
    kept, at = [_PNG], len(_PNG)
    while True:
        (length,) = struct.unpack_from(">I", data, at)
        name, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data):
            return None
        if name[0] & 0x20 == 0:  # an upper-case letter: critical
            kept.append(data[at:end])
        if name == b"IEND":
            return b"".join(kept)
        at = end


def _jpeg(data: bytes) -> bytes | None:
    """Tables, frames and scans up to the end of the picture; no comments, no APP but Adobe's."""
    kept, at = [data[:2]], 2
    while True:
        while data[at + 1] == 0xFF:  # fill bytes
            at += 1
        marker = data[at + 1]
        if data[at] != 0xFF:
            return None
        if marker == 0xD9:
            return b"".join([*kept, b"\xff\xd9"])
        (length,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + length
        if marker == 0xDA:  # a scan: its header and all data up to the next marker
            found = _MARKER.search(data, end)
            if found is None:
                return None
            begin, end = end, found.start()
            while end > begin and data[end - 1] == 0xFF:  # fill bytes
                end -= 1
        is_other = 0xE0 <= marker <= 0xEF and marker != _ADOBE
        if not is_other and marker != 0xFE:
            kept.append(data[at:end])
        at = end


def _webp(data: bytes) -> bytes | None:
    """The one chunk of a still picture without transparency."""
    at, found = 12, []
    while at + 8 <= len(data):
        name = data[at : at + 4]
        (length,) = struct.unpack_from("<I", data, at + 4)
        end = at + 8 + length + (length & 1)
        if name in (b"VP8 ", b"VP8L"):
            found.append(data[at:end])
        elif name in (b"ALPH", b"ANIM", b"ANMF"):
            return None
        at = end
    if len(found) != 1:
        return None
    return b"RIFF" + struct.pack("<I", 4 + len(found[0])) + b"WEBP" + found[0]
