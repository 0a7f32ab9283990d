"""Pictures and weights as files named by the SHA-256 of their content, behind fsspec.

A file is written under a temporary name and renamed, so that a name either holds the whole content
or does not exist. The same content is stored once.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from backend.errors import EnvironmentProblem, InputError, NotFound
from backend.services.stripping import stripped

HASH = re.compile(r"[0-9a-f]{64}")
MAX_PIXELS = 40_000_000
"""Pictures above this many pixels are refused before they are unpacked."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORMATS = ("PNG", "JPEG", "WEBP")


class Media:
    """Content-addressed files under one fsspec URL.

    `cache` is a local folder for copies of files that live elsewhere (an object store).
    """

    def __init__(self, url: str, *, cache: Path | None = None) -> None:
        self.url = url.rstrip("/")
        self.cache = cache
        self.folder = Path(self.url.removeprefix("file://")) if _is_local(self.url) else None
        self._remote = None if self.folder else _open_remote(self.url)

    def put(self, data: bytes) -> str:
        """Store `data` and return its hash; a full disk leaves nothing behind."""
        return self.put_all([data])[0]

    def put_all(self, blobs: Sequence[bytes]) -> list[str]:
        """Store each and return their hashes; a local disk is waited for once for all of them."""
        named = [(hashlib.sha256(data).hexdigest(), data) for data in blobs]
        if self.folder is not None:
            _write({_below(str(self.folder), name): data for name, data in named})
        else:
            for name, data in named:
                self._put_remote(name, data)
        return [name for name, _data in named]

    def put_file(self, path: Path) -> str:
        """Store the content of a local file, read piece by piece, and return its hash."""
        with path.open("rb") as file:
            name = hashlib.file_digest(file, "sha256").hexdigest()
            if self.folder is None:
                self._put_remote(name, path)
            else:
                file.seek(0)
                _write({_below(str(self.folder), name): file})
        return name

    def exists(self, name: str) -> bool:
        """Whether the content named by `name` is here."""
        if self.folder is not None:
            return self._local(name).exists()
        filesystem, root = self._remote  # type: ignore[misc]
        return bool(filesystem.exists(_below(root, name)))

    def read(self, name: str, *, keep: bool = True) -> bytes:
        """The content named by `name`; without `keep`, no local copy stays of a remote file."""
        if self.folder is None:
            return self.local_path(name).read_bytes() if keep else self._fetched_once(name)
        try:
            return self._local(name).read_bytes()
        except FileNotFoundError:
            raise _missing(name) from None

    def remove(self, name: str) -> None:
        """Remove a file that nothing names any more; one that is gone already is no matter."""
        if self.folder is None:
            self._copy(name).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if self.folder is not None:
                self._local(name).unlink()
            else:
                filesystem, root = self._remote  # type: ignore[misc]
                filesystem.rm_file(_below(root, name))

    def local_path(self, name: str) -> Path:
        """A local file with the content named by `name`; fetched once when media live elsewhere."""
        if self.folder is not None:
            path = self._local(name)
            if not path.exists():
                raise _missing(name)
            return path
        return self._fetched(name)

    def content_type(self, name: str) -> str:
        """The MIME type as its first bytes tell; what is no picture is a plain stream of bytes."""
        with self.local_path(name).open("rb") as file:
            return sniff(file.read(16))

    def put_picture(self, data: bytes, *, filename: str = "the file") -> tuple[str, int, int]:
        """Check a picture that somebody gave, drop its metadata and store it.

        Returns (hash, width, height).
        """
        encoded, width, height = checked_picture(data, filename)
        return self.put(encoded), width, height

    def free_bytes(self) -> int | None:
        """Free space where media are written; None when that is not a local disk."""
        if self.folder is None:
            return None
        status = os.statvfs(_nearest(self.folder))
        return status.f_bavail * status.f_frsize

    def is_writable(self) -> bool:
        """Whether a local folder lets us write; of another store only writing would tell."""
        return self.folder is None or os.access(_nearest(self.folder), os.W_OK)

    def _local(self, name: str) -> Path:
        assert self.folder is not None
        return Path(_below(str(self.folder), name))

    def _put_remote(self, name: str, data: bytes | Path) -> None:
        filesystem, root = self._remote  # type: ignore[misc]
        target = _below(root, name)
        try:
            if filesystem.exists(target):
                return
            if isinstance(data, bytes):
                filesystem.pipe_file(target, data)  # object stores show an object when it is whole
            else:
                filesystem.makedirs(target.rpartition("/")[0], exist_ok=True)
                filesystem.put_file(str(data), target)
        except OSError as error:
            size = len(data) if isinstance(data, bytes) else data.stat().st_size
            raise _trouble(error, Path(target), size) from error

    def _fetched_once(self, name: str) -> bytes:
        filesystem, root = self._remote  # type: ignore[misc]
        try:
            return bytes(filesystem.cat_file(_below(root, name)))
        except FileNotFoundError:
            raise _missing(name) from None

    def _copy(self, name: str) -> Path:
        """Where a local copy of a remote file is kept."""
        return Path(_below(str(self.cache or Path.home() / ".cache" / "palate"), name))

    def _fetched(self, name: str) -> Path:
        filesystem, root = self._remote  # type: ignore[misc]
        copy = self._copy(name)
        if copy.exists():
            return copy
        copy.parent.mkdir(parents=True, exist_ok=True)
        partial = copy.with_name(f".{uuid.uuid4().hex}.part")
        try:
            filesystem.get_file(_below(root, name), str(partial))
            partial.replace(copy)
        except FileNotFoundError:
            raise _missing(name) from None
        finally:
            partial.unlink(missing_ok=True)
        return copy


def _write(wanted: Mapping[str, bytes | IO[bytes]]) -> None:
    """Files by their paths, each whole as soon as it has its name; nothing stays when one fails.

    All are on their way to the disk before the first is waited for, so that it commits many at
    once. Bare calls of `os`: an import writes tens of thousands, and `pathlib` takes longer for
    each than its bytes do.
    """
    new = {path: data for path, data in wanted.items() if not os.path.exists(path)}  # noqa: PTH110
    partial = {path: f"{os.path.dirname(path)}/.{uuid.uuid4().hex}.part" for path in new}  # noqa: PTH120
    with contextlib.ExitStack() as stack:
        try:
            files = [stack.enter_context(_begun(partial[path], new[path])) for path in new]
            for file in files:
                os.fsync(file.fileno())
            for path in new:
                os.replace(partial[path], path)  # noqa: PTH105
        except OSError as error:
            for left in partial.values():
                with contextlib.suppress(OSError):
                    os.unlink(left)  # noqa: PTH108
            size = sum(_size(data) for data in new.values())
            raise _trouble(error, Path(next(iter(new))).parent, size) from error


def _begun(path: str, data: bytes | IO[bytes]) -> IO[bytes]:
    """An open file that holds `data` and is being written to the disk; its folder is made."""
    with contextlib.suppress(FileExistsError):
        os.makedirs(os.path.dirname(path))  # noqa: PTH103, PTH120
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(path, "xb"))  # noqa: PTH123
        shutil.copyfileobj(io.BytesIO(data) if isinstance(data, bytes) else data, file, 1 << 20)
        file.flush()
        if hasattr(os, "posix_fadvise"):  # starts to write, without waiting
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        stack.pop_all()
    return file


def _size(data: bytes | IO[bytes]) -> int:
    return len(data) if isinstance(data, bytes) else os.fstat(data.fileno()).st_size


def _nearest(folder: Path) -> Path:
    """The folder, or the first above it that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder


def sniff(head: bytes) -> str:
    """The MIME type of a file by its first 16 bytes."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return "application/octet-stream"


def checked_picture(data: bytes, filename: str) -> tuple[bytes, int, int]:
    """A picture's bare file after refusing what is none; returns (bytes, width, height).

    Every pixel is decoded once. A plain RGB or grey picture keeps its own encoding without the
    metadata; others are encoded anew as PNG.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise Image.DecompressionBombError
            bare = _bare(picture, data)
        if bare:
            return bare, width, height
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            clean = picture.convert("RGB")
    except UnidentifiedImageError:
        raise InputError(
            f"'{filename}' is not a picture that Palate reads; send PNG, JPEG or WebP."
        ) from None
    except Image.DecompressionBombError:
        raise InputError(
            f"'{filename}' has more than {MAX_PIXELS // 1_000_000} million pixels; send it smaller."
        ) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(
            f"'{filename}' is damaged and cannot be unpacked ({error}); export it again."
        ) from None
    out = io.BytesIO()
    clean.save(out, "PNG")
    return out.getvalue(), width, height


def _bare(picture: Any, data: bytes) -> bytes | None:
    """Its own file without metadata, decoded once, where its pixels are plain; None for others."""
    plain = picture.mode in ("RGB", "L") and "transparency" not in picture.info
    if not plain or getattr(picture, "is_animated", False):
        return None
    if picture.format == "JPEG":
        picture.draft("L", (1, 1))  # reads all of the file, but makes an eighth of the pixels
    picture.load()
    return stripped(data, picture.format)


def _is_local(url: str) -> bool:
    return url.startswith("file://") or "://" not in url


def _open_remote(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        filesystem, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise EnvironmentProblem(
            f"PALATE_MEDIA_URL is '{url}', which cannot be opened: {error}"
        ) from None
    return filesystem, root


def _below(root: str, name: str) -> str:
    if not HASH.fullmatch(name):
        raise NotFound(f"'{name}' is not the name of a file; names are 64 hexadecimal digits.")
    return f"{root}/{name[:2]}/{name[2:4]}/{name}"


def _missing(name: str) -> NotFound:
    return NotFound(
        f"The file {name[:12]}… is not among the media; it was removed, or PALATE_MEDIA_URL points "
        "to another place."
    )


def _trouble(error: OSError, folder: Path, num_bytes: int) -> EnvironmentProblem:
    if error.errno in FULL:
        return EnvironmentProblem(
            f"The disk of {folder} is full: {num_bytes:,} bytes could not be written and nothing "
            f"was "
            "kept of them. Free some space and try again."
        )
    return EnvironmentProblem(
        f"A file could not be written to {folder}: {error.strerror or error}; check its "
        f"permissions."
    )
