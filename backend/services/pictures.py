"""Where the pictures of an imported file lie: a folder, or the archive that came with it."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from backend.errors import InputError

SUFFIXES = ("", ".png", ".jpg", ".jpeg", ".webp")
"""Tried in this order, so that a picture may be named without its ending."""
MAX_PICTURE_BYTES = 50_000_000
LONGEST_NAME = 1_000


class Pictures(Protocol):
    """Pictures by the name that a row gives them."""

    def read(self, name: str) -> bytes:
        """Its bytes; an InputError says why there are none."""
        ...


class NoPictures:
    """Rows that came alone: only pictures that the studio has can be named."""

    def read(self, name: str) -> bytes:
        """Refuse."""
        refuse_name(name)
        raise InputError(
            f"'{_shown(name)}' is no picture of this studio; send the pictures along, in a folder "
            "or in a ZIP together with the rows"
        )


class Folder:
    """The files below a folder; nothing outside it can be named."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    def read(self, name: str) -> bytes:
        """The bytes of a file by its path below the folder, with or without its ending."""
        refuse_name(name)
        for suffix in SUFFIXES:
            try:
                found = (self.path / f"{name}{suffix}").resolve()
                if not found.is_relative_to(self.path):
                    raise InputError(f"'{_shown(name)}' is outside the folder of the pictures")
                if found.is_file():
                    _refuse_size(name, found.stat().st_size)
                    return found.read_bytes()
            except OSError as error:
                raise InputError(f"'{_shown(name)}' cannot be read: {error.strerror}") from None
        raise InputError(f"there is no picture '{_shown(name)}' in {self.path}")


class Archive:
    """A ZIP with one file of rows (.jsonl) and pictures, named from where the rows stand."""

    def __init__(self, file: IO[bytes], filename: str = "") -> None:
        self.name = filename or "the archive"
        try:
            self.zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, OSError) as error:
            raise InputError(f"'{self.name}' is not a ZIP that can be opened: {error}.") from None
        rows = [name for name in self.zip.namelist() if name.endswith(".jsonl")]
        if len(rows) != 1:
            raise InputError(
                f"'{self.name}' holds {len(rows) or 'no'} .jsonl files; it needs exactly one, with "
                "a row a line."
            )
        self.rows_name = rows[0]
        self.folder = PurePosixPath(rows[0]).parent

    def rows(self, at_most: int) -> bytes:
        """The content of the one .jsonl file."""
        if self.zip.getinfo(self.rows_name).file_size > at_most:
            raise InputError(
                f"'{self.rows_name}' is larger than {at_most // 1_000_000} MB; split it."
            )
        return self._content(self.rows_name)

    def read(self, name: str) -> bytes:
        """The bytes of a member by its path beside the rows, with or without its ending."""
        refuse_name(name)
        for suffix in SUFFIXES:
            path = str(self.folder / f"{name}{suffix}")
            if path in self.zip.NameToInfo:
                _refuse_size(name, self.zip.getinfo(path).file_size)
                return self._content(path)
        raise InputError(f"there is no picture '{_shown(name)}' in {self.name}")

    def _content(self, path: str) -> bytes:
        try:
            return self.zip.read(path)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError) as error:
            raise InputError(f"'{path}' cannot be unpacked: {error}") from None


def refuse_name(name: str) -> None:
    """Raise unless a name can be that of a file among the pictures."""
    if "://" in name:
        raise InputError(
            f"'{_shown(name)}' is a web address, and Palate downloads nothing; save the picture "
            "and name its file"
        )
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise InputError(f"'{_shown(name)}' cannot be the name of a file")


def _refuse_size(name: str, size: int) -> None:
    if size > MAX_PICTURE_BYTES:
        raise InputError(
            f"'{_shown(name)}' is larger than {MAX_PICTURE_BYTES // 1_000_000} MB; send it smaller"
        )


def _shown(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:77]}..."
