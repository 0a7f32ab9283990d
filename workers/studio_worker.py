"""The worker: one process, one job at a time, its models kept warm between jobs.

RQ's own clean-up notices a killed one-hour job after 3,660 s. Here a pulse writes "I live" and "my
job lives" to the store every 4 s, and the reconciler decides from the store (INFRA §4). RQ's
registries get a short life too, but nothing depends on them. A worker that no supervisor started
(a container, another machine) reconciles too, since nobody else may be there to do it.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Sequence

import redis
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.worker import WorkerStatus

from backend.services import workers as worker_rows
from backend.services.studio import Studio
from workers import frame, models, reconciler
from workers.queues import (
    BEAT_S,
    DEAD_S,
    SERIALIZER,
    SUPERVISOR,
    StudioJob,
    listened,
    rq_queue,
    worker_name,
)
from workers.stop import STOP

log = logging.getLogger(__name__)


class StudioWorker(SimpleWorker):
    """RQ's worker without a child process, with short lives in Redis and a cooperative stop."""

    def get_heartbeat_ttl(self, job: Job) -> int:
        """Seconds for which Redis believes in a running job without hearing of it."""
        return int(DEAD_S)

    def heartbeat(self, timeout: int | None = None, pipeline: object = None) -> None:
        """Keep the worker's key in Redis for the short life it was made with."""
        super().heartbeat(self.worker_ttl, pipeline=pipeline)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run the job in this process while a thread tells Redis that it lives."""
        self.prepare_execution(job)
        done = threading.Event()

        def beat() -> None:
            while not done.wait(BEAT_S):
                try:
                    self.maintain_heartbeats(job)
                except redis.RedisError as error:  # flushed or restarted: the store has the truth
                    log.warning("Redis did not take a heartbeat: %s", error)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            self.perform_job(job, queue)
        except redis.RedisError as error:
            log.warning("Redis was lost while job %s ran; the store has its end: %s", job.id, error)
        finally:
            done.set()
            thread.join()
        self.set_state(WorkerStatus.IDLE)

    def handle_warm_shutdown_request(self) -> None:
        """The first SIGTERM asks the running job to end at its next step."""
        STOP.set()
        super().handle_warm_shutdown_request()


class Pulse(threading.Thread):
    """Writes to the store, every 4 s, that this worker lives and which job it is at."""

    def __init__(self, studio: Studio, queues: Sequence[str]) -> None:
        super().__init__(daemon=True, name="pulse")
        self.studio, self.queues = studio, ",".join(queues)
        self._ended, self._beating = threading.Event(), threading.Lock()
        self._parent = os.getppid() if is_supervised() else None

    def run(self) -> None:
        """Beat until `end()`; a store that is away for a moment is only logged."""
        while True:
            try:
                with self._beating:
                    if self._ended.is_set():  # a late beat would bring back who has said good-bye
                        return
                    self._beat()
            except Exception as error:  # noqa: BLE001 - a pulse must outlive whatever the store says
                log.warning("The store did not take a heartbeat: %s", error)
            # The watchdog was killed, and nobody else would tell us. Alone, a parent may leave.
            if self._parent is not None and os.getppid() != self._parent:
                os.kill(os.getpid(), signal.SIGTERM)
            if self._ended.wait(BEAT_S):
                return

    def end(self) -> None:
        """Stop beating and say in the store that this worker is gone."""
        self._ended.set()
        with self._beating:
            worker_rows.gone(self.studio, worker_name())

    def _beat(self) -> None:
        current = frame.current()
        job_id = current.job_id if current else None
        state = "busy" if current else "idle"
        worker_rows.beat(
            self.studio,
            worker_name(),
            queue=self.queues,
            host=socket.gethostname(),
            pid=os.getpid(),
            state=state,
            job_id=job_id,
        )
        if current is not None:
            current.beat()


def is_supervised() -> bool:
    """Whether a studio's supervisor started this process, and looks after its queue."""
    return bool(os.environ.get(SUPERVISOR))


def work(queues: Sequence[str], connection: redis.Redis) -> None:
    """Take work from `queues` until a signal asks for the end."""
    queues = listened(queues)
    pulse, ended = Pulse(models.studio(), queues), threading.Event()
    pulse.start()
    if not is_supervised():
        looking = (models.studio(), connection, ended)
        threading.Thread(target=reconciler.run, args=looking, daemon=True).start()
    worker = StudioWorker(
        [rq_queue(queue, connection) for queue in queues],
        name=worker_name(),
        connection=connection,
        serializer=SERIALIZER,
        job_class=StudioJob,
        worker_ttl=20,
        maintenance_interval=5,
        log_job_description=False,
    )
    try:
        worker.work(logging_level="WARNING")
    finally:
        ended.set()
        pulse.end()
