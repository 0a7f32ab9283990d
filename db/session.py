"""The door to the store: one engine, short transactions, the same behaviour on SQLite and
PostgreSQL.

`write()` begins IMMEDIATE on SQLite: a deferred transaction that reads and then writes fails at
once under several processes, whatever the busy timeout. `read()` never takes the write lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session, sessionmaker

BUSY_TIMEOUT_MS = 60_000
"""How long a writer waits for SQLite's one write lock before it gives up. Transactions take
milliseconds, but on a machine with too much to do who holds the lock may not run for seconds."""


class StoreProblem(Exception):
    """The database cannot be used as configured; `str(error)` is a sentence for a person."""


class Store:
    """One database, shared by the threads of one process.

    `url` is an SQLAlchemy URL; `postgres://` and `postgresql://` mean PostgreSQL through psycopg 3,
    `sqlite:///folder/file.db` means SQLite in WAL mode with foreign keys on.
    """

    def __init__(self, url: str) -> None:
        self.url = normalise(url)
        self.dialect = self.url.get_backend_name()
        self.engine = _engine(self.url)
        readers = self.engine.execution_options(read_only=True)
        self._writing = sessionmaker(self.engine, expire_on_commit=False)
        self._reading = sessionmaker(readers, expire_on_commit=False, autoflush=False)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that may write: committed at the end, rolled back on any exception."""
        with self._writing.begin() as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads; pending changes in it are a programming error, not
        lost."""
        with self._reading() as session:
            yield session
            if session.new or session.dirty or session.deleted:
                raise RuntimeError("A reading transaction was given changes; use Store.write().")

    def serialise(self, session: Session, *key: str | int) -> None:
        """Make transactions that name the same key run one after the other, until this one ends.

        SQLite has one writer anyway; PostgreSQL takes an advisory lock, after which the next
        statement sees all that the previous holder committed.
        """
        if self.dialect == "postgresql":
            name = ":".join(str(part) for part in key)
            session.execute(
                text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name}
            )

    def ping(self) -> None:
        """One round trip; raises SQLAlchemy's OperationalError when the database is not there."""
        with self.read() as session:
            session.execute(text("select 1"))

    def dispose(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()


def normalise(url: str) -> URL:
    """The URL with its driver named; refuses what Palate cannot run on, with a sentence."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreProblem(
            f"The database URL '{url}' cannot be read; write sqlite:////folder/palate.db or "
            "postgresql://user:password@host/database."
        ) from None
    kind = parsed.drivername.split("+")[0]
    if kind in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise StoreProblem(
            f"The database URL names '{parsed.drivername}', but Palate keeps its store in SQLite "
            f"or "
            "PostgreSQL; set PALATE_DATABASE_URL to sqlite:///... or postgresql://..."
        )
    if not parsed.database or parsed.database == ":memory:":
        raise StoreProblem(
            "An SQLite database in memory cannot be shared by the app and its workers; name a "
            "file: "
            "sqlite:////folder/palate.db."
        )
    return parsed


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(
            url, pool_size=10, max_overflow=30, pool_pre_ping=True, pool_recycle=1800
        )
    Path(str(url.database)).expanduser().parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, pool_size=10, max_overflow=30)
    event.listen(engine, "connect", _open_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _open_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not send a BEGIN of its own
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("read_only")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
