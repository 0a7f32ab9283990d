"""HPD v2's test split as a third party laid it out: one comparison a row; only read.

The dataset card of aniketr/hpdv2-test-no-embeds: `pref` is 1 for the left picture and -1 for the
right one.
"""

from __future__ import annotations

from typing import Any, Final

from backend.preferences.formats._rows import Fault, Row, number, pair, said, text

TITLE: Final = "HPD v2, flat"
SUMMARY: Final = "One comparison a row, as a mirror of the test split has it; only read."
CONTAINER: Final = "parquet"
KEYS: Final = frozenset({"prompt", "image_left_id", "image_right_id", "pref"})
write: Final = None


def read(record: dict[str, Any]) -> list[Row]:
    """The left picture is picture a."""
    choice = {1.0: "a", -1.0: "b", 0.0: "tie"}.get(number(record, "pref", 2.0))
    if choice is None:
        raise Fault("pref", "is neither 1 (left) nor -1 (right)")
    blobs: dict[str, bytes] = {}
    sides = pair(record, ("image_left_id", "image_right_id"), blobs)
    return [
        Row(
            text(record, "prompt"),
            *sides,
            preferred=choice,  # type: ignore[arg-type]
            annotator=said(record, "user_id"),
            id=said(record, "ranking_id"),
            blobs=blobs,
        )
    ]
