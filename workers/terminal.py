"""What every command of the terminal has around it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from backend.errors import PalateError


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
