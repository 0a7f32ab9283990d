"""Records out of files, one after the other, in memory that does not grow with the file.

A file is lines of JSON, a JSON array, Parquet or Arrow; which one, its first bytes tell. A record
that cannot be read comes as a fault in its place, and reading goes on behind it where the file
allows that: at the next line, the next entry of the array, the next row.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

from backend.errors import InputError
from backend.preferences.formats._rows import Fault

LONGEST: Final = 16_000_000
"""Characters of one record of text."""
CHUNK: Final = 1 << 20
ROWS: Final = 64
"""Rows of a table that are unpacked at a time."""
LARGEST_GROUP: Final = 2_000_000_000
"""Bytes of one row group of a Parquet file, unpacked."""
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{},"]', re.S)


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a file, or why there is none in its place."""

    number: int
    """From 1: the line it begins on, or the row of a table."""
    share: float
    """How much of the file lies behind it, 0 to 1."""
    record: dict[str, Any] | None = None
    fault: Fault | None = None


def records(file: IO[bytes], name: str = "The file") -> Iterator[Entry]:
    """Every record of an open file; an InputError where it is none that can be read at all."""
    head = file.read(64)
    file.seek(0)
    if head.startswith(b"PAR1"):
        return _parquet(file, name)
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return _arrow(file, name)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{name} is UTF-16 text; save it as UTF-8 and send it again.")
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        return _array(file)
    return _lines(file)


# ---------------------------------------------------------------- text


def _lines(file: IO[bytes]) -> Iterator[Entry]:
    size, number = _size(file), 0
    text = _text(file)
    while line := text.readline(LONGEST):
        number += 1
        share = _share(file, size)
        if len(line) >= LONGEST and not line.endswith("\n"):
            yield Entry(
                number, share, fault=Fault("line", f"is longer than {LONGEST:,} characters")
            )
            while (rest := text.readline(LONGEST)) and not rest.endswith("\n"):
                pass
        elif line.strip():
            yield _parsed(line.removesuffix("\n"), number, share)


def _array(file: IO[bytes]) -> Iterator[Entry]:
    """The entries of a JSON array; one that is broken is left by its brackets."""
    size, text, line = _size(file), _text(file), 1
    for piece in _pieces(text):
        share = _share(file, size)
        if isinstance(piece, Fault):
            yield Entry(line, share, fault=piece)
            return
        space = piece[: len(piece) - len(piece.lstrip())]
        if len(space) < len(piece):
            yield _parsed(piece, line + space.count("\n"), share)
        line += piece.count("\n")


def _pieces(text: io.TextIOWrapper) -> Iterator[str | Fault]:
    """What stands between the commas of the outermost array; a fault ends it."""
    buffer = text.read(CHUNK)
    at = start = buffer.index("[") + 1
    depth = 0
    while True:
        for token in _TOKEN.finditer(buffer, at):
            sign = token.group()
            if sign == '"':  # a text that goes on beyond what was read
                break
            at = token.end()
            depth += (sign in "[{") - (sign in "]}")
            if depth < 0 or (depth == 0 and sign == ","):
                yield buffer[start : at - 1]
                start = at
            if depth < 0:
                if (buffer[at:] + text.read(CHUNK)).strip():
                    yield Fault("line", "goes on behind the end of the array")
                return
        if at - start > LONGEST or len(buffer) - start > LONGEST + CHUNK:
            yield Fault("line", f"has an entry of more than {LONGEST:,} characters, or no end")
            return
        more = text.read(CHUNK)
        if not more:
            yield Fault("line", "begins an array that has no end: the file was cut off")
            return
        buffer, at, start = buffer[start:] + more, at - start, 0


def _parsed(text: str, number: int, share: float) -> Entry:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        byte = ord(text[error.start]) - 0xDC00
        return Entry(number, share, fault=Fault("line", f"is not UTF-8 (byte 0x{byte & 255:02x})"))
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"character {error.pos + 1}"
        return Entry(number, share, fault=Fault(place, f"is not JSON: {error.msg}"))
    except RecursionError:
        return Entry(number, share, fault=Fault("line", "is nested too deeply"))
    except ValueError:  # a number of thousands of digits
        return Entry(number, share, fault=Fault("line", "holds a number that is too long"))
    if not isinstance(record, dict):
        return Entry(number, share, fault=Fault("line", "is not an object in braces"))
    return Entry(number, share, record)


def _text(file: IO[bytes]) -> io.TextIOWrapper:
    """Bytes that are not UTF-8 become halves of characters, so that they are told by their line."""
    raw: Any = _Unclosed(file)
    return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline=None)


class _Unclosed(io.BufferedIOBase):
    """Hands on what is read, and leaves the file open when it is no longer needed."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """As of the file."""
        return self.file.read(-1 if size is None else size)

    def read1(self, size: int = -1) -> bytes:
        """As of the file."""
        return self.file.read(size if size >= 0 else CHUNK)


def _size(file: IO[bytes]) -> int:
    here = file.tell()
    size = file.seek(0, io.SEEK_END)
    file.seek(here)
    return size


def _share(file: IO[bytes], size: int) -> float:
    return min(file.tell() / size, 1.0) if size else 1.0


# ---------------------------------------------------------------- tables


def _parquet(file: IO[bytes], name: str) -> Iterator[Entry]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file, buffer_size=CHUNK, pre_buffer=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _broken(name, "Parquet", error) from None
    for number in range(table.metadata.num_row_groups):
        if table.metadata.row_group(number).total_byte_size > LARGEST_GROUP:
            raise InputError(
                f"{name} has a row group of more than {LARGEST_GROUP // 10**9} GB; write it again "
                "with smaller row groups."
            )
    batches = table.iter_batches(batch_size=ROWS, use_threads=False)
    return _rows(batches, table.metadata.num_rows)


def _arrow(file: IO[bytes], name: str) -> Iterator[Entry]:
    import pyarrow as pa

    def batches() -> Iterator[Any]:
        if file.read(6) == b"ARROW1":
            reader = pa.ipc.open_file(file)
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)
        else:
            file.seek(0)
            yield from pa.ipc.open_stream(file)

    found = batches()
    try:
        first = next(found, None)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _broken(name, "Arrow", error) from None
    size = _size(file)
    return _rows(_chain(first, found), 0, lambda: _share(file, size))


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    if first is not None:
        yield first
    yield from rest


def _rows(batches: Iterator[Any], total: int, where: Any = None) -> Iterator[Entry]:
    import pyarrow as pa

    number = 0
    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = f"cannot be unpacked, nor what follows it: {_first_line(error)}"
            yield Entry(number + 1, 1.0, fault=Fault("row", reason))
            return
        if batch is None:
            return
        for start in range(batch.num_rows):
            number += 1
            share = where() if where else number / total if total else 1.0
            try:
                record = batch.slice(start, 1).to_pylist()[0]
            except (pa.ArrowException, ValueError, OverflowError) as error:
                fault = Fault("row", f"holds what cannot be read: {_first_line(error)}")
                yield Entry(number, share, fault=fault)
            else:
                yield Entry(number, share, record)


def _broken(name: str, kind: str, error: Exception) -> InputError:
    return InputError(f"{name} is damaged and no {kind} file that opens: {_first_line(error)}.")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")
