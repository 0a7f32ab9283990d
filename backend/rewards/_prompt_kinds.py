"""Kinds of prompts, by their words: a reward may know colours and be blind to numbers.

The kinds are those of GenEval (Ghosh et al. 2023, arXiv 2310.11513): counting, colour, position,
and writing besides, as OCR rewards ask for it. A prompt may be of several kinds or of none. Rules
by words are coarse, but the same for every project and known to whoever reads the table.
"""

from __future__ import annotations

import re
from typing import Final

PLAIN: Final = "none of these"
_RULES: Final = {
    "counting": r"two|three|four|five|six|seven|eight|nine|ten|both|several|pair of|\d+",
    "colour": (
        r"red|orange|yellow|green|cyan|blue|purple|violet|pink|brown|black|white|gr[ae]y|golden|"
        r"silver|beige|navy|turquoise|crimson"
    ),
    "position": (
        r"above|below|beneath|under|over|left of|right of|to the (?:left|right)|next to|beside|"
        r"behind|in front of|between|on top of|inside"
    ),
    "writing": r"text|word|words|letters|sign|says|saying|reads|written|titled|caption|slogan",
}
_PATTERNS: Final = {name: re.compile(rf"\b(?:{rule})\b", re.I) for name, rule in _RULES.items()}
_QUOTED: Final = re.compile(r"[\"“”«»]")
KINDS: Final = (*_RULES, PLAIN)


def kinds_of(prompt: str) -> tuple[str, ...]:
    """The kinds of a prompt, in the order of `KINDS`.

    Example: "two red circles above a square" → counting, colour, position.
    """
    found = [name for name, rule in _PATTERNS.items() if rule.search(prompt)]
    if _QUOTED.search(prompt) and "writing" not in found:
        found.append("writing")
    return tuple(found) or (PLAIN,)
