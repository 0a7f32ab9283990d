"""Pairs whose better one is known, from a file: pictures, or answers in words about a picture.

Answers in words have the layout of VL-RewardBench: `query`, `response` (two texts),
`human_ranking` (two ranks, 0 the better), `image`, and `id`, whose beginning names the category.
Pictures come in any label format that an import takes. A `category` or `query_source` of the
record names its category in both.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from backend.errors import InputError
from backend.preferences import formats
from backend.preferences.formats import Fault
from backend.preferences.formats._rows import text
from backend.services import media, sources
from backend.services.pictures import Pictures
from backend.services.sources import Part
from backend.types import Pictures as Pixels

NO_CATEGORY: Final = "no category"
GROUPS: Final = {
    "rlaif": "hallucination",
    "rlhf": "hallucination",
    "povid": "hallucination",
    "mathverse": "reasoning",
    "mmmu": "reasoning",
    "wildvision": "general",
    "vlfeedback": "general",
}
"""What an `id` of VL-RewardBench begins with, and its group there."""
CATEGORY: Final = frozenset({"category", "query_source"})
WORDS: Final = {"query", "response", "human_ranking"}


@dataclass(frozen=True)
class Pair:
    """Two of one prompt, the better one first."""

    category: str
    prompt: str
    better: Pixels | str
    worse: Pixels | str
    picture: Pixels | None = None
    """What two answers in words are about."""


@dataclass
class File:
    """What a file holds."""

    pairs: list[Pair]
    left_out: int = 0
    """Ties, skips and marks of one picture: nothing in them is the better one."""


def read(path: Path, pictures: Path | None = None, limit: int = 0) -> File:
    """Every pair, or the first `limit`; InputError with the line of the first one at fault."""
    found = File([])
    with sources.opened(path, pictures=pictures, beside=True) as parts:
        for part in parts:
            for pair in _pairs(part):
                if pair is None:
                    found.left_out += 1
                else:
                    found.pairs.append(pair)
                if limit and len(found.pairs) == limit:
                    return found
    if not found.pairs:
        raise InputError(f"{path.name} holds no pair whose better one is known.")
    return found


def _pairs(part: Part) -> Iterator[Pair | None]:
    """Pair by pair; None for a record that names no better one."""
    with part.path.open("rb") as file:
        first = next((e for e in formats.records(file, part.name) if e.record is not None), None)
    in_words = first is not None and first.record is not None and set(first.record) >= WORDS
    yield from _in_words(part) if in_words else _in_pictures(part)


def _in_words(part: Part) -> Iterator[Pair | None]:
    with part.path.open("rb") as file:
        for entry in formats.records(file, part.name):
            if entry.record is None:
                raise InputError(f"{part.name}, line {entry.number}: {entry.fault}.")
            yield _answers(entry.record, f"{part.name}, line {entry.number}", part.pictures)


def _in_pictures(part: Part) -> Iterator[Pair | None]:
    with part.path.open("rb") as file:
        entries = formats.records(file, part.name)
        categories = {one.number: _category(one.record) for one in entries if one.record}
    with part.path.open("rb") as file:
        for item in formats.items(file, name=part.name, without=CATEGORY):
            if item.fault is not None:
                raise InputError(f"{part.name}, line {item.number}: {item.fault}.")
            for row in item.rows:
                if row.preferred not in ("a", "b") or row.is_single or row.is_text:
                    yield None
                    continue
                shown = [
                    _pixels(row.blobs.get(one) or part.pictures.read(one)) for one in row.images[:2]
                ]
                better, worse = shown if row.preferred == "a" else shown[::-1]
                category = categories.get(item.number, NO_CATEGORY)
                yield Pair(category, row.prompt, better, worse)


def _answers(record: dict[str, Any], where: str, pictures: Pictures) -> Pair | None:
    texts, ranks = record.get("response"), record.get("human_ranking")
    try:
        if not (_two(texts, str) and _two(ranks, int) and texts and ranks):
            raise Fault("response", "and human_ranking are not two texts and two ranks")
        prompt = text(record, "query")
        picture = _picture(record.get("image"), pictures)
    except Fault as fault:
        raise InputError(f"{where}: {fault}.") from None
    if ranks[0] == ranks[1]:
        return None
    better, worse = texts if ranks[0] < ranks[1] else texts[::-1]
    return Pair(_category(record), prompt, better, worse, picture)


def _two(value: Any, kind: type) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(v, kind) for v in value)


def _picture(value: Any, pictures: Pictures) -> Pixels:
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return _pixels(value)
    if isinstance(value, str) and value:
        return _pixels(pictures.read(value))
    raise Fault("image", "is neither a file's name nor a picture")


def _pixels(data: bytes) -> Pixels:
    try:
        with Image.open(io.BytesIO(data), formats=media.FORMATS) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"A picture cannot be read: {error}.") from None


def _category(record: dict[str, Any]) -> str:
    named = record.get("category") or record.get("query_source")
    if isinstance(named, str) and named:
        return named[:80]
    key = str(record.get("id", "")) if set(record) >= WORDS else ""
    start = key.replace("-", "_").split("_")[0].lower()
    return GROUPS.get(start, "general" if key else NO_CATEGORY)
