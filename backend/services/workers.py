"""Workers as they last reported themselves. Who is silent for too long counts as gone."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import delete, select

from backend.services.studio import Studio
from backend.services.tickets import AT
from db.tables import Worker

GONE_S = 20.0
"""A worker that has not reported for this long is not counted as alive."""
FORGET_S = 86_400.0


def beat(
    studio: Studio,
    name: str,
    queue: str,
    host: str,
    pid: int,
    state: str,
    job_id: int | None = None,
) -> None:
    """A worker reports itself: idle, busy (with which job) or gone."""
    with studio.write() as session:
        row = session.get(Worker, name)
        if row is None:
            row = Worker(name=name, queue=queue, host=host, pid=pid)
            session.add(row)
        row.queue, row.host, row.pid, row.state, row.job_id = queue, host, pid, state, job_id
        row.heartbeat_at = time.time()


def gone(studio: Studio, name: str) -> None:
    """A worker says good-bye: it is forgotten, while one that falls silent is shown as gone."""
    forgotten = (Worker.name == name) | (Worker.heartbeat_at < time.time() - FORGET_S)
    with studio.write() as session:
        session.execute(delete(Worker).where(forgotten))


def rows(studio: Studio) -> list[dict[str, Any]]:
    """All workers; the state of one that is silent is shown as gone."""
    now = time.time()
    with studio.read() as session:
        found = session.scalars(select(Worker).order_by(Worker.queue, Worker.name))
        return [_row(worker, now) for worker in found]


def alive(studio: Studio, queue: str | None = None) -> list[str]:
    """Names of the workers heard of lately, of one queue or of all."""
    return [
        row["name"]
        for row in rows(studio)
        if row["state"] != "gone" and (queue is None or queue in row["queue"].split(","))
    ]


def _row(worker: Worker, now: float) -> dict[str, Any]:
    age = max(0.0, now - worker.heartbeat_at)
    queues = worker.queue.split(",")
    places = [queue.partition(AT)[2] for queue in queues if AT in queue]
    return {
        "name": worker.name,
        "queue": ",".join(queue for queue in queues if AT not in queue),
        "place": places[0] if places else "",
        "host": worker.host,
        "pid": worker.pid,
        "state": "gone" if age > GONE_S else worker.state,
        "job_id": worker.job_id,
        "heartbeat_age_s": age,
    }
