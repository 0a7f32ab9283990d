"""The data folder: made, checked for writing, and locked so that two studios don't share it."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from pathlib import Path
from typing import IO

from backend.errors import EnvironmentProblem

LOCK = "studio.lock"


def claim(home: Path) -> IO[str]:
    """Make `home` and lock it for this process; the lock goes with the process, however it ends."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / LOCK).open("a+")
    except OSError as error:
        raise EnvironmentProblem(
            f"The data folder {home} cannot be written ({error.strerror}); make it writable or "
            "choose another with PALATE_HOME or --home."
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise EnvironmentProblem(
            f"Another studio (process {holder}) already uses the data folder {home}; stop it or "
            "choose another folder with PALATE_HOME or --home."
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def refuse_taken_port(host: str, port: int) -> None:
    """Raise a sentence when the app could not listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise EnvironmentProblem(_port_sentence(host, port, error)) from None


def _port_sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is already in use; stop the program that listens there, or "
            "choose another port with PALATE_PORT or --port."
        )
    if error.errno == errno.EACCES:
        return (
            f"Port {port} may not be used by this account; choose one above 1023 with PALATE_PORT "
            "or --port."
        )
    return (
        f"The studio cannot listen on {host}, port {port} ({error.strerror or error}); check "
        "PALATE_HOST and PALATE_PORT."
    )
