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
        with store.engine.connect() as connection:
            if store.dialect == "sqlite":  # a table that is made anew is dropped in between
                connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
            with connection.begin():
                if store.dialect == "postgresql":
                    connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK})
                _refuse_newer(connection)
                command.upgrade(configuration(connection), "head")
                _refuse_orphans(connection)
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


def _refuse_orphans(connection: Connection) -> None:
    """Foreign keys are off while SQLite's tables change; nothing may point nowhere afterwards."""
    if connection.dialect.name != "sqlite":
        return
    lost = connection.execute(text("PRAGMA foreign_key_check")).first()
    if lost is not None:
        raise StoreProblem(
            f"After the upgrade a row of table '{lost[0]}' points at nothing, so the upgrade was "
            "taken back; keep the database file and report this."
        )


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(configuration())
