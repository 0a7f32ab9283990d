"""What somebody gives to be imported: a file, a folder of files, or a ZIP, as parts to be read in
turn.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.errors import InputError
from backend.services.pictures import Archive, Folder, NoPictures, Pictures, is_rows

MAX_PARTS = 10_000
SMALL_BYTES = 1_000_000
"""Longest file that says what a folder of Hugging Face datasets holds."""


@dataclass(frozen=True)
class Part:
    """One file of rows, what sentences call it, and the pictures that its rows name."""

    name: str
    path: Path
    pictures: Pictures


@contextmanager
def opened(
    path: Path, *, name: str = "", pictures: Path | None = None, beside: bool = False
) -> Iterator[list[Part]]:
    """The parts of what lies at `path`, in a fixed order.

    `pictures` is a folder of them; without one they lie in the ZIP, or with `beside` where the rows
    are. Without both (a file from elsewhere) only pictures that the studio has can be named.
    """
    if pictures is not None and not pictures.is_dir():
        raise InputError(f"There is no folder {pictures}; --pictures names the pictures' folder.")
    given = Folder(pictures) if pictures is not None else None
    title = name or path.name
    if path.is_dir():
        files = folder_files(path)
        yield [Part(str(f.relative_to(path)), f, given or Folder(f.parent)) for f in files]
        return
    try:
        with path.open("rb") as file:
            if file.read(4) == b"PK\x03\x04":
                with tempfile.TemporaryDirectory(prefix="palate-rows-") as folder:
                    yield list(_unpacked(Archive(file, title), Path(folder), given))
                return
    except OSError as error:
        raise InputError(f"The file {path} cannot be read: {error.strerror}.") from None
    yield [Part(title, path, given or (Folder(path.parent) if beside else NoPictures()))]


def _unpacked(archive: Archive, folder: Path, given: Folder | None) -> Iterator[Part]:
    for number, member in enumerate(sorted(archive.rows)[:MAX_PARTS]):
        target = folder / f"rows-{number}"
        archive.copy(member, target)
        yield Part(member[:200], target, given or archive.beside(member))


def folder_files(folder: Path) -> list[Path]:
    """The files of rows below a folder: those that Hugging Face `datasets` lists, else all."""
    listed = _listed(folder)
    found = listed if listed is not None else sorted(folder.rglob("*"))
    files = [path for path in found if path.is_file() and is_rows(path.name)]
    if not files:
        raise InputError(
            f"The folder {folder} holds no rows: no .jsonl, .json, .parquet or .arrow."
        )
    if len(files) > MAX_PARTS:
        raise InputError(f"The folder {folder} holds {len(files):,} files of rows; split it.")
    return files


def _listed(folder: Path) -> list[Path] | None:
    """What `Dataset.save_to_disk` and `DatasetDict.save_to_disk` wrote down; None without that."""
    state, splits = _about(folder / "state.json"), _about(folder / "dataset_dict.json")
    if splits is not None:
        names = splits.get("splits")
        below = [_within(folder, name) for name in names] if isinstance(names, list) else []
        return [path for split in below if split for path in _listed(split) or []]
    if state is None:
        return None
    files = state.get("_data_files")
    names = [one.get("filename") for one in files if isinstance(one, dict)] if files else []
    return [path for path in (_within(folder, name) for name in names) if path]


def _within(folder: Path, name: object) -> Path | None:
    if not isinstance(name, str):
        return None
    path = (folder / name).resolve()
    return path if path.is_relative_to(folder.resolve()) else None


def _about(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(SMALL_BYTES))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
