"""What every command of the terminal has around it: settings, studio, errors as sentences."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backend.errors import PalateError
from backend.settings import Settings, read_settings, settings

if TYPE_CHECKING:
    from backend.services.studio import Studio

Home = Annotated[
    Path | None, typer.Option("--home", help="Data folder.", show_default="PALATE_HOME or .palate")
]


@contextmanager
def sentences() -> Iterator[None]:
    """Errors that were foreseen are one sentence on standard error, and exit code 1."""
    try:
        yield
    except PalateError as error:
        typer.echo(f"palate: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def chosen(home: Path | None, **given: Any) -> Settings:
    """The settings of this process and of those it starts: options win over the environment."""
    if home is not None:
        os.environ["PALATE_HOME"] = str(home.expanduser().resolve())
    os.environ.update({name: str(value) for name, value in given.items() if value is not None})
    settings.cache_clear()
    return read_settings()


@contextmanager
def opened(home: Path | None) -> Iterator[Studio]:
    """The studio of a data folder, brought up to date."""
    from backend.services.studio import open_studio

    studio = open_studio(chosen(home), migrate=True)
    try:
        yield studio
    finally:
        studio.close()
