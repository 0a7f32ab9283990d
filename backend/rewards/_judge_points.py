"""Questions to a judge about one picture, in our own words, and how their answers are read.

    yes        log odds of yes against no; with a reference picture: "is the second better", both
               ways round, so that a picture like the reference is worth 0
    point      a reason and 1 to 5                              UnifiedReward's point score
    words      how wrong each word of the prompt is drawn, and three scores    UnifiedReward 2.0
    rational   a critique by aspects, 1 to 4 or N/A, and a better request      RationalRewards
    checklist  your yes-or-no items, weighed; essential ones    CM2, RubiCap
    rubric     the same, each with its evidence                 RGR-GRPO, RRM
    errors     the differences from a reference picture         Visual-ERM

Structures are those of the sources, the words ours. Departures: what
cannot be read is missing (Visual-ERM counts it as the middle, RationalRewards as 2.5).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from backend.rewards._judge_formats import (
    TEXT,
    TOP,
    Format,
    Said,
    array_of,
    by_json,
    by_text,
    number,
    object_of,
    read_yes,
)

YES: Final = (
    "Does the picture show everything that this text says, and nothing that contradicts it? "
    "Answer Yes or No only.\nText: {prompt}"
)
YES_AGAINST: Final = (
    "Two pictures were drawn for one text. Does the second show what the text says better than the "
    "first? Answer Yes or No only.\nText: {prompt}"
)
POINT: Final = (
    "You judge a picture that was drawn for a text.\nText: {prompt}\n"
    "Check what the text names, one by one: things, numbers, colours, sizes, places, style. Say in "
    "one or two sentences what is right and what is wrong. Then end with the line "
    "'Final Score: N', where N is 1 if nothing is right and 5 if everything is."
)
WORDS: Final = (
    "You judge a picture that was drawn for a text.\nText: {prompt}\n"
    "For each word of the text that can be seen or missed, say how wrongly it is drawn, from 0 "
    "(right) to 10 (missing or wrong). Then score the whole from 1 to 5: alignment (does it show "
    "the text), coherence (is it drawn without faults), style (is it pleasing). Answer as JSON: "
    '{{"words": [{{"word": "...", "error": 0}}], "alignment": 1, "coherence": 1, "style": 1}}.'
)
RATIONAL: Final = (
    "You are the critic of a picture that was drawn for a text.\nText: {prompt}\n"
    "Write these four parts, each under its heading:\n"
    "## Faithfulness\nWhat of the text is shown and what is not, then a line 'Score: N'.\n"
    "## Physics\nWhether things are whole, stand and cast shadows as they would, then 'Score: N'.\n"
    "## Text\nWhether writing in the picture is right, then 'Score: N', or 'Score: N/A' where the "
    "text asks for none.\n"
    "## Refined request\nThe text rewritten so that what went wrong would not.\n"
    "N is a number from 1 (fails) to 4 (nothing to mend)."
)
CHECKLIST: Final = (
    "Answer each question about the picture with true or false. The picture was drawn for the text "
    "'{prompt}'.\nITEMS\nAnswer as JSON: {{\"answers\": [true, false, ...]}}, one for each."
)
RUBRIC: Final = (
    "Decide for each line whether it holds of the picture, which was drawn for the text "
    "'{prompt}'.\nITEMS\nFor each, first name what in the picture shows it, then say true or "
    'false. Answer as JSON: {{"answers": [{{"evidence": "...", "holds": true}}, ...]}}.'
)
ERRORS: Final = (
    "The first picture is what was wanted for the text '{prompt}', the second what was drawn. List "
    "every difference that matters, with its category, its severity (1 hardly seen, 2 plain, 3 "
    "spoils the picture) and where it is. Answer as JSON, with an empty list where nothing "
    'differs: {{"errors": [{{"category": "...", "severity": 1, "where": "..."}}]}}.'
)
CATEGORIES: Final = ("missing", "added", "number", "colour", "shape", "place", "text", "fault")
ASPECTS: Final = ("Faithfulness", "Physics", "Text")
REFINED: Final = "Refined request"
SCORES: Final = ("alignment", "coherence", "style")


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a checklist or rubric."""

    text: str
    weight: float = 1.0
    essential: bool = False

    @classmethod
    def of(cls, line: str) -> Item:
        """From "text", "!essential text", "3 * heavy text" or "!3 * both"."""
        found = re.match(r"\s*(!?)\s*(?:(\d+(?:\.\d+)?)\s*[*×]\s*)?(.+)$", line, re.DOTALL)
        if found is None:
            return cls(line)
        mark, weight, text = found.groups()
        return cls(text.strip(), float(weight) if weight else 1.0, bool(mark))


def format_of(
    ask: str, items: Sequence[str] = (), worst: float = 50.0, referred: bool = False
) -> Format:
    """The format by its name; `worst` is the sum of severities from which a picture is worth 0."""
    yes = {"max_tokens": 1, "logprobs": True, "top_logprobs": TOP}
    lines = [Item.of(item) for item in items]
    told = "\n".join(f"{i}. {one.text}" for i, one in enumerate(lines, 1))
    told = told.replace("{", "{{").replace("}", "}}")
    if ask == "yes":
        return Format(YES_AGAINST if referred else YES, read_yes, more=yes)
    if ask == "point":
        return Format(POINT, by_text(read_point))
    if ask == "words":
        return Format(WORDS, by_json(read_words), _WORDS)
    if ask == "rational":
        return Format(RATIONAL, by_text(read_rational))
    if ask == "errors":
        return Format(ERRORS, by_json(partial(read_errors, worst=worst)), _ERRORS)
    if ask == "rubric":
        each = object_of(evidence=TEXT, holds={"type": "boolean"})
        reader = by_json(partial(read_rubric, items=lines))
        return Format(RUBRIC.replace("ITEMS", told), reader, _answers(each, len(lines)))
    reader = by_json(partial(read_checklist, items=lines))
    schema = _answers({"type": "boolean"}, len(lines))
    return Format(CHECKLIST.replace("ITEMS", told), reader, schema)


def _answers(each: dict[str, Any], num: int) -> dict[str, Any]:
    return object_of(answers=array_of(each, num, num))


_SCORE: Final = {"type": "number", "minimum": 1, "maximum": 5}
_WORDS: Final = object_of(
    words=array_of(object_of(word=TEXT, error={"type": "number", "minimum": 0, "maximum": 10})),
    **dict.fromkeys(SCORES, _SCORE),
)
_ERRORS: Final = object_of(
    errors=array_of(
        object_of(
            category={"type": "string", "enum": list(CATEGORIES)},
            severity={"type": "integer", "enum": [1, 2, 3]},
            where=TEXT,
        )
    )
)


# ---------------------------------------------------------------- reading


def read_point(text: str) -> Said:
    """The last "Final Score: N" of 1 to 5, as 0 to 1."""
    found = re.findall(r"final score\s*[:=]\s*\**\s*(-?\d+(?:\.\d+)?)", text, re.IGNORECASE)
    if not found:
        return Said(None, "gave no final score")
    if len({float(score) for score in found}) > 1:
        return Said(None, "gave two final scores")
    score = float(found[-1])
    if not 1 <= score <= 5:
        return Said(None, f"gave a score of {score:g}, which is not 1 to 5")
    return Said((score - 1) / 4)


def read_words(data: dict[str, Any]) -> Said:
    """The mean of the three scores as 0 to 1; each of them, and the worst word, are parts."""
    scores = {name: number(data.get(name), 1, 5) for name in SCORES}
    if any(score is None for score in scores.values()):
        return Said(None, "did not give three scores of 1 to 5")
    errors = words_of(data)
    if errors is None:
        return Said(None, "scored a word with what is no number of 0 to 10")
    parts = {name: (score - 1) / 4 for name, score in scores.items() if score is not None}
    value = sum(parts.values()) / len(parts)
    if errors:
        parts["worst word"] = max(error for _, error in errors)
    return Said(value, parts=parts)


def words_of(data: dict[str, Any]) -> list[tuple[str, float]] | None:
    """Words of the prompt with how wrongly they are drawn, 0 to 10; None where that is no list of
    such."""
    given = data.get("words")
    if not isinstance(given, list):
        return None
    found = []
    for one in given:
        error = number(one.get("error"), 0, 10) if isinstance(one, dict) else None
        if error is None or not isinstance(one.get("word"), str):
            return None
        found.append((one["word"], error))
    return found


def read_rational(text: str) -> Said:
    """Mean of the aspects that apply, of 1 to 4, as 0 to 1; it abstains where none does."""
    parts: dict[str, float] = {}
    for aspect in ASPECTS:
        under = section(text, aspect)
        if under is None:
            return Said(None, f"wrote not one part on {aspect.lower()}")
        found = re.findall(r"score\s*[:=]\s*\**\s*(n/?a|-?\d+(?:\.\d+)?)", under, re.IGNORECASE)
        if len({score.lower() for score in found}) != 1:
            return Said(None, f"gave not one score of {aspect.lower()}")
        if found[0][0] in "nN":
            continue
        score = float(found[0])
        if not 1 <= score <= 4:
            return Said(None, f"gave {aspect.lower()} a score of {score:g}, which is not 1 to 4")
        parts[aspect.lower()] = (score - 1) / 3
    request = section(text, REFINED)
    if not request:
        return Said(None, "ended before its refined request")
    if not parts:
        return Said(None, "found that no aspect applies", abstains=True)
    return Said(sum(parts.values()) / len(parts), parts=parts, request=request)


def section(text: str, heading: str) -> str | None:
    """What stands under a heading of a critique; None where there is not exactly one of it."""
    found = re.findall(rf"(?ims)^#+[ \t]*{heading}[ \t:]*\n(.*?)(?=^#|\Z)", text)
    return found[0].strip() if len(found) == 1 else None


def read_checklist(data: dict[str, Any], items: Sequence[Item]) -> Said:
    """Weight of the items that hold, of all; 0 where an essential one does not."""
    answers = data.get("answers")
    if not isinstance(answers, list) or len(answers) != len(items):
        return Said(None, f"did not answer each of {len(items)} questions")
    if not all(isinstance(answer, bool) for answer in answers):
        return Said(None, "answered a question with neither true nor false")
    return _weighed(answers, items)


def read_rubric(data: dict[str, Any], items: Sequence[Item]) -> Said:
    """As a checklist; an item that is said to hold without evidence is no answer."""
    answers = data.get("answers")
    if not isinstance(answers, list) or len(answers) != len(items):
        return Said(None, f"did not answer each of {len(items)} lines")
    for one in answers:
        if not isinstance(one, dict) or not isinstance(one.get("holds"), bool):
            return Said(None, "answered a line with neither true nor false")
        evidence = one.get("evidence")
        if one["holds"] and not (isinstance(evidence, str) and evidence.strip()):
            return Said(None, "said that a line holds and named nothing that shows it")
    return _weighed([one["holds"] for one in answers], items)


def _weighed(held: Sequence[bool], items: Sequence[Item]) -> Said:
    both = list(zip(items, held, strict=True))
    whole = sum(item.weight for item in items)
    value = sum(item.weight for item, holds in both if holds) / whole
    kept = all(holds for item, holds in both if item.essential)
    return Said(value if kept else 0.0, parts={item.text: float(holds) for item, holds in both})


def read_errors(data: dict[str, Any], worst: float) -> Said:
    """1 − Σ severity / worst, not below 0; how many errors of each category are parts."""
    errors = data.get("errors")
    if not isinstance(errors, list):
        return Said(None, "gave no list of differences")
    parts = dict.fromkeys(CATEGORIES, 0.0)
    total = 0.0
    for one in errors:
        severity = one.get("severity") if isinstance(one, dict) else None
        if isinstance(severity, bool) or severity not in (1, 2, 3):
            return Said(None, "gave a difference without a severity of 1 to 3")
        if one.get("category") not in CATEGORIES:
            return Said(None, "gave a difference of a category that was not asked for")
        parts[one["category"]] += 1
        total += severity
    return Said(max(1 - total / worst, 0.0), parts=parts)
