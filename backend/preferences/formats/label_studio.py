"""Label Studio's JSON export of a pairwise project: tasks with their annotations.

https://labelstud.io/guide/task_format and https://labelstud.io/tags/pairwise.html. Its `Pairwise`
knows left and right alone, so a tie and *both bad* are a choice named `verdict`; the two pictures
are taken to have been shown as they stand in the data, for the export does not say.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from backend.preferences.formats._rows import (
    BOTH_BAD,
    SKIPS,
    TIES,
    TURNED,
    Fault,
    Row,
    iso,
    listed,
    moment,
    number,
    picture,
    said,
    table,
    text,
    texts,
)

TITLE: Final = "Label Studio, pairwise"
SUMMARY: Final = "Tasks with annotations of a Pairwise control; one annotation is one judgement."
CONTAINER: Final = "array"
HOLDS: Final = frozenset(
    {
        TIES,
        BOTH_BAD,
        SKIPS,
        "sides",
        "annotators",
        "times shown",
        "times",
        "reasons",
        "comments",
        "ids",
    }
)
KEYS: Final = frozenset({"data", "annotations"})
SIDES: Final = (
    ("image1", "image2"),
    ("image_a", "image_b"),
    ("image_0", "image_1"),
    ("left", "right"),
)
_UPLOADED: Final = re.compile(r"^/?data/upload/(?:\d+/)?")


def write(row: Row) -> dict[str, Any]:
    """A task with one annotation; the picture that stood left is `image1`."""
    left, right = (
        (row.image_a, row.image_b) if row.shown_left == "a" else (row.image_b, row.image_a)
    )
    result: list[dict[str, Any]] = []
    if row.preferred in ("a", "b"):
        side = "left" if row.preferred == row.shown_left else "right"
        result.append(_result("pairwise", "pw", {"selected": side}))
    elif row.preferred != "skip":
        result.append(_result("choices", "verdict", {"choices": [row.preferred]}))
    if row.reasons:
        result.append(_result("choices", "reasons", {"choices": row.reasons}))
    if row.comment:
        result.append(_result("textarea", "comment", {"text": [row.comment]}))
    annotation = {
        "id": row.id,
        "result": result,
        "was_cancelled": row.preferred == "skip",
        "completed_by": row.annotator,
        "created_at": iso(row.t_answer),
        "lead_time": row.t_answer - row.t_shown,
    }
    data = {"prompt": row.prompt, "image1": left, "image2": right, "palate_left": row.shown_left}
    return {"data": data, "annotations": [annotation]}


def read(record: dict[str, Any]) -> list[Row]:
    """Every annotation; `image1` is picture a unless we wrote that it was picture b."""
    data = table(record, "data")
    names = next((pair for pair in SIDES if pair[0] in data and pair[1] in data), None)
    if names is None:
        raise Fault("data", "has no two pictures, such as image1 and image2")
    blobs: dict[str, bytes] = {}
    shown = [_file(picture(data, name, blobs)) for name in names]
    is_turned = data.get("palate_left") == "b"
    prompt = "prompt" if "prompt" in data else "caption" if "caption" in data else "text"
    return [
        _judgement(text(data, prompt), shown, one, place, is_turned, blobs)
        for place, one in enumerate(listed(record, "annotations"))
    ]


def _judgement(
    prompt: str,
    shown: list[str],
    given: object,
    place: int,
    is_turned: bool,
    blobs: dict[str, bytes],
) -> Row:
    where = f"annotations[{place}]"
    if not isinstance(given, dict):
        raise Fault(where, "is not an object in braces")
    answers = {"choice": "skip"} if given.get("was_cancelled") is True else {}
    reasons: list[str] = []
    for one in listed(given, "result"):
        value = table(one, "value") if isinstance(one, dict) else {}
        kind, name = (one.get("type"), one.get("from_name")) if isinstance(one, dict) else ("", "")
        if kind == "pairwise":
            chosen = {"left": "a", "right": "b"}.get(str(value.get("selected")))
            if chosen is None:
                raise Fault(f"{where}.result", "selects neither left nor right")
            answers["choice"] = chosen
        elif kind == "choices" and name == "verdict":
            answers["choice"] = _verdict(texts(value, "choices"), where)
        elif kind == "choices":
            reasons += texts(value, "choices")
        elif kind == "textarea":
            answers["comment"] = "\n".join(texts(value, "text"))
    if "choice" not in answers:
        raise Fault(f"{where}.result", "holds no answer: it was sent without a choice")
    choice, (a, b) = answers["choice"], shown
    if is_turned:
        a, b, choice = b, a, TURNED.get(choice, choice)
    answered = moment(given, "created_at")
    took = max(number(given, "lead_time"), 0.0) if given.get("lead_time") is not None else 0.0
    return Row(
        prompt,
        a,
        b,
        choice,  # type: ignore[arg-type]
        shown_left="b" if is_turned else "a",
        annotator=_who(given),
        t_shown=max(answered - took, 0.0),
        t_answer=answered,
        reasons=reasons,
        comment=answers.get("comment", ""),
        id=said(given, "id"),
        blobs=blobs,
    )


def _verdict(chosen: list[str], where: str) -> str:
    found = [name.lower().replace(" ", "_") for name in chosen]
    if found not in (["tie"], ["both_bad"]):
        raise Fault(f"{where}.result", "has a verdict that is neither tie nor both_bad")
    return found[0]


def _who(given: dict[str, Any]) -> str:
    person = given.get("completed_by")
    if isinstance(person, dict):
        return said(person, "email") or said(person, "id")
    return said(given, "completed_by")


def _file(address: str) -> str:
    """The file behind an address of Label Studio's own, uploaded or below its local folder."""
    parts = urlsplit(address) if address.startswith("/data/local-files/") else None
    if parts is not None:
        return next(iter(parse_qs(parts.query).get("d", [])), address)
    return unquote(_UPLOADED.sub("", address)) if _UPLOADED.match(address) else address


def _result(kind: str, name: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "from_name": name, "to_name": "image1,image2", "value": value}
