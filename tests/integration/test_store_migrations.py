"""Migrations, on both kinds of store: from nothing to today's tables, and no further apart."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import db
from db.session import normalise
from db.tables import Base, Label, Pair
from db.upgrade import configuration
from tests.conftest import empty_database


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database that no other test is given: here the schema itself is changed."""
    with empty_database(request, tmp_path) as url:
        yield url


def test_the_migrated_schema_is_that_of_the_tables(store: db.Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_again_changes_nothing_and_nothing_is_pending(
    store: db.Store, database_url: str
) -> None:
    assert not db.pending(store)
    db.migrate(database_url)
    assert not db.pending(store)


def test_a_database_of_a_newer_palate_is_refused(store: db.Store, database_url: str) -> None:
    with store.engine.begin() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    with pytest.raises(db.StoreProblem, match="newer"):
        db.migrate(database_url)


def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    code = "import sys, db; db.migrate(sys.argv[1])"
    url = f"sqlite:///{tmp_path / 'new.db'}"
    started = [subprocess.Popen([sys.executable, "-c", code, url]) for _ in range(3)]
    assert [process.wait(240) for process in started] == [0, 0, 0]
    store = db.Store(url)
    assert not db.pending(store)
    store.dispose()


@pytest.mark.parametrize("given", ["postgres://u:p@h/d", "postgresql://u:p@h/d"])
def test_postgresql_means_psycopg_3(given: str) -> None:
    assert normalise(given).drivername == "postgresql+psycopg"


@pytest.mark.parametrize("given", ["mysql://h/d", "sqlite://", "sqlite:///:memory:", "nonsense"])
def test_a_store_that_cannot_be_used_is_refused_with_a_sentence(given: str) -> None:
    with pytest.raises(db.StoreProblem, match=r"\."):
        normalise(given)


def test_foreign_keys_are_enforced_and_reading_does_not_write(store: db.Store) -> None:
    with pytest.raises(sa.exc.IntegrityError), store.write() as session:
        session.execute(
            sa.text(
                "insert into lease (pair_id, user_id, until, shown_left) values (77, 77, 0, 'a')"
            )
        )
    from db.tables import Project

    with pytest.raises(RuntimeError, match="write"), store.read() as session:
        session.add(Project(name="lost"))


def test_labels_survive_every_later_revision(database_url: str) -> None:
    store = db.Store(database_url)
    with store.engine.begin() as connection:
        command.downgrade(configuration(connection), "0001")
        for statement in (
            "insert into project values (1, 'p', 0)",
            "insert into \"user\" values (1, 'u', 'person', 'admin', '{}', 0)",
            "insert into prompt_set values (1, 1, 's', 'train', 0)",
            "insert into prompt values (1, 1, 0, 'text')",
            "insert into policy values (1, 1, 'm', 'sd3', '{}', null, null, null, 0)",
            "insert into sample values (1, 1, 1, 1, 0, 'h', 8, 8, '{}', 0)",
            "insert into pair values (1, 1, 1, 1, 1, null, 'generate', 'random', 1, 0, 1, 0)",
            "insert into label values (1, 1, 1, 'c', 'left', 'a', 1, 2, '[]', '', null, 2)",
        ):
            connection.exec_driver_sql(statement)
    db.migrate(database_url)
    with store.read() as session:
        assert session.scalars(sa.select(Label.choice)).all() == ["left"]
        assert session.scalars(sa.select(Pair.settled)).all() == [False]
    assert not db.pending(store)
    store.dispose()
