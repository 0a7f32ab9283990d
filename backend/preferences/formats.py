"""Labels in and out: our own JSONL, TRL's preference rows, the columns of Pick-a-Pic v2.

    own      everything a label holds, so that reading it back gives the same rows
    trl      prompt, chosen, rejected: only decided labels; pictures by their address
    pickapic the columns of Pick-a-Pic v2, ties as ½ and ½; pictures by address instead of bytes

Reading never stops at the first fault: each is reported with file, line, column and reason, and the
caller writes nothing while there is one. Pure Python, one row a line in both directions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final, Literal

from backend.errors import InputError

FORMAT: Final = "palate-preferences-1"
Preferred = Literal["a", "b", "tie", "both_bad", "skip"]
PREFERRED: Final[tuple[str, ...]] = ("a", "b", "tie", "both_bad", "skip")
MAX_PROBLEMS: Final = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One judgement, free of the store. Pictures are addresses: a hash, a path or a URL."""

    prompt: str
    image_a: str
    image_b: str
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


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file holds, and what is wrong with it."""

    rows: list[Row]
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


def read(text: str, form: str, file: str = "labels") -> Reading:
    """Rows of JSON lines in a format ("jsonl" or "trl"), and every fault up to a hundred."""
    readers: dict[str, Callable[[dict[str, Any]], Row]] = {"jsonl": _own, "trl": _trl}
    if form not in readers:
        raise InputError(f"Labels cannot be read from '{form}'; choose {', '.join(readers)}.")
    rows: list[Row] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise _Fault("line", "is not an object in braces")
            rows.append(readers[form](record))
        except json.JSONDecodeError as error:
            where = f"character {error.colno}"
            problems.append(Problem(file, number, where, f"is not JSON: {error.msg}"))
        except _Fault as fault:
            problems.append(Problem(file, number, fault.column, fault.reason))
        if len(problems) >= MAX_PROBLEMS:
            break
    if not rows and not problems:
        problems.append(Problem(file, 1, "line", "the file holds no labels"))
    return Reading(rows, problems)


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
    return Row(
        prompt=_text(record, "prompt"),
        image_a=_text(record, "image_a"),
        image_b=_text(record, "image_b"),
        preferred=_one_of(record, "preferred", PREFERRED, None),  # type: ignore[arg-type]
        shown_left=_one_of(record, "shown_left", ("a", "b"), "a"),  # type: ignore[arg-type]
        annotator=_text(record, "annotator", ""),
        simulated=record.get("simulated", False),
        t_shown=_number(record, "t_shown"),
        t_answer=_number(record, "t_answer"),
        reasons=reasons,
        comment=_text(record, "comment", ""),
        id=_text(record, "id", ""),
    )


def _trl(record: dict[str, Any]) -> Row:
    if any(isinstance(record.get(name), list) for name in ("prompt", "chosen", "rejected")):
        raise _Fault("prompt", "is a conversation; pictures are labelled for a plain text prompt")
    prompt, chosen = _text(record, "prompt"), _text(record, "chosen")
    return Row(prompt, chosen, _text(record, "rejected"), "a")


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


def _number(record: dict[str, Any], name: str) -> float:
    value = record.get(name, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Fault(name, "is not a number of seconds")
    return float(value)
