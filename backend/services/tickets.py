"""Tickets: what lies in Redis for a due job, its number and attempt, in the order of the store.

A queue of Redis is an image of the store and is made again from it when it was lost. Jobs of a
higher priority stand before others; among equals the older one does.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from backend.services.studio import Studio

log = logging.getLogger(__name__)

AT = "@"
"""Between a queue and the one place whose workers may take the job: "train@box"."""


def key_of(job_id: int, attempt: int) -> str:
    """The ticket of a job's attempt."""
    return f"{job_id}-{attempt}"


def offer(
    studio: Studio,
    kind: str,
    queue: str,
    ticket: tuple[int, int],
    order: Sequence[str] = (),
    *,
    anew: bool = False,
) -> bool:
    """Put a job's (number, attempt) into its queue, and the queue into `order` if one is given.

    `anew` takes the ticket out of whichever queue it lies in first. False when Redis cannot be
    reached; the reconciler offers the job again.
    """
    address = studio.settings.redis_address
    if not address:
        return False
    import redis
    import rq
    from rq.exceptions import DuplicateJobError, NoSuchJobError
    from rq.serializers import JSONSerializer

    key = key_of(*ticket)
    try:
        with redis.Redis.from_url(address, socket_connect_timeout=2, socket_timeout=5) as server:
            if anew:
                with suppress(NoSuchJobError):
                    rq.job.Job.fetch(key, connection=server, serializer=JSONSerializer).delete()
            place = rq.Queue(queue, connection=server, serializer=JSONSerializer)
            with suppress(DuplicateJobError):  # it waits in the queue already
                place.enqueue(
                    f"workers.jobs.{kind}.run",
                    *ticket,
                    job_id=key,
                    unique=True,
                    job_timeout=-1,
                    result_ttl=0,
                    failure_ttl=3600,
                )
            if order:
                _sort(server, place.key, order)
    except (redis.RedisError, OSError) as error:
        log.warning("Job %d could not be enqueued (%s); it stays due.", ticket[0], error)
        return False
    return True


def sort(studio: Studio, queue: str, order: Sequence[str]) -> bool:
    """Put the tickets of a queue into that order; False when Redis cannot be reached."""
    address = studio.settings.redis_address
    if not address:
        return False
    import redis
    import rq

    try:
        with redis.Redis.from_url(address, socket_connect_timeout=2, socket_timeout=5) as server:
            _sort(server, rq.Queue(queue, connection=server).key, order)
    except (redis.RedisError, OSError) as error:
        log.warning("The queue '%s' could not be put in order (%s).", queue, error)
        return False
    return True


def _sort(server: Any, list_key: str, order: Sequence[str]) -> None:
    """Of two who sort at once the later one wins; a worker that takes a ticket meanwhile makes it
    begin again."""
    import redis

    rank = {key: number for number, key in enumerate(order)}
    with server.pipeline() as pipe:
        while True:
            try:
                pipe.watch(list_key)
                lying = [raw.decode() for raw in pipe.lrange(list_key, 0, -1)]
                wanted = sorted(lying, key=lambda key: rank.get(key, len(rank)))
                if wanted == lying:
                    return
                pipe.multi()
                pipe.delete(list_key)
                pipe.rpush(list_key, *wanted)
                pipe.execute()
                return
            except redis.WatchError:
                continue
