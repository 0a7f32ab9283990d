"""Ours as lines of JSON: everything that is known of a judgement, one a line."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, Final

from backend.preferences.formats._rows import (
    EVERYTHING,
    PREFERRED,
    RANKED,
    RATED,
    Fault,
    Row,
    number,
    one_of,
    picture,
    seconds,
    table,
    text,
    texts,
    two_texts,
)

TITLE: Final = "Palate, lines of JSON"
SUMMARY: Final = "Everything that is known of a judgement."
CONTAINER: Final = "lines"
HOLDS: Final = EVERYTHING
KEYS: Final = frozenset({"prompt", "preferred"})
COLUMNS: Final = {
    "format": "string",
    "prompt": "string",
    "image_a": "string",
    "image_b": "string",
    "more": "list<string>",
    "text_a": "string",
    "text_b": "string",
    "subject": "string",
    "preferred": "string",
    "shown_left": "string",
    "annotator": "string",
    "simulated": "bool",
    "t_shown": "double",
    "t_answer": "double",
    "reasons": "list<string>",
    "comment": "string",
    "id": "string",
    "key": "string",
    "answers": "json",
    "implicit": "bool",
    "chooser": "string",
    "propensity": "double",
    "bytes_a": "binary",
    "bytes_b": "binary",
    "bytes_more": "list<binary>",
    "bytes_subject": "binary",
}
FORMAT: Final = "palate-preferences-1"
_KNOWN: Final = frozenset(COLUMNS)
_OF_TEXTS: Final = ("text_a", "text_b", "subject")
_FIELDS: Final = tuple(
    field.name for field in fields(Row) if field.compare and field.name not in _OF_TEXTS
)


def write(row: Row) -> dict[str, Any]:
    """Every field; `read` is the inverse."""
    record = {"format": FORMAT, **{name: getattr(row, name) for name in _FIELDS}}
    if row.is_text:
        record |= {name: getattr(row, name) for name in _OF_TEXTS}
    named = (("bytes_a", row.image_a), ("bytes_b", row.image_b), ("bytes_subject", row.subject))
    for side, name in named:
        if name in row.blobs:
            record[side] = row.blobs[name]
    if row.more and all(name in row.blobs for name in row.more):
        record["bytes_more"] = [row.blobs[name] for name in row.more]
    return record


def read(record: dict[str, Any]) -> list[Row]:
    """One judgement; a field that we do not know is a fault, for it may be a misspelt one."""
    unknown = [name for name in record if name not in _KNOWN]
    if record.get("format", FORMAT) != FORMAT:
        raise Fault("format", f"is {record['format']!r}, this version reads {FORMAT!r}")
    if unknown:
        raise Fault(unknown[0], f"is no field of a label; known are {', '.join(sorted(_KNOWN))}")
    shown, answered = seconds(record, "t_shown"), seconds(record, "t_answer")
    if answered < shown:
        raise Fault("t_answer", "is before t_shown")
    blobs: dict[str, bytes] = {}
    words = two_texts(record)
    sides = ("", "") if words else _sides(record, blobs)
    text_a, text_b = words or ("", "")
    preferred = one_of(
        record, "preferred", PREFERRED if words else (*PREFERRED, RATED, RANKED), None
    )
    return [
        Row(
            text(record, "prompt"),
            *sides,
            more=_more(record, blobs),
            text_a=text_a,
            text_b=text_b,
            subject=_subject(record, blobs) if words else "",
            preferred=preferred,  # type: ignore[arg-type]
            shown_left=one_of(record, "shown_left", ("a", "b"), "a"),  # type: ignore[arg-type]
            annotator=text(record, "annotator", ""),
            simulated=_flag(record, "simulated"),
            t_shown=shown,
            t_answer=answered,
            reasons=texts(record, "reasons"),
            comment=text(record, "comment", ""),
            id=text(record, "id", ""),
            key=text(record, "key", ""),
            answers=_answers(record),
            implicit=_flag(record, "implicit"),
            chooser=text(record, "chooser", ""),
            propensity=number(record, "propensity", 1.0),
            blobs=blobs,
        )
    ]


def _side(record: dict[str, Any], letter: str, blobs: dict[str, bytes]) -> str:
    return _named(record, f"image_{letter}", f"bytes_{letter}", blobs)


def _subject(record: dict[str, Any], blobs: dict[str, bytes]) -> str:
    """The picture that two texts are about, where there is one."""
    return _named(record, "subject", "bytes_subject", blobs) if record.get("subject") else ""


def _named(record: dict[str, Any], column: str, inside: str, blobs: dict[str, bytes]) -> str:
    """The name of a picture, whose bytes may stand in a column of their own."""
    name, data = picture(record, column, blobs), record.get(inside)
    if isinstance(data, bytes):
        blobs[name] = data
    elif data is not None:
        raise Fault(inside, "holds no bytes")
    return name


def _sides(record: dict[str, Any], blobs: dict[str, bytes]) -> tuple[str, str]:
    """Two pictures, or one that stands in both places."""
    first, is_rated = _side(record, "a", blobs), record.get("preferred") == RATED
    if is_rated and record.get("image_b") is None:
        return first, first
    second = _side(record, "b", blobs)
    if is_rated and second != first:
        raise Fault("image_b", "is another picture; what is rated is one picture alone")
    return first, second


def _more(record: dict[str, Any], blobs: dict[str, bytes]) -> list[str]:
    """The third and the fourth picture, where there are four."""
    names, data = texts(record, "more"), record.get("bytes_more")
    if (names or record.get("preferred") == RANKED) and len(names) != 2:
        raise Fault("more", "does not name the third and the fourth of four pictures")
    if data is not None:
        if not isinstance(data, list) or len(data) != len(names):
            raise Fault("bytes_more", "does not hold the bytes of each picture of 'more'")
        if not all(isinstance(one, bytes) for one in data):
            raise Fault("bytes_more", "holds something else than bytes")
        blobs.update(zip(names, data, strict=True))
    return names


def _flag(record: dict[str, Any], name: str) -> bool:
    value = record.get(name)
    if value is not None and not isinstance(value, bool):
        raise Fault(name, "is neither true nor false")
    return bool(value)


def _answers(record: dict[str, Any]) -> dict[str, Any]:
    """An object, or its JSON as text where a table has no place for objects."""
    value = record.get("answers")
    if isinstance(value, str):
        try:
            value = json.loads(value or "{}")
        except ValueError:
            raise Fault("answers", "is not JSON") from None
    return table({"answers": value}, "answers")
