"""Starts the parts of the studio, watches them, and stops them; nothing is left running.

    palate up ── supervisor ─┬─ Redis (unless PALATE_REDIS_URL names one)
                             ├─ app                    FastAPI, pages, JSON API
                             ├─ worker generate+score  half the cores
                             ├─ worker train           all cores, lower priority
                             └─ reconciler (a thread)

Every part stands under a watchdog of its own (`workers.watchdog`), so that `kill -9` of this
process ends them too. A part that dies is started again with growing pauses.

Why the cores are shared like this: an update of a run must not wait half-idle for a queue that is
usually empty, so training may use every core; it runs at a lower priority and drawing on half the
cores, so somebody who asks for pictures gets them at once and the run gives way. One process serves
both `generate` and `score` up to four cores, because each copy of torch and its models takes 0.4
GB.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from backend.errors import EnvironmentProblem
from backend.services import sign_ins
from backend.services.studio import Studio, open_studio
from backend.settings import ROOT, Settings
from workers import home, reconciler, watchdog
from workers.queues import SUPERVISOR, connect
from workers.redis_server import RedisServer, answers

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
"""A part that lived this long is forgiven its earlier deaths."""
LONGEST_LOG_BYTES = 5_000_000
APP_FIRST_S = 10.0
"""Workers wait this long for the app to serve its first page."""


@dataclass
class Part:
    """One program of the studio and what is known of its life."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    process: watchdog.Watched | None = None
    started_at: float = 0.0
    deaths: int = 0
    start_after: float = 0.0
    has_given_up: bool = False

    def start(self, settings: Settings) -> None:
        """Start it under a watchdog with the studio's settings; it writes to a log of its own."""
        path = log_file(settings, self.name)
        if path.exists() and path.stat().st_size > LONGEST_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as output:
            environment = {**os.environ, **_handed_on(settings), **self.environment}
            self.process = watchdog.spawn(self.command, env=environment, cwd=ROOT, log=output)
        self.started_at = time.monotonic()

    def has_died(self) -> bool:
        """Whether it was running and is not any more."""
        return self.process is not None and self.process.poll() is not None

    def ask_to_end(self) -> None:
        """Close the pipe: its watchdog ends it, gently first."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()


def parts(settings: Settings, *, with_app: bool = True) -> list[Part]:
    """What runs on this machine besides Redis."""
    cores = os.cpu_count() or 1
    drawing = settings.threads or max(1, cores // 2)
    queues = [["generate", "score"]] if cores <= 4 else [["generate"], ["score"]]
    found = [_worker(names, drawing) for names in queues]
    found.append(_worker(["train"], settings.threads or cores, "--nice", "5"))
    if with_app:
        found.insert(0, Part("app", [sys.executable, "-m", "app.main"]))
    return found


def _worker(queues: list[str], threads: int, *options: str) -> Part:
    command = [sys.executable, "-m", "workers.main", *queues, "--threads", str(threads), *options]
    # Waiting threads of one process must not burn the cores that the other one computes on.
    environment = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    return Part(f"worker-{'-'.join(queues)}", command, environment)


def log_file(settings: Settings, name: str) -> Path:
    """Where a part of the studio writes what it has to say."""
    folder = settings.home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.log"


def _handed_on(settings: Settings) -> dict[str, str]:
    """The studio's settings as its parts read them."""
    plain = settings.model_dump(mode="json")
    given = {f"PALATE_{name.upper()}": str(value) for name, value in plain.items()}
    given["PALATE_INSECURE_BIND"] = str(int(settings.insecure_bind))
    return {"PYTHONUNBUFFERED": "1", **given}


class Supervisor:
    """The whole studio as one object: `start()`, `watch(ended)`, `stop()`."""

    def __init__(
        self,
        settings: Settings,
        *,
        with_app: bool = True,
        say: Callable[[str], None] = log.info,
    ) -> None:
        self.settings, self.with_app, self.say = settings, with_app, say
        self.mark = uuid.uuid4().hex[:8]
        self.parts = parts(settings, with_app=with_app)
        for part in self.parts:
            part.environment[SUPERVISOR] = self.mark
        self.redis: RedisServer | None = None
        self.studio: Studio | None = None
        self.ended = threading.Event()
        self.problem = ""
        """Why the studio ended by itself; empty when somebody asked for it."""
        self._threads: list[threading.Thread] = []
        self._at_it = threading.Lock()

    def start(self) -> Studio:
        """Claim the data folder, bring the store up to date, start Redis and every part."""
        self._lock = home.claim(self.settings.home)
        if self.with_app:
            home.refuse_taken_port(self.settings.host, self.settings.port)
        self.studio = open_studio(self.settings, migrate=True)
        if self.with_app:
            self.settings.refuse_open_bind(sign_ins.has_accounts(self.studio))
        self._start_redis()
        self.parts[0].start(self.settings)
        for part in self.parts[1:]:
            if self.with_app:  # a page first: loading the models would take the cores from it
                part.start_after = time.monotonic() + APP_FIRST_S
            else:
                part.start(self.settings)
        self._in_background("reconciler", self._reconcile)
        return self.studio

    def watch(self) -> None:
        """Start again what dies, until `ended` is set."""
        while not self.ended.wait(0.2):
            with self._at_it:
                if not self.ended.is_set():  # or what is being stopped would be started again
                    self._look()

    def stop(self) -> None:
        """End every part, Redis last; nothing is left running."""
        self.ended.set()
        with self._at_it:
            for part in self.parts:
                part.ask_to_end()
        until = time.monotonic() + watchdog.GRACE_S + 2
        for part in self.parts:
            if part.process is not None:
                try:
                    part.process.wait(max(0.1, until - time.monotonic()))
                except subprocess.TimeoutExpired:
                    part.process.terminate()  # asked a second time, a watchdog kills
        for thread in self._threads:
            thread.join(10)
        if self.redis is not None:
            self.redis.stop()
        if self.studio is not None:
            self.studio.close()

    def app_is_ready(self) -> None:
        """The app has served its first page: the workers may start."""
        for part in self.parts:
            part.start_after = 0.0

    def hurry(self) -> None:
        """Asked a second time: kill what has not ended yet."""
        for part in self.parts:
            if part.process is not None and part.process.poll() is None:
                part.process.terminate()

    def log_tail(self, name: str, num_chars: int = 600) -> str:
        """The last words of one part."""
        path = log_file(self.settings, name)
        return path.read_text(errors="replace")[-num_chars:].strip() if path.exists() else ""

    def _look(self) -> None:
        if self.redis is not None and not self.redis.is_running():
            self.say("Redis has ended; starting it again. Nothing is lost: the store has the work.")
            self.redis.start()
        for part in self.parts:
            self._care_for(part)

    def _care_for(self, part: Part) -> None:
        now = time.monotonic()
        if part.has_given_up or (part.process is not None and not part.has_died()):
            return
        if part.process is not None:
            self._count_death(part, now)
        elif now >= part.start_after:
            part.start(self.settings)

    def _count_death(self, part: Part, now: float) -> None:
        code = part.process.returncode if part.process else 0
        part.process = None
        if code == watchdog.CANNOT_RUN_HERE:
            part.has_given_up = True
            self.say(f"{part.name} cannot run here: {self.log_tail(part.name).splitlines()[-1]}")
            return
        part.deaths = 1 if now - part.started_at > STEADY_S else part.deaths + 1
        pause = min(LONGEST_PAUSE_S, 0.25 * 2 ** (part.deaths - 1))
        part.start_after = now + pause
        self.say(
            f"{part.name} ended unexpectedly (code {code}); starting it again in {pause:.2g} s. "
            f"Its log: {log_file(self.settings, part.name)}"
        )

    def _start_redis(self) -> None:
        if self.settings.redis_url:
            if not answers(self.settings.redis_url):
                raise EnvironmentProblem(
                    "PALATE_REDIS_URL is set, but no Redis answers there; start that server, "
                    "correct the address, or unset it so that the studio starts its own."
                )
            return
        self.redis = RedisServer(self.settings.home)
        self.redis.start()

    def _reconcile(self) -> None:
        assert self.studio is not None
        connection = connect(self.settings.redis_address)
        reconciler.run(self.studio, connection, self.ended, self.mark)

    def _in_background(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)
