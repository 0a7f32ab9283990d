"""Where the pictures of an imported file lie: a folder, or the archive that came with it.

Nothing is ever unpacked under a name that somebody else chose: a picture is read by its name, a
file of rows is copied under a name of ours, and each no further than its size allows.
"""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from backend.errors import InputError

SUFFIXES = ("", ".png", ".jpg", ".jpeg", ".webp")
"""Tried in this order, so that a picture may be named without its ending."""
MAX_PICTURE_BYTES = 50_000_000
ROW_SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet", ".arrow")
ABOUT = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
"""Files of Hugging Face datasets that say something about the rows."""
MAX_ROWS_BYTES = 8_000_000_000
HARMLESS_BYTES = 100_000_000
MAX_RATIO = 200
"""A packed file of rows may unpack to this many times its size, or to HARMLESS_BYTES."""
UNPACKING = (
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,
    NotImplementedError,
    EOFError,
    OSError,
    ValueError,
)
"""What zipfile raises for archives that are damaged, locked or packed in another way."""
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
        self._inside: dict[str, bool] = {}

    def read(self, name: str) -> bytes:
        """The bytes of a file by its path below the folder, with or without its ending."""
        refuse_name(name)
        root = str(self.path)
        bare = os.path.normpath(f"{root}/{name}")
        if name.startswith("/") or not bare.startswith(f"{root}/"):
            raise InputError(f"'{_shown(name)}' is outside the folder of the pictures")
        try:
            for suffix in SUFFIXES:
                found = f"{bare}{suffix}"
                try:
                    status = os.lstat(found)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                self._refuse_outside(name, found, status.st_mode)
                if stat.S_ISDIR(status.st_mode):
                    continue
                with open(found, "rb") as file:  # noqa: PTH123
                    _refuse_size(name, os.fstat(file.fileno()).st_size)
                    return file.read(MAX_PICTURE_BYTES)
        except OSError as error:
            raise InputError(f"'{_shown(name)}' cannot be read: {error.strerror}") from None
        except (ValueError, RuntimeError):  # a name that no file system takes, a loop of links
            raise InputError(f"'{_shown(name)}' cannot be the name of a file") from None
        raise InputError(f"there is no picture '{_shown(name)}' in {self.path}")

    def _refuse_outside(self, name: str, found: str, mode: int) -> None:
        """Every folder is resolved once; a link is followed to where it leads."""
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            folder = found[: found.rindex("/")]
            if folder not in self._inside:
                self._inside[folder] = self._is_inside(Path(folder))
            is_inside = self._inside[folder]
        else:
            is_inside = stat.S_ISLNK(mode) and self._is_inside(Path(found))
            is_inside = is_inside and Path(found).resolve().is_file()
        if not is_inside:
            raise InputError(f"'{_shown(name)}' is outside the folder of the pictures")

    def _is_inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.path)


class Archive:
    """A ZIP with files of rows and the pictures they name from where they stand."""

    def __init__(self, file: IO[bytes], filename: str = "") -> None:
        self.name = filename or "the archive"
        try:
            self.zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
            raise InputError(f"'{self.name}' is not a ZIP that can be opened: {error}.") from None
        self.rows = [name for name in self.zip.namelist() if is_rows(name)]
        if not self.rows:
            raise InputError(
                f"'{self.name}' holds no rows; it needs a file that ends in "
                f"{', '.join(ROW_SUFFIXES)}."
            )

    def beside(self, member: str) -> Pictures:
        """The pictures as a file of rows names them."""
        return _Beside(self, PurePosixPath(member).parent)

    def copy(self, member: str, to: Path) -> None:
        """A file of rows as a file of ours; one that unpacks to far too much is refused."""
        info = self.zip.getinfo(member)
        packed = max(info.compress_size, 1)
        if info.file_size > MAX_ROWS_BYTES:
            raise InputError(
                f"'{_shown(member)}' is larger than {MAX_ROWS_BYTES // 10**9} GB; split it."
            )
        if info.file_size > HARMLESS_BYTES and info.file_size > MAX_RATIO * packed:
            raise InputError(
                f"'{_shown(member)}' unpacks to {info.file_size // packed:,} times its size, as no "
                "file of rows does; pack it again."
            )
        with self._opened(member) as source, to.open("xb") as target:
            try:
                shutil.copyfileobj(source, target, 1 << 20)
            except UNPACKING as error:
                raise InputError(f"'{_shown(member)}' cannot be unpacked: {error}") from None

    def picture(self, path: str) -> bytes | None:
        """The bytes of a member; None where there is none of that name."""
        info = self.zip.NameToInfo.get(path)
        if info is None or info.is_dir():
            return None
        _refuse_size(path, info.file_size)
        try:
            with self._opened(path) as source:
                return source.read(MAX_PICTURE_BYTES)
        except UNPACKING as error:
            raise InputError(f"'{_shown(path)}' cannot be unpacked: {error}") from None

    def _opened(self, path: str) -> IO[bytes]:
        try:
            return self.zip.open(path)
        except UNPACKING as error:
            raise InputError(f"'{_shown(path)}' cannot be unpacked: {error}") from None


class _Beside:
    """Members of an archive, named from one of its folders."""

    def __init__(self, archive: Archive, folder: PurePosixPath) -> None:
        self.archive, self.folder = archive, folder

    def read(self, name: str) -> bytes:
        """The bytes of a member by its path beside the rows, with or without its ending."""
        refuse_name(name)
        for suffix in SUFFIXES:
            found = self.archive.picture(str(self.folder / f"{name}{suffix}"))
            if found is not None:
                return found
        raise InputError(f"there is no picture '{_shown(name)}' in {self.archive.name}")


def is_rows(name: str) -> bool:
    """Whether a file holds rows, by its name."""
    path = PurePosixPath(name)
    is_noise = path.name.startswith(".") or "__MACOSX" in path.parts or path.name in ABOUT
    return path.suffix.lower() in ROW_SUFFIXES and not is_noise


def refuse_name(name: str) -> None:
    """Raise unless a name can be that of a file among the pictures."""
    if "://" in name:
        raise InputError(
            f"'{_shown(name)}' is a web address, and Palate downloads nothing; save the picture "
            "and name its file"
        )
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable() or "\0" in name:
        raise InputError(f"'{_shown(name)}' cannot be the name of a file")


def _refuse_size(name: str, size: int) -> None:
    if size > MAX_PICTURE_BYTES:
        raise InputError(
            f"'{_shown(name)}' is larger than {MAX_PICTURE_BYTES // 1_000_000} MB; send it smaller"
        )


def _shown(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:77]}..."
