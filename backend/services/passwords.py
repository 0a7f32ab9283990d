"""Passwords: kept as Argon2id, checked slowly on purpose, never written anywhere else.

Costs are those of RFC 9106's second choice (3 passes, 64 MB, 4 lanes); `PALATE_PASSWORD_MB` is the
memory. A password kept with other costs is kept anew when its owner signs in.
"""

from __future__ import annotations

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from backend.errors import InputError
from backend.settings import Settings

SHORTEST, LONGEST = 10, 500
AT_ONCE = threading.BoundedSemaphore(4)
"""Checks at the same moment: many sign-ins must not take the machine's memory."""


def kept(settings: Settings, password: str) -> str:
    """What the store keeps of a password."""
    with AT_ONCE:
        return _hasher(settings).hash(password)


def fits(settings: Settings, kept_as: str | None, password: str) -> bool:
    """Whether this is the password. With none kept it is never, and takes as long."""
    hasher = _hasher(settings)
    with AT_ONCE:
        if kept_as is None or len(password) > LONGEST:
            hasher.hash("nobody has this password")
            return False
        try:
            return hasher.verify(kept_as, password)
        except (VerificationError, InvalidHashError):
            return False


def is_outdated(settings: Settings, kept_as: str) -> bool:
    """Whether it is kept with other costs than those wanted now."""
    return _hasher(settings).check_needs_rehash(kept_as)


def refuse_weak(password: str, name: str) -> None:
    """Raise for a password that is too short, too long, or says the name."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InputError(
            f"A password has {SHORTEST} to {LONGEST} characters; this one has {len(password)}. "
            "Four words that nobody would put together do well."
        )
    if len(set(password)) < 4 or password.lower().startswith(name.lower()):
        raise InputError(
            "This password would soon be guessed; do not begin it with your name or repeat one "
            "sign."
        )


def _hasher(settings: Settings) -> PasswordHasher:
    return PasswordHasher(
        time_cost=3, memory_cost=settings.password_mb * 1024, parallelism=4, hash_len=32
    )
