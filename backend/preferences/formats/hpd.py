"""HPD v2: pairs as lists in the train split, rankings by several people in the test split.

Wu et al. 2023, "Human Preference Score v2", arXiv:2306.09341. Train: `prompt`, `file_path` (two
pictures), `human_preference` (1 for the preferred one). Test: any number of pictures, `rank` of
all (1 is best), and `raw_annotations` with the `rank` and `user_hash` of each annotator.
"""

from __future__ import annotations

from typing import Any, Final

from backend.preferences.formats import _ranks
from backend.preferences.formats._rows import Fault, Row, listed, said, text

TITLE: Final = "HPD v2"
SUMMARY: Final = "The list form of the train split; reads the rankings of the test split too."
CONTAINER: Final = "array"
HOLDS: Final[frozenset[str]] = frozenset()
KEYS: Final = frozenset({"prompt", "file_path", "human_preference"})
COLUMNS: Final = {
    "prompt": "string",
    "file_path": "list<string>",
    "human_preference": "list<int64>",
}
_PREFERENCES: Final = {(1, 0): [1.0, 2.0], (0, 1): [2.0, 1.0]}


def write(row: Row) -> dict[str, Any]:
    """The form of the train split."""
    return {
        "prompt": row.prompt,
        "file_path": [row.image_a, row.image_b],
        "human_preference": [int(row.preferred == "a"), int(row.preferred == "b")],
    }


def read(record: dict[str, Any]) -> list[Row]:
    """One judgement of a row of train; of a row of test every two pictures by every annotator."""
    blobs: dict[str, bytes] = {}
    column = "image_path" if "image_path" in record else "file_path"
    names, prompt = _ranks.pictures(record, column, blobs), text(record, "prompt")
    given = said(record, "id")
    if "human_preference" in record:
        preference = tuple(listed(record, "human_preference"))
        if len(names) != 2 or preference not in _PREFERENCES:
            raise Fault("human_preference", "is neither [1, 0] nor [0, 1] for two pictures")
        order = _PREFERENCES[preference]
        return _ranks.judgements(prompt, names, order, blobs, given, "")
    if record.get("raw_annotations") is None:
        order = _ranks.ranks(record.get("rank"), "rank", len(names))
        return _ranks.judgements(prompt, names, order, blobs, given, "")
    found = []
    for number, one in enumerate(listed(record, "raw_annotations")):
        place = f"raw_annotations[{number}]"
        if not isinstance(one, dict):
            raise Fault(place, "is not an object in braces")
        order = _ranks.ranks(one.get("rank"), f"{place}.rank", len(names))
        found += _ranks.judgements(prompt, names, order, blobs, given, said(one, "user_hash"))
    return found
