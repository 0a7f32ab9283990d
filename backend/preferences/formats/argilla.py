"""Records of Argilla 2 as its `to_json` writes them: fields, responses, suggestions, metadata.

A response is a person's, so each becomes a judgement; suggestions are a machine's and stay out.
Records of Argilla 1, whose responses are a list, are read too.
"""

from __future__ import annotations

from typing import Any, Final

from backend.preferences.formats._rows import (
    BOTH_BAD,
    PREFERRED,
    RANKED,
    RANKINGS,
    RATED,
    RATINGS,
    SKIPS,
    TIES,
    Fault,
    Row,
    one_of,
    pair,
    picture,
    said,
    seconds,
    short,
    table,
    text,
    texts,
)

TITLE: Final = "Argilla records"
SUMMARY: Final = "Records with fields and responses; one response is one judgement."
CONTAINER: Final = "array"
HOLDS: Final = frozenset(
    {
        TIES,
        BOTH_BAD,
        SKIPS,
        RATINGS,
        RANKINGS,
        "sides",
        "annotators",
        "times shown",
        "times",
        "reasons",
        "comments",
        "ids",
    }
)
KEYS: Final = frozenset({"fields", "responses"})
SIDES: Final = (
    ("image_a", "image_b"),
    ("image_0", "image_1"),
    ("image_1", "image_2"),
    ("image1", "image2"),
    ("left", "right"),
)
QUESTIONS: Final = ("preferred", "preference", "choice", "label", "ranking")
PROMPTS: Final = ("prompt", "caption", "instruction", "text")
_TICKS: Final = {True: "yes: ", False: "no: "}
"""How a line of a checklist is answered."""
_OTHER: Final = {
    "a": "a",
    "b": "b",
    "left": "a",
    "right": "b",
    "tie": "tie",
    "both_good": "tie",
    "both_bad": "both_bad",
    "skip": "skip",
}


def write(row: Row) -> dict[str, Any]:
    """One record a judgement, with one response to each question."""

    def answer(value: object) -> list[dict[str, Any]]:
        return [{"value": value, "user_id": row.annotator}]

    responses = {"preferred": answer(row.preferred)}
    for name in ("rating", "best", "worst"):
        if name in row.answers:
            responses[name] = answer(row.answers[name])
    if "checklist" in row.answers:
        ticks = row.answers["checklist"].items()
        responses["checklist"] = answer([f"{_TICKS[yes]}{line}" for line, yes in ticks])
    if row.reasons:
        responses["reasons"] = answer(row.reasons)
    if row.comment:
        responses["comment"] = answer(row.comment)
    return {
        "id": row.id or None,
        "fields": {
            "prompt": row.prompt,
            **{f"image_{'abcd'[place]}": name for place, name in enumerate(row.images)},
        },
        "metadata": {
            "shown_left": row.shown_left,
            "t_shown": row.t_shown,
            "t_answer": row.t_answer,
        },
        "suggestions": {},
        "responses": responses,
        "vectors": {},
        "_server_id": None,
    }


def read(record: dict[str, Any]) -> list[Row]:
    """Every response to the question which of two pictures is better, or to our own questions
    about one picture or four."""
    fields, metadata, answers = table(record, "fields"), table(record, "metadata"), _said(record)
    names = next((pair for pair in SIDES if pair[0] in fields and pair[1] in fields), None)
    if names is None and "image_a" in fields:
        names = ("image_a", "image_a")
    if names is None:
        raise Fault("fields", "has no two pictures, such as image_a and image_b")
    prompt = next((name for name in PROMPTS if name in fields), "prompt")
    question = next((name for name in QUESTIONS if name in answers), None)
    if question is None:
        raise Fault("responses", f"answers none of the questions {', '.join(QUESTIONS)}")
    known = {**_OTHER, names[0]: "a", names[1]: "b"}
    blobs: dict[str, bytes] = {}
    sides = pair(fields, names, blobs)
    more = [picture(fields, name, blobs) for name in ("image_c", "image_d") if name in fields]
    given, found = said(record, "id"), []
    for number, (user, value) in enumerate(answers[question]):
        choice = known.get(str(value).lower().replace(" ", "_")) if _is_name(value) else None
        allowed = RANKED if len(more) == 2 else RATED if len(set(names)) == 1 else ""
        if value == allowed:
            choice = allowed
        elif choice not in (("skip",) if allowed else PREFERRED):
            raise Fault(f"responses.{question}", f"is {short(value)}, which names no picture")
        found.append(
            Row(
                text(fields, prompt),
                *sides,
                more=more,
                preferred=choice,  # type: ignore[arg-type]
                shown_left=one_of(metadata, "shown_left", ("a", "b"), "a"),  # type: ignore[arg-type]
                annotator=user,
                t_shown=seconds(metadata, "t_shown"),
                t_answer=seconds(metadata, "t_answer"),
                reasons=texts({"reasons": _of(answers, "reasons", user, None)}, "reasons"),
                comment=text({"comment": _of(answers, "comment", user, "")}, "comment", ""),
                answers=_beside(answers, user),
                id=given if len(answers[question]) == 1 or not given else f"{given}/{number}",
                blobs=blobs,
            )
        )
    return found


def _beside(answers: dict[str, list[tuple[str, Any]]], user: str) -> dict[str, Any]:
    """What is said of one picture or of four, beside the choice."""
    found = {
        name: value
        for name in ("rating", "best", "worst")
        if (value := _of(answers, name, user, None)) is not None
    }
    ticks = texts({"checklist": _of(answers, "checklist", user, None)}, "checklist")
    lines = {}
    for tick in ticks:
        mark = next((yes for yes, word in _TICKS.items() if tick.startswith(word)), None)
        if mark is None:
            raise Fault("responses.checklist", f"holds {short(tick)}, neither yes nor no")
        lines[tick.removeprefix(_TICKS[mark])] = mark
    return {**found, "checklist": lines} if lines else found


def _is_name(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _of(
    answers: dict[str, list[tuple[str, Any]]], question: str, user: str, default: object
) -> Any:
    return next((value for who, value in answers.get(question, []) if who == user), default)


def _said(record: dict[str, Any]) -> dict[str, list[tuple[str, Any]]]:
    """{question: [(user, value)]}, of either layout."""
    given, found = record.get("responses"), {}
    if isinstance(given, dict):
        for question, responses in given.items():
            if not isinstance(responses, list) or not all(isinstance(r, dict) for r in responses):
                raise Fault(f"responses.{question}", "is not a list of responses")
            found[question] = [(said(r, "user_id"), r.get("value")) for r in responses]
    elif isinstance(given, list):
        for response in given:
            values = table(response, "values") if isinstance(response, dict) else {}
            for question, value in values.items():
                plain = value.get("value") if isinstance(value, dict) else value
                found.setdefault(question, []).append((said(response, "user_id"), plain))
    else:
        raise Fault("responses", "is missing" if given is None else "is no list of responses")
    return found
