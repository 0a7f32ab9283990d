"""Questions to a judge about two pictures, in our own words, and how their answers are read.

    choice     the verdict alone                                UnifiedReward's pair
    verdict    reasons, then one of three lines                 UnifiedReward's pair
    scores     two scores that add up to 1, in three respects   UnifiedReward 2.0
    think      three dimensions or more, 1 to 10 each, then the answer     UnifiedReward-Think
    flex       at most three categories of the judge's own, then an overall winner     Flex
    criterion  the winner on one criterion, inside a mask where there is one      OneReward

The value is how far the first is preferred: 1, 0, ½ for a tie, or between.
"""

from __future__ import annotations

import re
from typing import Any, Final

from backend.rewards._judge_formats import (
    CANNOT,
    FIRST,
    SECOND,
    TEXT,
    TIE,
    VERDICTS,
    WINNER,
    Format,
    Said,
    array_of,
    by_json,
    by_text,
    number,
    object_of,
)

CHOICE: Final = (
    "Two pictures were drawn for one text. Which fits it better? Check things, numbers, colours, "
    "sizes, places and style in both; their order means nothing.\nText: {prompt}\n"
    'Answer as JSON: {{"verdict": "first" | "second" | "tie" | "cannot_judge"}}.'
)
VERDICT: Final = (
    "Two pictures were drawn for one text. Compare how well each fits it: things, numbers, "
    "colours, sizes, places and style; their order means nothing.\nText: {prompt}\n"
    "Reason in at most four sentences, then end with exactly one of these lines: 'Image 1 is "
    "better', 'Image 2 is better', 'Both are equally good'."
)
PAIR_SCORES: Final = (
    "Two pictures were drawn for one text; their order means nothing.\nText: {prompt}\n"
    "In each respect share one point out between the first and the second: alignment (which shows "
    "the text better), coherence (which has fewer faults), style (which is more pleasing). Answer "
    'as JSON: {{"alignment": [0.5, 0.5], "coherence": [0.5, 0.5], "style": [0.5, 0.5]}}.'
)
THINK: Final = (
    "Two pictures were drawn for one text; their order means nothing.\nText: {prompt}\n"
    "Think before you decide. Choose at least three dimensions in which they can be compared, and "
    "give each a line '- dimension: A vs B', where A and B score the first and the second from 1 "
    "to 10. Then give the totals in a line 'Totals: A vs B'. End with <answer>Image 1 is "
    "better</answer>, <answer>Image 2 is better</answer> or <answer>Both are equally "
    "good</answer>."
)
FLEX: Final = (
    "Two pictures were drawn for one text; their order means nothing.\nText: {prompt}\n"
    "Choose at most three categories that matter most for this text, say who wins each and why, "
    'then who wins over all. Answer as JSON: {{"categories": [{{"name": "...", "reason": "...", '
    '"winner": "first" | "second" | "tie"}}], "overall": "first" | "second" | "tie" | '
    '"cannot_judge"}}.'
)
CRITERION: Final = (
    "Two pictures were drawn for one text; their order means nothing.\nText: {prompt}\n"
    "Compare them in this alone, and leave all else out of account: CRITERION.MASKED\n"
    'Answer as JSON: {{"verdict": "first" | "second" | "tie" | "cannot_judge"}}.'
)
ANSWERS: Final = (
    "A question was asked about the picture and two answers were given; their order means nothing. "
    "Which answer is better? What the picture shows counts first, then whether the question is "
    "answered.\nQuestion: {prompt}\nFirst answer: {one}\nSecond answer: {other}\n"
)
SAY_JSON: Final = 'Answer as JSON: {"verdict": "first" | "second" | "tie" | "cannot_judge"}.'
SAY_LINE: Final = (
    "Reason in at most four sentences, then end with exactly one of these lines: 'Answer 1 is "
    "better', 'Answer 2 is better', 'Both are equally good'."
)
MASKED: Final = (
    " The third picture is a mask: only what lies where it is white counts, in both pictures."
)
RESPECTS: Final = ("alignment", "coherence", "style")
NEAR: Final = 0.02
"""Two scores of a respect add up to 1 as nearly as this."""

_TWO: Final = array_of({"type": "number", "minimum": 0, "maximum": 1}, 2, 2)
_FLEX: Final = object_of(
    categories=array_of(object_of(name=TEXT, reason=TEXT, winner=WINNER), 1, 3),
    overall={"type": "string", "enum": [FIRST, SECOND, TIE, CANNOT]},
)
_VALUES: Final = {FIRST: 1.0, SECOND: 0.0, TIE: 0.5}


def format_of(ask: str, criterion: str = "", masked: bool = False) -> Format:
    """The format by its name."""
    if ask == "choice":
        return Format(CHOICE, by_json(read_choice), VERDICTS)
    if ask == "verdict":
        return Format(VERDICT, by_text(read_verdict))
    if ask == "scores":
        schema = object_of(**dict.fromkeys(RESPECTS, _TWO))
        return Format(PAIR_SCORES, by_json(read_scores), schema)
    if ask == "think":
        return Format(THINK, by_text(read_think))
    if ask == "flex":
        return Format(FLEX, by_json(read_flex), _FLEX)
    told = criterion.replace("{", "{{").replace("}", "}}")
    text = CRITERION.replace("MASKED", MASKED if masked else "").replace("CRITERION", told)
    return Format(text, by_json(read_choice), VERDICTS)


def read_verdict(text: str) -> Said:
    """1 where the first is better, 0 where the second is, ½ for a tie."""
    found = re.findall(
        r"(?:image|answer)\s*([12])\s*is\s*better|(equally good)", text, re.IGNORECASE
    )
    said = {"tie" if tie else which for which, tie in found}
    if not said:
        return Said(None, "gave no verdict")
    if len(said) > 1:
        return Said(None, "gave two verdicts")
    return Said({"1": 1.0, "2": 0.0, "tie": 0.5}[said.pop()])


def read_choice(data: dict[str, Any], name: str = "verdict") -> Said:
    """As `read_verdict`, from {"verdict": ...}."""
    verdict = data.get(name)
    if verdict == CANNOT:
        return Said(None, "cannot judge", abstains=True)
    value = _VALUES.get(verdict) if isinstance(verdict, str) else None
    return Said(value, "" if value is not None else "gave no verdict")


def read_scores(data: dict[str, Any]) -> Said:
    """The mean of the first picture's scores; what each respect says is a part."""
    parts: dict[str, float] = {}
    for respect in RESPECTS:
        given = data.get(respect)
        both = [number(one, 0, 1) for one in given] if isinstance(given, list) else []
        if len(both) != 2 or both[0] is None or both[1] is None:
            return Said(None, f"did not give two scores of {respect} from 0 to 1")
        if abs(both[0] + both[1] - 1) > NEAR:
            return Said(None, f"gave scores of {respect} that do not add up to 1")
        parts[respect] = both[0]
    return Said(sum(parts.values()) / len(parts), parts=parts)


def read_think(text: str) -> Said:
    """The answer in its tag. Parts: "margin", the first's lead in its dimensions, −1 to 1, and
    "contradicts", 1 where the lead and the answer point apart: the judge is unsure of itself."""
    answers = re.findall(r"<answer>(.*?)</answer>", text, re.IGNORECASE | re.DOTALL)
    if len({answer.strip().lower() for answer in answers}) != 1:
        return Said(None, "gave not one answer")
    verdict = read_verdict(answers[-1])
    if verdict.value is None:
        return verdict
    before = text[: text.lower().index("<answer>")]
    told = re.findall(
        r"^[ \t]*[-*][^:\n]+:[ \t*]*(\d+(?:\.\d+)?)[ \t]*(?:vs\.?|/)[ \t]*(\d+(?:\.\d+)?)",
        before,
        re.IGNORECASE | re.MULTILINE,
    )
    both = [(float(one), float(other)) for one, other in told]
    if len(both) < 3:
        return Said(None, "compared in fewer than three dimensions")
    if not all(1 <= score <= 10 for pair in both for score in pair):
        return Said(None, "gave a score that is not 1 to 10")
    margin = sum(one - other for one, other in both) / (9 * len(both))
    contradicts = (verdict.value - 0.5) * margin < 0 or (verdict.value != 0.5 and margin == 0)
    return Said(verdict.value, parts={"margin": margin, "contradicts": float(contradicts)})


def read_flex(data: dict[str, Any]) -> Said:
    """The overall winner; the share of its categories that the first wins is a part."""
    categories = data.get("categories")
    if not isinstance(categories, list) or not 1 <= len(categories) <= 3:
        return Said(None, "did not name one to three categories")
    won = []
    for one in categories:
        said = read_choice(one, "winner") if isinstance(one, dict) else Said(None)
        if said.value is None:
            return Said(None, "named a category without its winner")
        won.append(said.value)
    overall = read_choice(data, "overall")
    if overall.value is None:
        return overall
    return Said(overall.value, parts={"categories": sum(won) / len(won)})
