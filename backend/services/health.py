"""Whether the parts that the studio stands on are there: database, Redis, workers."""

from __future__ import annotations

from typing import Any

from backend.errors import EnvironmentProblem
from backend.services import workers
from backend.services.studio import Studio


def check(studio: Studio) -> dict[str, Any]:
    """{ready, database, redis, workers, problems}; without a worker the studio is ready all the
    same."""
    problems = []
    database = redis = True
    alive: list[str] = []
    try:
        alive = workers.alive(studio)
    except EnvironmentProblem as error:
        database = False
        problems.append(str(error))
    fault = _redis_fault(studio.settings.redis_address)
    if fault:
        redis = False
        problems.append(fault)
    if database and not alive:
        problems.append("No worker is running; nothing is drawn, scored or trained.")
    return {
        "ready": database and redis,
        "database": database,
        "redis": redis,
        "workers": len(alive),
        "problems": problems,
    }


def _redis_fault(address: str) -> str:
    if not address:
        return "No Redis is known; start the studio with 'palate up', or set PALATE_REDIS_URL."
    import redis

    try:
        with redis.Redis.from_url(address, socket_connect_timeout=1, socket_timeout=2) as server:
            server.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        return f"Redis does not answer ({error}); jobs wait in the store until it does."
    return ""
