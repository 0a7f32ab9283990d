"""What every format is read into and written from: one row a judgement, and where it is at fault.

A picture is named by its file or its hash; where a row brings the picture itself, its bytes stand
in `blobs` under the name of the column.
"""

from __future__ import annotations

import base64
import binascii
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

Preferred = Literal["a", "b", "tie", "both_bad", "skip", "rated", "ranked"]
PREFERRED: Final[tuple[str, ...]] = ("a", "b", "tie", "both_bad", "skip")
"""What may be said of two pictures."""
RATED, RANKED = "rated", "ranked"
"""What is said of one picture and of four; the mark, or the best and the worst, are answers."""
LATEST: Final = 1e11
"""Times beyond this many seconds since 1970 are taken for milliseconds by mistake."""
TURNED: Final = {"a": "b", "b": "a"}


@dataclass(frozen=True, slots=True)
class PairRow:
    """Two pictures of one prompt, free of the store. Pictures are addresses: a hash or a path.

    Of texts no picture stands in `image_a` and `image_b`; the words do in `text_a` and `text_b`.
    """

    prompt: str
    image_a: str
    image_b: str
    """The same as `image_a` where there is one picture alone."""
    more: list[str] = field(default_factory=list, kw_only=True)
    """The third and the fourth of four."""
    key: str = field(default="", kw_only=True)
    """Whatever its sender calls the pair: it comes back with every label of it."""
    text_a: str = field(default="", kw_only=True)
    text_b: str = field(default="", kw_only=True)
    subject: str = field(default="", kw_only=True)
    """The picture that two texts are about."""

    @property
    def is_text(self) -> bool:
        """Whether it is about two texts."""
        return bool(self.text_a)

    @property
    def is_single(self) -> bool:
        """Whether it is about one picture."""
        return self.image_a == self.image_b and not self.more and not self.is_text


@dataclass(frozen=True, slots=True)
class Row(PairRow):
    """One judgement: of a pair, of one picture, of four, or of two texts."""

    preferred: Preferred
    shown_left: Literal["a", "b"] = "a"
    annotator: str = ""
    simulated: bool = False
    t_shown: float = 0.0
    """Seconds since 1970."""
    t_answer: float = 0.0
    reasons: list[str] = field(default_factory=list)
    comment: str = ""
    id: str = ""
    """The annotator's client-made id: sent twice, stored once."""
    answers: dict[str, Any] = field(default_factory=dict)
    """Beyond the choice: aspects, regions, spans and the like, as the store has them."""
    implicit: bool = False
    """Drawn from clicks, likes and downloads instead of being asked for."""
    chooser: str = ""
    """How the pair came to be handed out, and with what chance."""
    propensity: float = 1.0
    blobs: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    """Pictures that the row brings itself, by the name it gives them."""
    may_be_text: bool = field(default=False, repr=False, compare=False)
    """Its format has one column for pictures and for texts: which they are, the study says."""

    @property
    def images(self) -> list[str]:
        """Each picture once: one, two or four; of texts the one they are about."""
        if self.is_text:
            return [self.subject] if self.subject else []
        return [self.image_a] if self.is_single else [self.image_a, self.image_b, *self.more]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line cannot be read."""

    file: str
    line: int
    """From 1: a line of text, an entry of a list or a row of a table."""
    column: str
    """The field, or "character n" where the line is not JSON at all."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}, {self.column}: {self.reason}"

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "reason": self.reason,
        }


class Fault(Exception):
    """A record that is no row, by its column."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"{column} {reason}")
        self.column, self.reason = column, reason


# ---------------------------------------------------------------- what a format has no place for

TIES, BOTH_BAD, SKIPS = "ties", "both bad", "skips"
RATINGS, RANKINGS = "ratings of one picture", "best and worst of four"
TEXTS = "two texts"
VERDICTS: Final = frozenset({TIES, BOTH_BAD, SKIPS, RATINGS, RANKINGS, TEXTS})
"""Of these a row is one; a format without a place for it leaves the row out."""
EVERYTHING: Final = VERDICTS | frozenset(
    {
        "sides",
        "annotators",
        "marks",
        "times shown",
        "times",
        "reasons",
        "comments",
        "ids",
        "keys",
        "pictures of texts",
        "aspects",
        "regions",
        "spans",
        "other answers",
        "propensities",
    }
)
"""`sides`: which of the two stood left. `pictures of texts`: what they are about. `marks`: that an
annotator was simulated or implicit."""


_OF_ITEMS: Final = ("rating", "checklist", "best", "worst")


def contents(row: Row) -> set[str]:
    """What a row holds beyond a prompt, two pictures and a winner, in the words of EVERYTHING."""
    named = {"tie": TIES, "both_bad": BOTH_BAD, "skip": SKIPS, "a": "", "b": ""}
    told = {
        named.get(row.preferred, ""): True,
        RATINGS: row.is_single,
        RANKINGS: bool(row.more),
        TEXTS: row.is_text,
        "pictures of texts": bool(row.subject),
        "sides": row.shown_left == "b",
        "annotators": bool(row.annotator),
        "marks": row.simulated or row.implicit,
        "times shown": 0 < row.t_shown < row.t_answer,
        "times": row.t_answer > 0,
        "reasons": bool(row.reasons),
        "comments": bool(row.comment),
        "ids": bool(row.id),
        "keys": bool(row.key),
        "propensities": row.propensity != 1 or bool(row.chooser),
    }
    for name, value in row.answers.items():
        if name in _OF_ITEMS:
            continue  # a part of the rating or the ranking
        told[name if name in ("aspects", "regions", "spans") else "other answers"] = bool(value)
    return {name for name, is_there in told.items() if name and is_there}


# ---------------------------------------------------------------- reading the fields of a record


def text(record: dict[str, Any], name: str, default: str | None = None) -> str:
    """A text; without a default it must be there and not be blank."""
    value = record.get(name, default)
    if value is None:
        if default is not None:
            return default
        raise Fault(name, "is missing")
    if not isinstance(value, str):
        raise Fault(name, f"is {type(value).__name__}, not text")
    if default is None and not value.strip():
        raise Fault(name, "is empty")
    return value


def one_of(record: dict[str, Any], name: str, known: tuple[str, ...], default: str | None) -> str:
    """A text out of some."""
    value = text(record, name, default)
    if value not in known:
        raise Fault(name, f"is {short(value)}; choose {', '.join(known)}")
    return value


def number(record: dict[str, Any], name: str, default: float = 0.0) -> float:
    """A finite number."""
    value = record.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Fault(name, "is not a number")
    try:
        given = float(value)
    except OverflowError:
        given = math.inf
    if not math.isfinite(given):
        raise Fault(name, "is not a number")
    return given


def seconds(record: dict[str, Any], name: str) -> float:
    """A moment in seconds since 1970; 0 where there is none."""
    value = number(record, name) if record.get(name) is not None else 0.0
    if not 0 <= value < LATEST:
        raise Fault(name, f"is {value:g}, which is no number of seconds since 1970")
    return value


def moment(record: dict[str, Any], name: str) -> float:
    """Seconds since 1970 of an ISO 8601 text; 0 where there is none."""
    value = record.get(name)
    if value in (None, ""):
        return 0.0
    try:
        given = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        found = (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise Fault(
            name, f"is {short(value)}, not a date such as 2026-01-31T12:00:00+00:00"
        ) from None
    if not 0 <= found < LATEST:
        raise Fault(name, f"is {short(value)}, which is before 1970 or too late to be true")
    return found


def iso(seconds: float) -> str:
    """The inverse of `moment`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def listed(record: dict[str, Any], name: str) -> list[Any]:
    """A list that must be there."""
    value = record.get(name)
    if not isinstance(value, list):
        raise Fault(name, "is missing" if value is None else "is not a list")
    return value


def texts(record: dict[str, Any], name: str) -> list[str]:
    """A list of texts; empty where there is none."""
    value = record.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Fault(name, "is not a list of texts")
    return value


def table(record: dict[str, Any], name: str) -> dict[str, Any]:
    """An object in braces; empty where there is none."""
    value = record.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Fault(name, "is not an object in braces")
    return value


def said(record: dict[str, Any], name: str) -> str:
    """A name or number as text; empty where there is none."""
    value = record.get(name)
    if value is not None and not isinstance(value, str | int):
        raise Fault(name, f"is {type(value).__name__}, not text")
    return "" if value is None else str(value)


def picture(record: dict[str, Any], name: str, blobs: dict[str, bytes]) -> str:
    """The name of a picture: the text there, or the column itself when it holds the bytes.

    Bytes come as they are, as `{bytes, path}` (an image of Hugging Face), or as a `data:` address.
    """
    value = record.get(name)
    if isinstance(value, dict) and ("bytes" in value or "path" in value):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, str) and value.startswith("data:image/"):
        value = _unpacked(value, name)
    if isinstance(value, bytes | bytearray):
        blobs[name] = bytes(value)
        return name
    return text({name: value}, name)


def two_texts(record: dict[str, Any]) -> tuple[str, str] | None:
    """The words of `text_a` and `text_b`; None where neither is there."""
    if record.get("text_a") is None and record.get("text_b") is None:
        return None
    for name in ("image_a", "image_b", "more"):
        if record.get(name):
            raise Fault(name, "stands beside two texts; what they are about is the 'subject'")
    return text(record, "text_a"), text(record, "text_b")


def pair(
    record: dict[str, Any], names: tuple[str, str], blobs: dict[str, bytes]
) -> tuple[str, str]:
    """The names of two pictures."""
    return picture(record, names[0], blobs), picture(record, names[1], blobs)


def short(value: object) -> str:
    """A value as a sentence can quote it."""
    quoted = repr(value)
    return quoted if len(quoted) <= 60 else f"{quoted[:57]}..."


def _unpacked(address: str, name: str) -> bytes:
    head, _, data = address.partition(",")
    if not head.endswith(";base64"):
        raise Fault(name, "is a data address that is not in base64")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Fault(name, "is a data address with broken base64") from None
