"""Clicks, likes and downloads as weak pairs: what people did, not what they were asked.

A row is either one showing (`prompt`, `shown`, and which of them were `clicked`, `liked`,
`downloaded`) or counts (`prompt`, `images` with `views` and events of each). Of one showing, a
picture is preferred to those that met with less (Joachims 2002: a click says something only
against what was seen beside it). Of counts, it is preferred where its rate of events is higher
beyond doubt: Wilson's 95 % intervals do not overlap. Such pairs are marked as implicit and stay
out of training, agreement and rankings unless asked for.
"""

from __future__ import annotations

import itertools
from typing import Any, Final

from backend.preferences.formats._rows import (
    Fault,
    Row,
    listed,
    number,
    picture,
    said,
    seconds,
    table,
    text,
)
from backend.preferences.intervals import wilson

TITLE: Final = "Implicit feedback"
SUMMARY: Final = "Clicks, likes and downloads as weak pairs, kept apart; only read."
CONTAINER: Final = "lines"
KEYS: Final = frozenset({"prompt", "shown"})
write: Final = None
EVENTS: Final = {"clicked": 1, "liked": 2, "downloaded": 3}
"""What happened to a picture, by how much it says; the strongest counts."""
COUNTS: Final = ("clicks", "likes", "downloads")
ANNOTATOR: Final = "implicit"
MOST: Final = 40
"""Pictures of one row."""


def read(record: dict[str, Any]) -> list[Row]:
    """Every two pictures of which one met with more than the other."""
    prompt, blobs = text(record, "prompt"), dict[str, bytes]()
    by_rate = "images" in record
    worth = _rates(record, blobs) if by_rate else _strengths(record, blobs)
    who, given = said(record, "user"), said(record, "id")
    moment = seconds(record, "t")
    found = []
    for one, other in itertools.combinations(worth, 2):
        winner = _winner(worth[one], worth[other])
        if winner:
            pair = (one, other)
            found.append(
                Row(
                    prompt,
                    *pair,
                    preferred="a" if winner > 0 else "b",
                    annotator=f"{ANNOTATOR}: {who}" if who else ANNOTATOR,
                    t_shown=moment,
                    t_answer=moment,
                    reasons=["rate" if by_rate else _event(max(worth[one][0], worth[other][0]))],
                    id=f"{given}/{one}/{other}"[:100] if given else "",
                    implicit=True,
                    blobs={name: blobs[name] for name in pair if name in blobs},
                )
            )
    return found


def _winner(one: tuple[float, float], other: tuple[float, float]) -> int:
    """1 when the lowest that `one` can be is above the highest of `other`, -1 the other way."""
    return int(one[0] > other[1]) - int(other[0] > one[1])


def _strengths(record: dict[str, Any], blobs: dict[str, bytes]) -> dict[str, tuple[float, float]]:
    names = [
        picture({f"shown[{n}]": item}, f"shown[{n}]", blobs)
        for n, item in enumerate(_few(record, "shown"))
    ]
    worth = dict.fromkeys(names, 0)
    for event, strength in EVENTS.items():
        given = record.get(event)
        for name in [given] if isinstance(given, str) else given or []:
            if not isinstance(name, str) or name not in worth:
                raise Fault(event, "names a picture that was not shown")
            worth[name] = max(worth[name], strength)
    return {name: (strength, strength) for name, strength in worth.items()}


def _rates(record: dict[str, Any], blobs: dict[str, bytes]) -> dict[str, tuple[float, float]]:
    worth = {}
    for place, item in enumerate(_few(record, "images")):
        where = f"images[{place}]"
        counts = table({where: item}, where)
        views = number(counts, "views", -1)
        events = sum(number(counts, name, 0) for name in COUNTS)
        if events < 0 or views < 0:
            raise Fault(where, "needs the number of views, and no count below 0")
        own: dict[str, bytes] = {}
        name = picture(counts, "image", own)
        if own:
            name = where
            blobs[where] = own["image"]
        share = wilson(min(events, views), views)
        worth[name] = (share.low, share.high)
    return worth


def _few(record: dict[str, Any], name: str) -> list[Any]:
    value = listed(record, name)
    if not 2 <= len(value) <= MOST:
        raise Fault(name, f"has {len(value):,} pictures; a row needs 2 to {MOST}")
    return value


def _event(strength: float) -> str:
    return next((name for name, worth in EVENTS.items() if worth == strength), "")
