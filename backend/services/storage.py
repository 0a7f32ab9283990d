"""What the studio takes up: its files, its database, and the room that is left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text

from backend.services.studio import Studio
from db.tables import Label, Pair, Sample

MOST_FILES = 200_000
"""Files that are counted; of more the answer says that it is not all."""
SIZES = {
    "sqlite": "select page_count * page_size from pragma_page_count(), pragma_page_size()",
    "postgresql": "select pg_database_size(current_database())",
}
"""How a database says how many bytes it has."""


def facts(studio: Studio) -> dict[str, Any]:
    """{folder, files, bytes, is_all, free, database, database_bytes, samples, pairs, labels}.

    Of files that lie in an object store nothing is counted: `folder` is empty, `files`, `bytes`
    and `free` are null.
    """
    dialect = studio.store.dialect
    with studio.read() as session:
        taken = session.scalar(text(SIZES[dialect]))
        rows = {
            name: session.scalar(select(func.count()).select_from(table)) or 0
            for name, table in (("samples", Sample), ("pairs", Pair), ("labels", Label))
        }
    found: dict[str, Any] = {"folder": "", "files": None, "bytes": None, "is_all": True}
    if studio.media.folder is not None:
        sizes = list(islice(_sizes(studio.media.folder), MOST_FILES + 1))
        found = {
            "folder": str(studio.media.folder),
            "files": len(sizes[:MOST_FILES]),
            "bytes": sum(sizes[:MOST_FILES]),
            "is_all": len(sizes) <= MOST_FILES,
        }
    known = {"free": studio.media.free_bytes(), "database": dialect, "database_bytes": taken}
    return {**found, **known, **rows}


def _sizes(folder: Path) -> Iterator[int]:
    """The size of every file below a folder; one that goes meanwhile is left out."""
    waiting = [str(folder)]
    while waiting:
        with suppress(FileNotFoundError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    continue
                with suppress(FileNotFoundError):
                    yield entry.stat(follow_symlinks=False).st_size
