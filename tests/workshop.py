"""A studio's workers without its app: real Redis, real worker processes, a tiny random model."""

from __future__ import annotations

import functools
import importlib
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import sqlalchemy as sa

from backend.services import jobs, policies, projects, prompts
from backend.services.studio import Studio, open_studio
from backend.settings import read_settings
from db.tables import Job
from tests.conftest import empty_database
from tests.processes import is_alive, table, wait_until
from workers import models, reconciler
from workers.supervisor import Supervisor, log_file

COLOURS, SHAPES = ("red", "blue", "green"), ("circle", "square")
PROMPTS = [f"a large {c} {s} on a white background" for c in COLOURS for s in SHAPES]
LONG_S = 600.0
"""What a busy machine may take; a quick one is not waited for."""
SILENT_S = 120.0
"""In place of the product's 12 s: a worker that starves is not taken for dead, and one that a test
kills is noticed by its process, not by its silence."""


class Workshop:
    """Running workers and the store they share; `project` has prompts and the tiny policy."""

    def __init__(self, home: Path, database_url: str, tiny: Path, *queues: str) -> None:
        self.settings = read_settings(home=home, database_url=database_url, threads=1)
        self.tiny, self.queues = tiny, queues

    def open(self) -> None:
        """Start the workers."""
        self._patience = mock.patch.object(reconciler, "DEAD_S", SILENT_S)
        self._patience.start()
        self.supervisor = Supervisor(self.settings, with_app=False)
        if self.queues:
            wanted = [p for p in self.supervisor.parts if any(q in p.name for q in self.queues)]
            self.supervisor.parts = wanted
        self.studio: Studio = self.supervisor.start()
        self._watch = threading.Thread(target=self.supervisor.watch, daemon=True)
        self._watch.start()

    def restart(self) -> None:
        """Stop the workers as Ctrl-C does, and start them again; the project stays."""
        self.close()
        self.open()

    def new_project(self) -> None:
        """Go on in an empty project with prompts and the tiny policy."""
        self.project = projects.create(self.studio, f"Test {uuid.uuid4().hex[:6]}")["id"]
        for split, size in (("train", "large"), ("heldout", "small")):
            text = "\n".join(prompt.replace("large", size) for prompt in PROMPTS)
            prompts.import_text(self.studio, self.project, split, split, text)
        config = {"weights": str(self.tiny)}
        policies.create(self.studio, self.project, "tiny", "sd3", config)

    def close(self) -> None:
        """Stop everything."""
        self.supervisor.stop()
        self._watch.join(LONG_S)
        self._patience.stop()

    @property
    def policy_id(self) -> int:
        """The tiny policy."""
        return int(policies.rows(self.studio, self.project)[0]["id"])

    @property
    def prompt_set_id(self) -> int:
        """The prompts to train on."""
        return int(prompts.named(self.studio, self.project, "train")["id"])

    def job(self, kind: str, args: dict[str, Any], seconds: float = LONG_S) -> dict[str, Any]:
        """Have a job done and wait for its end, however it ends."""
        return self.end_of(jobs.create(self.studio, kind, args), seconds)

    def done(self, kind: str, args: dict[str, Any], seconds: float = LONG_S) -> dict[str, Any]:
        """Have a job done; its result."""
        ended = self.job(kind, args, seconds)
        assert ended["status"] == "done", f"{ended['error']}\n{self.last_words()}"
        return dict(ended["result"])

    def end_of(self, job_id: int, seconds: float = LONG_S) -> dict[str, Any]:
        """Wait for the end of a job."""
        self.until(lambda: jobs.get(self.studio, job_id)["status"] in jobs.OVER, seconds)
        return jobs.get(self.studio, job_id)

    def until(self, holds: Callable[[], Any], seconds: float = LONG_S) -> None:
        """Wait until something holds; fails with the workers' last words."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"not within {seconds} s; {self.last_words()}"
            time.sleep(0.15)

    def last_words(self) -> str:
        """The ends of the workers' logs."""
        parts = [part.name for part in self.supervisor.parts]
        said = [log_file(self.settings, name).read_text(errors="replace") for name in parts]
        return "\n".join(f"--- {n}\n{text[-1500:]}" for n, text in zip(parts, said, strict=True))

    def worker_pid(self, queue: str) -> int | None:
        """The process that serves a queue now, as the store knows it."""
        from backend.services import workers

        alive = [
            row
            for row in workers.rows(self.studio)
            if queue in row["queue"].split(",") and row["state"] != "gone" and is_alive(row["pid"])
        ]
        return int(alive[-1]["pid"]) if alive else None

    def in_mid(self, begin: Callable[[], int], act: Callable[[int], bool]) -> int:
        """Begin something until `act` says that it was still under way, and return its number: on a
        busy machine it may be over before anybody has looked."""
        for _ in range(5):
            number = begin()
            if act(number):
                return number
        raise AssertionError(f"Five times it was over before it was acted upon.{self.last_words()}")

    def process_of(self, queue: str) -> int:
        """The process that serves a queue, as soon as the store has heard of it."""
        self.until(lambda: self.worker_pid(queue))
        return self.worker_pid(queue) or self.process_of(queue)

    @contextmanager
    def frozen(self, queue: str) -> Iterator[None]:
        """The process that serves a queue neither answers nor dies. It stops while SQLite's write
        lock is held here: one that froze in the middle of a transaction would keep it."""
        pid = self.process_of(queue)
        with self.studio.write():
            os.kill(pid, signal.SIGSTOP)
            wait_until(LONG_S, lambda: table()[pid][1].startswith("T"), "the process to stop")
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def kill_worker(self, queue: str) -> None:
        """`kill -9` on the process that serves a queue."""
        os.kill(self.process_of(queue), signal.SIGKILL)

    def looks_until_released(self, job_id: int, attempt: int) -> int:
        """Wait until an attempt is taken from its lost worker; how often the reconciler, which is
        in this process, has looked for it by then."""
        looks, look = [0], reconciler.Reconciler.round

        def held() -> bool:
            row = jobs.get(self.studio, job_id)
            return (row["attempt"], row["status"]) == (attempt, "running")

        def counted(its: reconciler.Reconciler) -> None:
            looks[0] += held()
            look(its)

        with mock.patch.object(reconciler.Reconciler, "round", counted):
            self.until(lambda: not held())
        return looks[0]


class InProcess(Workshop):
    """The same without workers: jobs are done here, by their number, when one is waited for. For
    what a job does, not for what happens to its process."""

    def open(self) -> None:
        """Open the store, and let jobs find it."""
        self.studio = open_studio(self.settings)
        self._studio_of_jobs = models.studio
        models.studio = functools.cache(lambda: self.studio)

    def close(self) -> None:
        """Close the store."""
        models.studio = self._studio_of_jobs
        self.studio.close()

    def end_of(self, job_id: int, seconds: float = LONG_S) -> dict[str, Any]:
        """Do what is due until the job is over."""
        while jobs.get(self.studio, job_id)["status"] not in jobs.OVER:
            with self.studio.read() as session:
                due = sa.select(Job).where(Job.status == "due").order_by(Job.id).limit(1)
                job = session.scalars(due).one()
            importlib.import_module(f"workers.jobs.{job.kind}").run(job.id, job.attempt + 1)
        return jobs.get(self.studio, job_id)

    def last_words(self) -> str:
        """Nobody has a log of their own."""
        return ""


@contextmanager
def opened(
    home: Path,
    database_url: str,
    tiny: Path,
    *queues: str,
    kind: type[Workshop] = Workshop,
) -> Iterator[Workshop]:
    """A workshop that is closed at the end; its workers serve `queues`, or all."""
    workshop = kind(home, database_url, tiny, *queues)
    workshop.open()
    try:
        workshop.new_project()
        yield workshop
    finally:
        workshop.close()


@contextmanager
def opened_for(
    request: pytest.FixtureRequest,
    factory: pytest.TempPathFactory,
    tiny: Path,
    *queues: str,
    kind: type[Workshop] = Workshop,
) -> Iterator[Workshop]:
    """A workshop over an empty database of the kind that the fixture's parameter names."""
    folder = factory.mktemp("workshop")
    with (
        empty_database(request, folder) as url,
        opened(folder / "home", url, tiny, *queues, kind=kind) as workshop,
    ):
        yield workshop
