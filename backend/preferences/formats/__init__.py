"""Labels in and out: one format a file, each with what it reads, writes and has no place for.

A *format* says what a record means (`read`, `write`); in what kind of file the records lie (lines
of JSON, a JSON array, Parquet, Arrow) is another matter, told by the file's first bytes. Every
module declares TITLE, SUMMARY, the CONTAINER it is written in, the KEYS it is known by, what it
HOLDS of `_rows.EVERYTHING`, and COLUMNS where it can be a table; `write` is None where it is only
read. Reading never stops at the first fault: each is told by file, line, column and reason.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import IO, Any, Final, Generic, TypeVar

from backend.errors import InputError
from backend.preferences.formats import _containers, _writers, imagereward, jsonl
from backend.preferences.formats._containers import Entry, records
from backend.preferences.formats._rows import (
    EVERYTHING,
    PREFERRED,
    VERDICTS,
    Fault,
    PairRow,
    Preferred,
    Problem,
    Row,
    contents,
    picture,
    text,
    texts,
    two_texts,
)
from backend.preferences.formats._writers import MIME, SUFFIXES
from backend.registry import Registry

__all__ = [
    "AUTO",
    "EVERYTHING",
    "FORMAT",
    "MAX_PROBLEMS",
    "MIME",
    "PREFERRED",
    "SUFFIXES",
    "Entry",
    "Fault",
    "Item",
    "Losses",
    "PairRow",
    "Preferred",
    "Problem",
    "Reading",
    "Row",
    "container",
    "described",
    "items",
    "pair_items",
    "picture",
    "read",
    "read_pairs",
    "readable",
    "records",
    "writable",
    "write",
    "written",
]
FORMAT: Final = jsonl.FORMAT
AUTO: Final = "auto"
"""Reading: the format whose columns the first record has."""
MAX_PROBLEMS: Final = 100
REGISTRY: Final = Registry(__name__, "label format")
R = TypeVar("R", bound=PairRow)


@dataclass(frozen=True, slots=True)
class Reading(Generic[R]):
    """What a file holds, and what is wrong with it."""

    rows: list[R]
    lines: list[int]
    """The line of each row, from 1."""
    problems: list[Problem]


@dataclass(frozen=True, slots=True)
class Item(Generic[R]):
    """What one record of a file says: rows, or why it says nothing."""

    number: int
    share: float
    rows: list[R]
    fault: Fault | None = None


@dataclass
class Losses:
    """What an export could not hold, counted while it is written."""

    written: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Rows that are not there at all."""
    changed: Counter[str] = field(default_factory=Counter)
    """Rows that say something else there."""
    lost: Counter[str] = field(default_factory=Counter)
    """Rows that lack a part."""

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "written": self.written,
            "left_out": dict(self.left_out),
            "changed": dict(self.changed),
            "lost": dict(self.lost),
        }

    def sentence(self) -> str:
        """What there is to say of it; empty when nothing was lost."""
        said = (
            ("Left out, for want of a place", self.left_out),
            ("Written as something else", self.changed),
            ("Written without", self.lost),
        )
        parts = [
            f"{words}: {', '.join(f'{name} ({n:,})' for name, n in sorted(counts.items()))}."
            for words, counts in said
            if counts
        ]
        return " ".join(parts)


# ---------------------------------------------------------------- which there are


def readable() -> list[str]:
    """Names of the formats that are read."""
    return REGISTRY.names()


def writable() -> list[str]:
    """Names of the formats that are written too."""
    return [name for name in REGISTRY.names() if REGISTRY.get(name).write is not None]


def described() -> list[dict[str, Any]]:
    """Every format: {name, title, summary, file, reads, writes, loses}."""
    found = []
    for name in REGISTRY.names():
        module = REGISTRY.get(name)
        holds: frozenset[str] = getattr(module, "HOLDS", frozenset())
        found.append(
            {
                "name": name,
                "title": module.TITLE,
                "summary": module.SUMMARY,
                "file": module.CONTAINER,
                "writes": module.write is not None,
                "loses": sorted(EVERYTHING - holds) if module.write is not None else [],
            }
        )
    return found


def container(form: str) -> str:
    """The kind of file in which a format is written, a key of SUFFIXES; a folder holds Arrow."""
    kind: str = _module(form, writable(), "written as").CONTAINER
    return "arrow" if kind == "folder" else kind


def _module(form: str, known: list[str], verb: str) -> Any:
    if form not in known:
        raise InputError(f"Labels cannot be {verb} '{form}'; choose {', '.join(known)}.")
    return REGISTRY.get(form)


# ---------------------------------------------------------------- out


def write(rows: Iterable[Row], form: str) -> Iterator[str]:
    """Lines of JSON in a format, each ending in a newline; rows it cannot hold are left out."""
    yield from (part.decode() for part in written(rows, form, "lines"))


def written(
    rows: Iterable[Row], form: str, file: str = "", losses: Losses | None = None
) -> Iterator[bytes]:
    """A file in a format, piece by piece; `losses` counts what it cannot hold."""
    module = _module(form, writable(), "written as")
    kind = file or container(form)
    columns = getattr(module, "COLUMNS", None)
    return _writers.written(_held(rows, module, losses or Losses()), kind, columns)


def _held(rows: Iterable[Row], module: Any, losses: Losses) -> Iterator[dict[str, Any]]:
    changes = getattr(module, "CHANGES", {})
    for row in rows:
        there = contents(row)
        lacks = there - module.HOLDS
        verdicts = lacks & VERDICTS
        if verdicts:
            # A skip of one picture is counted once, as what is about one picture.
            losses.left_out[min(verdicts)] += 1
            continue
        losses.written += 1
        losses.lost.update(lacks)
        losses.changed.update(f"{name} as {changes[name]}" for name in there & set(changes))
        yield module.write(row)


# ---------------------------------------------------------------- in


def items(
    file: IO[bytes],
    form: str = AUTO,
    name: str = "The file",
    *,
    without: frozenset[str] = frozenset(),
) -> Iterator[Item[Row]]:
    """Every record of an open file as the judgements it holds, or its fault, in order; columns of
    the names `without` are read by somebody else."""
    entries = _containers.records(file, name)
    if without:
        entries = (_bared(entry, without) for entry in entries)
    if form != AUTO:
        module = _module(form, readable(), "read from")
        return _items(entries, module.read, module)
    return _guessed(entries)


def pair_items(file: IO[bytes], name: str = "The file") -> Iterator[Item[PairRow]]:
    """Every record of an open file as an item that waits to be judged, or its fault."""
    return _items(_containers.records(file, name), _pair, None)


def read(text: str, form: str, file: str = "labels") -> Reading[Row]:
    """Judgements of a text in a format, and every fault up to a hundred."""
    _module(form, readable(), "read from")
    return _read(items(_file(text), form, file), file, "labels")


def read_pairs(text: str, file: str = "pairs") -> Reading[PairRow]:
    """Items that wait to be judged, of JSON lines as `_pair` takes them."""
    return _read(pair_items(_file(text), file), file, "pairs")


def _file(text: str) -> IO[bytes]:
    return io.BytesIO(text.encode("utf-8", "surrogatepass"))


def _read(found: Iterator[Item[R]], file: str, noun: str) -> Reading[R]:
    rows: list[R] = []
    lines: list[int] = []
    problems: list[Problem] = []
    for item in found:
        if item.fault:
            problems.append(Problem(file, item.number, item.fault.column, item.fault.reason))
        rows += item.rows
        lines += [item.number] * len(item.rows)
        if len(problems) >= MAX_PROBLEMS:
            break
    if not rows and not problems:
        problems.append(Problem(file, 1, "line", f"the file holds no {noun}"))
    return Reading(rows, lines, problems)


def _guessed(entries: Iterator[Entry]) -> Iterator[Item[Row]]:
    """The format of the first record that is one serves for the whole file."""
    for entry in entries:
        if entry.record is None:
            yield Item(entry.number, entry.share, [], entry.fault)
            continue
        module = _guess(entry.record)
        if module is None:
            columns = ", ".join(sorted(str(name)[:40] for name in entry.record)[:12])
            raise InputError(
                f"The columns ({columns}) are those of no format that is known; name the format, "
                f"one of {', '.join(readable())}."
            )
        yield from _items(_chain(entry, entries), module.read, module)
        return


def _guess(record: dict[str, Any]) -> Any:
    if set(imagereward.GROUPS) <= set(record):
        return imagereward
    if "raw_annotations" in record or {"image_path", "human_preference"} <= set(record):
        return REGISTRY.get("hpd")
    if "images" in record and "prompt" in record:
        return REGISTRY.get("implicit")
    named = (REGISTRY.get(name) for name in readable())
    return next((module for module in named if set(record) >= module.KEYS), None)


def _bared(entry: Entry, without: frozenset[str]) -> Entry:
    if entry.record is None:
        return entry
    record = {name: value for name, value in entry.record.items() if name not in without}
    return replace(entry, record=record)


def _chain(first: Entry, rest: Iterator[Entry]) -> Iterator[Entry]:
    yield first
    yield from rest


def _items(
    entries: Iterator[Entry], parse: Callable[[dict[str, Any]], list[R]], module: Any
) -> Iterator[Item[R]]:
    if module is imagereward:
        entries = _gathered(entries)
    for entry in entries:
        rows: list[R] = []
        fault = entry.fault
        if entry.record is not None:
            try:
                rows = parse(entry.record)
            except Fault as found:
                fault = found
        yield Item(entry.number, entry.share, rows, fault)


def _gathered(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Rows with one picture each, gathered as long as they are of the same prompt."""
    group: list[dict[str, Any]] = []
    first: Entry | None = None
    key = imagereward.GROUPS[0]
    for entry in entries:
        record = entry.record
        is_part = record is not None and set(imagereward.GROUPS) <= set(record)
        if group and (not is_part or record[key] != group[0][key] or len(group) > 100):  # type: ignore[index]
            yield _whole(first, group)
            group = []
        if is_part and record is not None:
            first = entry if not group else first
            group.append(record)
        else:
            yield entry
    if group:
        yield _whole(first, group)


def _whole(first: Entry | None, group: list[dict[str, Any]]) -> Entry:
    assert first is not None, "a group has a first row"
    try:
        return Entry(first.number, first.share, imagereward.gather(group))
    except Fault as fault:
        return Entry(first.number, first.share, fault=fault)


_OF_ITEM: Final = (
    "prompt",
    "image_a",
    "image_b",
    "image",
    "images",
    "text_a",
    "text_b",
    "subject",
    "key",
)
"""What an item may be described by: a prompt, and two pictures, one, four, or two texts."""


def _pair(record: dict[str, Any]) -> list[PairRow]:
    unknown = [name for name in record if name not in _OF_ITEM]
    if unknown:
        raise Fault(unknown[0], f"is no field of a pair; known are {', '.join(_OF_ITEM)}")
    prompt, key = text(record, "prompt"), text(record, "key", "")
    words = two_texts(record)
    if words:
        subject = text(record, "subject", "")
        return [PairRow(prompt, "", "", key=key, text_a=words[0], text_b=words[1], subject=subject)]
    if record.get("images") is not None:
        four = texts(record, "images")
        if len(four) != 4:
            raise Fault("images", "does not name four pictures")
        return [PairRow(prompt, four[0], four[1], more=four[2:], key=key)]
    if record.get("image") is not None:
        one = text(record, "image")
        return [PairRow(prompt, one, one, key=key)]
    return [PairRow(prompt, text(record, "image_a"), text(record, "image_b"), key=key)]
