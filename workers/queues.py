"""Queue names, the connection, and which functions a worker may run at all.

Whoever reaches Redis can enqueue a dotted name, and RQ imports any name it is given. A worker
therefore runs only `workers.jobs.<kind>.run` with two numbers, and ignores call-backs.
"""

from __future__ import annotations

import os
import pkgutil
import re
import socket
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import redis
from rq import Queue
from rq.job import Job

from backend.errors import EnvironmentProblem
from backend.services import jobs
from backend.services.tickets import AT

QUEUES = tuple(dict.fromkeys(jobs.QUEUES.values()))
SERIALIZER = "json"
BEAT_S = 4.0
"""A worker tells the store that it lives, and its job, this often."""
SUPERVISOR = "PALATE_SUPERVISOR"
"""Environment variable by which a worker knows the mark of the supervisor that started it."""
DEAD_S = 12.0
"""A running job not heard of for this long was left by its worker."""

_NAME = re.compile(r"workers\.jobs\.([a-z][a-z_]*)\.run")


@cache
def job_kinds() -> frozenset[str]:
    """The files of `workers/jobs`: the only work there is."""
    import workers.jobs

    return frozenset(module.name for module in pkgutil.iter_modules(workers.jobs.__path__))


def is_allowed(name: str | None) -> bool:
    """Whether a worker may run the function of that dotted name."""
    match = _NAME.fullmatch(name or "")
    return match is not None and match[1] in job_kinds()


class StudioJob(Job):
    """A job as it comes out of Redis, trusted in nothing but two numbers and a known name."""

    @property
    def func(self) -> Callable[..., Any]:
        """The function to run; anything outside the allow-list is refused before it is imported."""
        numbers = len(self.args) == 2 and all(type(value) is int for value in self.args)
        if not is_allowed(self.func_name) or not numbers or self.kwargs or self.instance:
            raise PermissionError(
                f"The queue asked for '{self.func_name}', which is not one of this studio's jobs; "
                "it was refused. Somebody else can write to this Redis: close it."
            )
        found: Callable[..., Any] = super().func
        return found

    @property
    def success_callback(self) -> None:
        """Call-backs are names from Redis too: none is run."""

    @property
    def failure_callback(self) -> None:
        """Call-backs are names from Redis too: none is run."""

    @property
    def stopped_callback(self) -> None:
        """Call-backs are names from Redis too: none is run."""

    def send_webhooks(self, *_args: object, **_options: object) -> None:
        """Addresses from Redis are not called."""


def worker_name() -> str:
    """This process as the store names it: machine, process and, if it has one, its supervisor."""
    mark = os.environ.get(SUPERVISOR, "")
    return f"{socket.gethostname()}-{os.getpid()}" + (f"-{mark}" if mark else "")


def place() -> str:
    """Where this process works, as people send runs to it: its machine, and which of its GPUs."""
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return socket.gethostname() + (f":{gpus.replace(',', '+')}" if gpus else "")


def listened(queues: Sequence[str]) -> list[str]:
    """What a worker of these queues listens to: first what must be done at its place."""
    here = place()
    return [*(f"{queue}{AT}{here}" for queue in queues), *queues]


def is_dead_child(name: str, mark: str) -> bool:
    """Whether that name was a worker under the supervisor `mark`, which is here, and has ended."""
    head, _, found = (name or "").rpartition("-")
    pid = head.rpartition("-")[2]
    if found != mark or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # the number belongs to somebody else's process by now
        return True
    return False


def connect(url: str) -> redis.Redis:
    """A connection that waits for blocking reads and survives a restarted server."""
    if not url:
        raise EnvironmentProblem(
            "There is no Redis to take work from: start the studio with 'palate up', "
            "or set PALATE_REDIS_URL to a server that is running."
        )
    return redis.Redis.from_url(url, health_check_interval=30)


def rq_queue(name: str, connection: redis.Redis) -> Queue:
    """One of the studio's queues, speaking JSON."""
    return Queue(name, connection=connection, serializer=SERIALIZER, job_class=StudioJob)
