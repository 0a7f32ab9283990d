"""What every service works on: the settings, the store and the media, opened together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.exc import DataError, DBAPIError, OperationalError
from sqlalchemy.orm import Session

import db
from backend.errors import ConfigError, EnvironmentProblem, InputError
from backend.services.media import Media
from backend.settings import Settings, settings


@dataclass(frozen=True)
class Studio:
    """Settings, store and media of one studio; safe to share between threads."""

    settings: Settings
    store: db.Store
    media: Media

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A reading transaction; a database that is away becomes an `EnvironmentProblem`."""
        with _told(self), self.store.read() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A writing transaction; a full disk or a lost database becomes an `EnvironmentProblem`."""
        with _told(self), self.store.write() as session:
            yield session

    def close(self) -> None:
        """Give the database connections back."""
        self.store.dispose()


def open_studio(given: Settings | None = None, *, migrate: bool = False) -> Studio:
    """Open store and media by the settings; `migrate` first brings the database up to date."""
    chosen = given or settings()
    try:
        chosen.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentProblem(
            f"The data folder {chosen.home} cannot be made: {error.strerror}; choose another with "
            "PALATE_HOME."
        ) from None
    try:
        if migrate:
            db.migrate(chosen.database_url)
        store = db.Store(chosen.database_url)
        media = Media(chosen.media_url, cache=chosen.home / "cache")
    except db.StoreProblem as error:
        raise ConfigError(str(error), field="database_url") from None
    except OperationalError as error:
        raise _problem(chosen.database_url, error) from None
    return Studio(chosen, store, media)


@contextmanager
def _told(studio: Studio) -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise _problem(studio.settings.database_url, error) from error
    except (OverflowError, DataError) as error:  # SQLite's words, and PostgreSQL's
        raise InputError(
            "A number or a text of this request is none that the database can hold (numbers go to "
            "9,223,372,036,854,775,807, texts have no zero byte); nothing was changed."
        ) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise _problem(studio.settings.database_url, error) from error
        raise


def _problem(url: str, error: DBAPIError) -> EnvironmentProblem:
    """One sentence for a person; the password in the URL stays out of it."""
    shown = db.session.normalise(url).render_as_string(hide_password=True)
    reason = " ".join(str(error.orig).split())
    if "disk is full" in reason or "No space left" in reason:
        return EnvironmentProblem(
            f"The disk that holds the database {shown} is full; nothing was saved. Free some space "
            "and try again."
        )
    return EnvironmentProblem(
        f"The database {shown} did not take the request ({reason}); check that it runs and can be "
        "written, then try again."
    )
