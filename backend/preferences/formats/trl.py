"""Preference rows of TRL: an explicit prompt, the chosen and the rejected picture, or text.

TRL's dataset formats: https://huggingface.co/docs/trl/dataset_formats
"""

from __future__ import annotations

from typing import Any, Final

from backend.preferences.formats._rows import TEXTS, Fault, Row, pair, text

TITLE: Final = "TRL preference"
SUMMARY: Final = "`prompt`, `chosen`, `rejected`: decided labels only."
CONTAINER: Final = "lines"
HOLDS: Final = frozenset({TEXTS})
KEYS: Final = frozenset({"prompt", "chosen", "rejected"})
COLUMNS: Final = {"prompt": "string", "chosen": "string", "rejected": "string"}


def write(row: Row) -> dict[str, Any]:
    """The winner first."""
    pair = (row.text_a, row.text_b) if row.is_text else (row.image_a, row.image_b)
    chosen, rejected = pair if row.preferred == "a" else pair[::-1]
    return {"prompt": row.prompt, "chosen": chosen, "rejected": rejected}


def read(record: dict[str, Any]) -> list[Row]:
    """The chosen picture becomes picture a; in a study of texts both are words."""
    if any(isinstance(record.get(name), list) for name in KEYS):
        raise Fault("prompt", "is a conversation; pictures are labelled for a plain text prompt")
    blobs: dict[str, bytes] = {}
    sides = pair(record, ("chosen", "rejected"), blobs)
    return [Row(text(record, "prompt"), *sides, preferred="a", blobs=blobs, may_be_text=not blobs)]
