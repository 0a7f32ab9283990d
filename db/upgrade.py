"""Bring a database to the newest revision of `db/migrations`."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from db.session import Store, StoreProblem

FOLDER = Path(__file__).with_name("migrations")
LOCK = 0x70616C617465
"""Any constant number; processes that start together take PostgreSQL's advisory lock by it."""


def migrate(url: str) -> None:
    """Upgrade the database at `url`; safe when several processes start at once, nothing half-done.

    Raises `StoreProblem` when the database was written by a newer Palate.
    """
    store = Store(url)
    try:
        with store.engine.begin() as connection:
            if store.dialect == "postgresql":
                connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK})
            _refuse_newer(connection)
            command.upgrade(configuration(connection), "head")
    finally:
        store.dispose()


def pending(store: Store) -> bool:
    """Whether the database is behind the newest revision (an empty one is)."""
    with store.engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_heads()
    return set(current) != set(_scripts().get_heads())


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _refuse_newer(connection: Connection) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    for revision in MigrationContext.configure(connection).get_current_heads():
        if revision not in known:
            raise StoreProblem(
                f"The database is at revision '{revision}', which this version of Palate does not "
                "know; it was written by a newer one. Update Palate or use another database."
            )


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(configuration())
