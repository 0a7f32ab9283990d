"""The studio's secret, and what is sealed with it: a text that only this studio can have written.

A seal is an HMAC-SHA256 over the parts, of which half is kept: 128 bits. It needs no look into the
store, so it fits what is checked often, such as the address of every picture.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from sqlalchemy.exc import IntegrityError

from backend.services.studio import Studio
from db.tables import Secret

KEY_BYTES = 32
SEAL_BYTES = 16
_keys: dict[str, bytes] = {}
"""The secret of each store that this process has opened, by its URL."""


def key_of(studio: Studio) -> bytes:
    """The studio's secret, made on first use and shared by all its processes."""
    url = studio.settings.database_url
    if url not in _keys:
        _keys[url] = _read(studio) or _make(studio)
    return _keys[url]


def seal(key: bytes, *parts: str | int) -> str:
    """A seal of these parts in this order, as 22 letters that an address may hold."""
    text = "\n".join(str(part) for part in parts)
    digest = hmac.new(key, text.encode(), hashlib.sha256).digest()[:SEAL_BYTES]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def holds(key: bytes, given: str, *parts: str | int) -> bool:
    """Whether `given` is the seal of these parts."""
    return hmac.compare_digest(seal(key, *parts).encode(), given.encode())


def digest(secret: str) -> str:
    """What the store keeps of a random secret: its SHA-256. No salt: nobody guesses 256 bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _read(studio: Studio) -> bytes | None:
    with studio.read() as session:
        row = session.get(Secret, "seal")
        return bytes.fromhex(row.value) if row else None


def _make(studio: Studio) -> bytes:
    try:
        with studio.write() as session:
            session.add(Secret(name="seal", value=secrets.token_hex(KEY_BYTES)))
    except IntegrityError:  # another process made it at the same moment
        pass
    found = _read(studio)
    assert found is not None
    return found
