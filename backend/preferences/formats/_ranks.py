"""Rankings as judgements: of every two pictures, the one with the smaller rank is preferred."""

from __future__ import annotations

import itertools
from typing import Any, Final

from backend.preferences.formats._rows import Fault, Row, picture

MOST: Final = 60
"""Pictures in one ranking; more would be a table of pairs too long for one row."""


def pictures(record: dict[str, Any], name: str, blobs: dict[str, bytes]) -> list[str]:
    """The pictures of a list, at least two."""
    value = record.get(name)
    if not isinstance(value, list):
        raise Fault(name, "is missing" if value is None else "is not a list")
    if not 2 <= len(value) <= MOST:
        raise Fault(name, f"has {len(value):,} pictures; a row needs 2 to {MOST}")
    return [
        picture({f"{name}[{number}]": item}, f"{name}[{number}]", blobs)
        for number, item in enumerate(value)
    ]


def ranks(value: object, column: str, num: int) -> list[float]:
    """One finite rank a picture."""
    if not isinstance(value, list) or len(value) != num:
        raise Fault(column, f"is not a list of {num} ranks, one a picture")
    for rank in value:
        if isinstance(rank, bool) or not isinstance(rank, int | float) or rank != rank:
            raise Fault(column, "holds what is no rank")
    return value


def judgements(
    prompt: str,
    names: list[str],
    order: list[float],
    blobs: dict[str, bytes],
    given: str,
    annotator: str,
) -> list[Row]:
    """Every two of the pictures; `given` is the id of the ranking, or empty."""
    found = []
    pairs = list(itertools.combinations(range(len(names)), 2))
    for i, j in pairs:
        choice = "tie" if order[i] == order[j] else "a" if order[i] < order[j] else "b"
        number = given if len(pairs) == 1 or not given else f"{given}/{i}-{j}"
        found.append(
            Row(
                prompt,
                names[i],
                names[j],
                choice,  # type: ignore[arg-type]
                annotator=annotator,
                id=number,
                blobs={name: blobs[name] for name in (names[i], names[j]) if name in blobs},
            )
        )
    return found
