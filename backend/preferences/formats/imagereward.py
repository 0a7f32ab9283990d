"""ImageReward: the pictures of a prompt and their ranks, 1 is best; equal ranks are ties.

Xu et al. 2023, "ImageReward", arXiv:2304.05977. Its code reads `prompt`, `generations` and
`ranking`; its published tables have one picture a row, of which those of a prompt follow each
other.
"""

from __future__ import annotations

from typing import Any, Final

from backend.preferences.formats import _ranks
from backend.preferences.formats._rows import TIES, Fault, Row, number, picture, said, text

TITLE: Final = "ImageReward"
SUMMARY: Final = "`prompt`, `generations`, `ranking`; reads one picture a row too."
CONTAINER: Final = "array"
HOLDS: Final = frozenset({TIES, "ids"})
KEYS: Final = frozenset({"prompt", "generations", "ranking"})
COLUMNS: Final = {
    "id": "string",
    "prompt": "string",
    "generations": "list<string>",
    "ranking": "list<int64>",
}
GROUPS: Final = ("prompt_id", "image_path")
"""Rows that have both columns hold one picture each and are gathered by the first."""


def write(row: Row) -> dict[str, Any]:
    """A ranking of two."""
    order = {"a": [1, 2], "b": [2, 1]}.get(row.preferred, [1, 1])
    return {
        "id": row.id,
        "prompt": row.prompt,
        "generations": [row.image_a, row.image_b],
        "ranking": order,
    }


def read(record: dict[str, Any]) -> list[Row]:
    """Every two of the pictures."""
    blobs: dict[str, bytes] = {}
    names = _ranks.pictures(record, "generations", blobs)
    order = _ranks.ranks(record.get("ranking"), "ranking", len(names))
    given = said(record, "id")
    return _ranks.judgements(text(record, "prompt"), names, order, blobs, given, "")


def gather(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows of one prompt as the record that `read` takes."""
    pictures, order = [], []
    for record in records:
        column = "image" if record.get("image") is not None else "image_path"
        blobs: dict[str, bytes] = {}
        name = picture(record, column, blobs)
        pictures.append(blobs.get(name, name))
        order.append(number(record, "rank", float("nan")))
    prompt = text(records[0], "prompt")
    if any(record.get("prompt") != prompt for record in records):
        raise Fault("prompt", "differs between pictures of one prompt_id")
    given = said(records[0], "prompt_id")
    return {"id": given, "prompt": prompt, "generations": pictures, "ranking": order}
