"""How often somebody may try a password: counted in Redis where there is one, else per process."""

from __future__ import annotations

import functools
import logging
import time
from typing import Any

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage, Storage
from limits.strategies import MovingWindowRateLimiter

from backend.errors import TooMany
from backend.services.durations import spell

log = logging.getLogger(__name__)

TOGETHER = RateLimitItemPerMinute(10, 10)
"""Tries of one name from one address: ten in ten minutes."""
NAME = RateLimitItemPerHour(100)
"""Tries of one name from everywhere."""
ADDRESS = RateLimitItemPerMinute(60, 10)
"""Tries from one address with any name."""


class Throttle:
    """Counts tries; a success forgets those of its name and address."""

    def __init__(self, storage: Storage) -> None:
        self._limiter = MovingWindowRateLimiter(storage)

    def take(self, name: str, address: str) -> None:
        """Count a try before it is looked at, or raise `TooMany`."""
        for item, key in self._all(name, address):
            if not self._limiter.hit(item, "sign-in", *key):
                over = self._limiter.get_window_stats(item, "sign-in", *key).reset_time
                wait = spell(max(1, round(over - time.time())))
                raise TooMany(
                    f"Too many tries to sign in; wait {wait} and try again, "
                    "or ask an admin for a link that sets a new password."
                )

    def forget(self, name: str, address: str) -> None:
        """A success: tries of this name from this address count no longer."""
        self._limiter.clear(TOGETHER, "sign-in", "both", name, address)

    @staticmethod
    def _all(name: str, address: str) -> list[tuple[RateLimitItem, tuple[str, ...]]]:
        return [
            (TOGETHER, ("both", name, address)),
            (NAME, ("name", name)),
            (ADDRESS, ("address", address)),
        ]


def at(redis_address: str) -> Throttle:
    """The throttle of the processes that share this Redis, or of this process without one."""
    if redis_address:
        try:
            found, storage = _in_redis(redis_address)
            if storage.check():
                return found
        except Exception as error:  # noqa: BLE001 - whatever ails Redis, people must sign in
            log.warning("Tries to sign in are counted per process: %s", error)
    return _in_memory()


@functools.lru_cache(maxsize=4)
def _in_redis(address: str) -> tuple[Throttle, RedisStorage]:
    url = address.replace("unix://", "redis+unix://", 1) if address.startswith("unix") else address
    limits: dict[str, Any] = {"socket_connect_timeout": 5, "socket_timeout": 5}
    storage = RedisStorage(url, wrap_exceptions=True, **limits)
    return Throttle(storage), storage


@functools.cache
def _in_memory() -> Throttle:
    return Throttle(MemoryStorage())
