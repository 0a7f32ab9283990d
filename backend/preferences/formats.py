"""Labels in and out: our own JSONL, TRL's preference rows, the columns of Pick-a-Pic v2.

    own      everything a label holds, so that reading it back gives the same rows
    trl      prompt, chosen, rejected: only decided labels; pictures by their address
    pickapic the columns of Pick-a-Pic v2, ties as ½ and ½; pictures by address instead of bytes
    pairs    prompt, image_a, image_b: two pictures that nobody has judged yet; only read

Reading never stops at the first fault: each is reported with file, line, column and reason, and the
caller writes nothing while there is one. Pure Python, one row a line in both directions.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final, Generic, Literal, TypeVar

from backend.errors import InputError

FORMAT: Final = "palate-preferences-1"
Preferred = Literal["a", "b", "tie", "both_bad", "skip"]
PREFERRED: Final[tuple[str, ...]] = ("a", "b", "tie", "both_bad", "skip")
MAX_PROBLEMS: Final = 100
LATEST: Final = 1e11
"""Times beyond this many seconds since 1970 are taken for milliseconds by mistake."""


@dataclass(frozen=True, slots=True)
class PairRow:
    """Two pictures of one prompt, free of the store. Pictures are addresses: a hash or a path."""

    prompt: str
    image_a: str
    image_b: str


@dataclass(frozen=True, slots=True)
class Row(PairRow):
    """One judgement of a pair."""

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


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line cannot be read."""

    file: str
    line: int
    """From 1."""
    column: str
    """The field, or "character n" where the line is not JSON at all."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}, {self.column}: {self.reason}"


R = TypeVar("R", bound=PairRow)


@dataclass(frozen=True, slots=True)
class Reading(Generic[R]):
    """What a file holds, and what is wrong with it."""

    rows: list[R]
    lines: list[int]
    """The line of each row, from 1."""
    problems: list[Problem]


# ---------------------------------------------------------------- out


def to_own(row: Row) -> dict[str, Any]:
    """Every field; `read_own` is the inverse."""
    return {"format": FORMAT, **asdict(row)}


def to_trl(row: Row) -> dict[str, Any] | None:
    """TRL's preference type with an explicit prompt; None where nobody was preferred."""
    if row.preferred not in ("a", "b"):
        return None
    pair = (row.image_a, row.image_b)
    chosen, rejected = pair if row.preferred == "a" else pair[::-1]
    return {"prompt": row.prompt, "chosen": chosen, "rejected": rejected}


def to_pickapic(row: Row) -> dict[str, Any] | None:
    """The columns of Pick-a-Pic v2; None for a skipped pair."""
    if row.preferred == "skip":
        return None
    label = {"a": 1.0, "b": 0.0}.get(row.preferred, 0.5)
    best = {1.0: row.image_a, 0.0: row.image_b}.get(label, "tie")
    return {
        "caption": row.prompt,
        "image_0_uid": row.image_a,
        "image_0_url": row.image_a,
        "image_1_uid": row.image_b,
        "image_1_url": row.image_b,
        "label_0": label,
        "label_1": 1 - label,
        "best_image_uid": best,
        "has_label": True,
        "are_different": row.image_a != row.image_b,
        "model_0": "",
        "model_1": "",
        "ranking_id": row.id,
        "user_id": row.annotator,
        "created_at": datetime.fromtimestamp(row.t_answer, UTC).isoformat(),
        "num_example_per_prompt": 1,
    }


WRITERS: Final[dict[str, Callable[[Row], dict[str, Any] | None]]] = {
    "jsonl": to_own,
    "trl": to_trl,
    "pickapic": to_pickapic,
}


def write(rows: Iterable[Row], form: str) -> Iterator[str]:
    """Lines of JSON in a format, each ending in a newline; rows it cannot hold are left out."""
    if form not in WRITERS:
        raise InputError(f"There is no label format '{form}'; choose {', '.join(WRITERS)}.")
    for row in rows:
        record = WRITERS[form](row)
        if record is not None:
            yield json.dumps(record, ensure_ascii=False) + "\n"


# ---------------------------------------------------------------- in


def read(text: str, form: str, file: str = "labels") -> Reading[Row]:
    """Judgements of JSON lines in a format of `READERS`, and every fault up to a hundred."""
    if form not in READERS:
        raise InputError(f"Labels cannot be read from '{form}'; choose {', '.join(READERS)}.")
    return _read(text, READERS[form], file, "labels")


def read_pairs(text: str, file: str = "pairs") -> Reading[PairRow]:
    """Pairs that wait to be judged, of JSON lines with prompt, image_a and image_b."""
    return _read(text, _pair, file, "pairs")


def _read(text: str, parse: Callable[[dict[str, Any]], R], file: str, noun: str) -> Reading[R]:
    rows: list[R] = []
    lines: list[int] = []
    problems: list[Problem] = []
    # Not splitlines(): a text inside JSON may hold other separators, such as U+2028.
    for number, line in enumerate(re.split("\r\n|\r|\n", text), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise _Fault("line", "is not an object in braces")
            rows.append(parse(record))
            lines.append(number)
        except json.JSONDecodeError as error:
            where = f"character {error.colno}"
            problems.append(Problem(file, number, where, f"is not JSON: {error.msg}"))
        except RecursionError:
            problems.append(Problem(file, number, "line", "is nested too deeply"))
        except _Fault as fault:
            problems.append(Problem(file, number, fault.column, fault.reason))
        if len(problems) >= MAX_PROBLEMS:
            break
    if not rows and not problems:
        problems.append(Problem(file, 1, "line", f"the file holds no {noun}"))
    return Reading(rows, lines, problems)


class _Fault(Exception):
    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"{column} {reason}")
        self.column, self.reason = column, reason


def _own(record: dict[str, Any]) -> Row:
    known = {f.name for f in fields(Row)}
    unknown = [name for name in record if name not in known and name != "format"]
    if record.get("format", FORMAT) != FORMAT:
        raise _Fault("format", f"is {record['format']!r}, this version reads {FORMAT!r}")
    if unknown:
        raise _Fault(unknown[0], f"is no field of a label; known are {', '.join(sorted(known))}")
    reasons = record.get("reasons", [])
    if not isinstance(reasons, list) or not all(isinstance(reason, str) for reason in reasons):
        raise _Fault("reasons", "is not a list of texts")
    if not isinstance(record.get("simulated", False), bool):
        raise _Fault("simulated", "is neither true nor false")
    shown, answered = _seconds(record, "t_shown"), _seconds(record, "t_answer")
    if answered < shown:
        raise _Fault("t_answer", "is before t_shown")
    return Row(
        prompt=_text(record, "prompt"),
        image_a=_text(record, "image_a"),
        image_b=_text(record, "image_b"),
        preferred=_one_of(record, "preferred", PREFERRED, None),  # type: ignore[arg-type]
        shown_left=_one_of(record, "shown_left", ("a", "b"), "a"),  # type: ignore[arg-type]
        annotator=_text(record, "annotator", ""),
        simulated=record.get("simulated", False),
        t_shown=shown,
        t_answer=answered,
        reasons=reasons,
        comment=_text(record, "comment", ""),
        id=_text(record, "id", ""),
    )


def _pair(record: dict[str, Any]) -> PairRow:
    known = [f.name for f in fields(PairRow)]
    unknown = [name for name in record if name not in known]
    if unknown:
        raise _Fault(unknown[0], f"is no field of a pair; known are {', '.join(known)}")
    return PairRow(*(_text(record, name) for name in known))


def _trl(record: dict[str, Any]) -> Row:
    if any(isinstance(record.get(name), list) for name in ("prompt", "chosen", "rejected")):
        raise _Fault("prompt", "is a conversation; pictures are labelled for a plain text prompt")
    prompt, chosen = _text(record, "prompt"), _text(record, "chosen")
    return Row(prompt, chosen, _text(record, "rejected"), "a")


def _pickapic(record: dict[str, Any]) -> Row:
    if record.get("has_label", True) is not True:
        raise _Fault("has_label", "is not true; take the rows without a label out")
    left, right = _number(record, "label_0", 2.0), _number(record, "label_1", 2.0)
    preferred = {(1.0, 0.0): "a", (0.0, 1.0): "b", (0.5, 0.5): "tie"}.get((left, right))
    if preferred is None:
        raise _Fault("label_0", "and label_1 are neither 1 and 0, 0 and 1, nor 0.5 and 0.5")
    answered = _moment(record, "created_at")
    annotator, given = record.get("user_id", ""), record.get("ranking_id", "")
    return Row(
        prompt=_text(record, "caption"),
        image_a=_text(record, "image_0_uid"),
        image_b=_text(record, "image_1_uid"),
        preferred=preferred,  # type: ignore[arg-type]
        annotator="" if annotator is None else str(annotator),
        t_shown=answered,
        t_answer=answered,
        id="" if given is None else str(given),
    )


READERS: Final[dict[str, Callable[[dict[str, Any]], Row]]] = {
    "jsonl": _own,
    "trl": _trl,
    "pickapic": _pickapic,
}


def _text(record: dict[str, Any], name: str, default: str | None = None) -> str:
    value = record.get(name, default)
    if value is None:
        raise _Fault(name, "is missing")
    if not isinstance(value, str):
        raise _Fault(name, f"is {type(value).__name__}, not text")
    if default is None and not value.strip():
        raise _Fault(name, "is empty")
    return value


def _one_of(record: dict[str, Any], name: str, known: tuple[str, ...], default: str | None) -> str:
    value = _text(record, name, default)
    if value not in known:
        raise _Fault(name, f"is {value!r}; choose {', '.join(known)}")
    return value


def _number(record: dict[str, Any], name: str, default: float = 0.0) -> float:
    value = record.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _Fault(name, "is not a number")
    return float(value)


def _seconds(record: dict[str, Any], name: str) -> float:
    value = _number(record, name)
    if not 0 <= value < LATEST:
        raise _Fault(name, f"is {value:g}, which is no number of seconds since 1970")
    return value


def _moment(record: dict[str, Any], name: str) -> float:
    """Seconds since 1970 of an ISO 8601 text; 0 where there is none."""
    value = record.get(name)
    if value in (None, ""):
        return 0.0
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise _Fault(name, f"is {value!r}, not a date such as 2026-01-31T12:00:00+00:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
