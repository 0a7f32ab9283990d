"""`palate up`: the supervisor in the foreground, from the first line to Ctrl-C."""

from __future__ import annotations

import logging
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from backend.errors import EnvironmentProblem, PalateError
from backend.services import demo as demo_content
from backend.services.studio import Studio
from backend.settings import Settings
from workers.supervisor import Supervisor

log = logging.getLogger(__name__)
READY_S = 600.0
"""A busy machine takes minutes to load what the pages stand on; an app that dies is told anyway."""


def run(settings: Settings, *, say: Callable[[str], None], demo: bool) -> None:
    """Start the studio, print its address, watch it until a signal asks for the end."""
    _log_to(settings)
    supervisor = Supervisor(settings, say=say)
    _end_on_signals(supervisor)
    started = time.monotonic()
    try:
        studio = supervisor.start()
        say("Starting the studio ...")
        threading.Thread(target=_announce, args=(supervisor, say, started), daemon=True).start()
        if demo:
            threading.Thread(target=_fill, args=(studio, supervisor), daemon=True).start()
        supervisor.watch()
        say("Stopping ...")
    finally:
        supervisor.stop()
    if supervisor.problem:
        raise EnvironmentProblem(supervisor.problem)


def address(settings: Settings) -> str:
    """Where a browser on this machine finds the studio."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    return f"http://{host}:{settings.port}"


def _log_to(settings: Settings) -> None:
    """The supervisor's log stands beside those of its parts; the terminal has only sentences."""
    handlers: list[logging.Handler] = [logging.NullHandler()]
    folder = settings.home / "logs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handlers = [logging.FileHandler(folder / "supervisor.log")]
    except OSError:  # claiming the folder says what is wrong with it
        pass
    layout = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=logging.INFO, format=layout, handlers=handlers)


def _end_on_signals(supervisor: Supervisor) -> None:
    def end(_signal: int, _frame: object) -> None:
        if supervisor.ended.is_set():
            supervisor.hurry()
        supervisor.ended.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def _announce(supervisor: Supervisor, say: Callable[[str], None], started: float) -> None:
    """Say the address once a page is served; give up on an app that never serves one."""
    url, settings = address(supervisor.settings), supervisor.settings
    while not supervisor.ended.wait(0.1):
        if _answers(f"{url}/healthz"):
            supervisor.app_is_ready()
            say(f"\n    Palate is at {url}   (ready after {time.monotonic() - started:.0f} s)\n")
            say(f"Data: {settings.home}   Logs: {Path(settings.home) / 'logs'}   Ctrl-C stops it.")
            return
        if time.monotonic() - started > READY_S:
            supervisor.problem = (
                f"The app did not serve a page within {READY_S:.0f} s; its last words: "
                f"{supervisor.log_tail('app') or 'none'}"
            )
            supervisor.ended.set()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _fill(studio: Studio, supervisor: Supervisor) -> None:
    """Give an empty studio its demo project; nobody waits for it."""
    try:
        demo_content.ensure(studio)
    except PalateError as error:
        supervisor.say(f"The demo project could not be made: {error}")
    except Exception as error:
        log.exception("The demo project could not be made.")
        supervisor.say(f"The demo project could not be made: {error}")
