"""Addresses of pictures: for who may see all of them the hash alone, for an annotator sealed.

An annotator may see the pictures of pairs that were handed out to them and no other. So every
address in an answer to an annotator carries who it is for, until when it holds, and a seal over
these and the hash: serving a picture then needs no look into the store. Who is being answered is
known per request (`sealed_for`), so whatever shows pictures only calls `of`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from backend.services import seals

HOLDS_S = 12 * 3600
"""How long an address holds at most."""
STEP_S = 6 * 3600
"""Ends of addresses are multiples of this, so that a browser keeps a picture it has seen."""


@dataclass(frozen=True)
class Reader:
    """An annotator whose answer is being made, with the studio's secret."""

    user_id: int
    key: bytes


_reader: ContextVar[Reader | None] = ContextVar("reader", default=None)


@contextmanager
def sealed_for(user_id: int, key: bytes) -> Iterator[None]:
    """Within it, every address is for this annotator alone."""
    token = _reader.set(Reader(user_id, key))
    try:
        yield
    finally:
        _reader.reset(token)


def of(media: str) -> str:
    """Where a browser finds the file of this hash."""
    reader = _reader.get()
    if reader is None:
        return f"/media/{media}"
    until = int(time.time() + HOLDS_S) // STEP_S * STEP_S
    sealed = seals.seal(reader.key, "media", media, reader.user_id, until)
    return f"/media/{media}?u={reader.user_id}&e={until}&s={sealed}"


def allows(key: bytes, media: str, query: Mapping[str, str], user_id: int) -> bool:
    """Whether this query seals the file for this user now."""
    try:
        until = int(query["e"])
        is_theirs = int(query["u"]) == user_id
    except (KeyError, ValueError):
        return False
    sealed = query.get("s", "")
    return (
        is_theirs
        and until > time.time()
        and seals.holds(key, sealed, "media", media, user_id, until)
    )
