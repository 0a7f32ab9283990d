"""The columns of Pick-a-Pic v2; addresses on the web are never followed.

Kirstain et al. 2023, "Pick-a-Pic", arXiv:2305.01569, and the dataset card of its second version.
A tie is ½ and ½. *Both bad* is a tie there; a column of ours remembers it.
"""

from __future__ import annotations

from typing import Any, Final

from backend.preferences.formats._rows import (
    BOTH_BAD,
    TIES,
    Fault,
    Row,
    iso,
    moment,
    number,
    pair,
    said,
    text,
)

TITLE: Final = "Pick-a-Pic v2"
SUMMARY: Final = "The columns of Pick-a-Pic v2; pictures inside, or named by their uid."
CONTAINER: Final = "lines"
HOLDS: Final = frozenset({TIES, BOTH_BAD, "annotators", "times", "ids"})
CHANGES: Final = {BOTH_BAD: "a tie, but for our own column palate_preferred"}
KEYS: Final = frozenset({"caption", "image_0_uid", "image_1_uid", "label_0"})
COLUMNS: Final = {
    "are_different": "bool",
    "best_image_uid": "string",
    "caption": "string",
    "created_at": "string",
    "has_label": "bool",
    "image_0_uid": "string",
    "image_0_url": "string",
    "image_1_uid": "string",
    "image_1_url": "string",
    "jpg_0": "binary",
    "jpg_1": "binary",
    "label_0": "double",
    "label_1": "double",
    "model_0": "string",
    "model_1": "string",
    "ranking_id": "string",
    "user_id": "string",
    "num_example_per_prompt": "int64",
    "palate_preferred": "string",
}
_LABELS: Final = {(1.0, 0.0): "a", (0.0, 1.0): "b", (0.5, 0.5): "tie"}


def write(row: Row) -> dict[str, Any]:
    """One judgement."""
    label = {"a": 1.0, "b": 0.0}.get(row.preferred, 0.5)
    best = {1.0: row.image_a, 0.0: row.image_b}.get(label, "tie")
    record = {
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
        "created_at": iso(row.t_answer),
        "num_example_per_prompt": 1,
    }
    if row.preferred == "both_bad":
        record["palate_preferred"] = "both_bad"
    for name, column in ((row.image_a, "jpg_0"), (row.image_b, "jpg_1")):
        if name in row.blobs:
            record[column] = row.blobs[name]
    return record


def read(record: dict[str, Any]) -> list[Row]:
    """The bytes of a picture where the row has them, else its uid."""
    if record.get("has_label", True) is not True:
        raise Fault("has_label", "is not true; take the rows without a label out")
    left, right = number(record, "label_0", 2.0), number(record, "label_1", 2.0)
    preferred = _LABELS.get((left, right))
    if preferred is None:
        raise Fault("label_0", "and label_1 are neither 1 and 0, 0 and 1, nor 0.5 and 0.5")
    if preferred == "tie" and record.get("palate_preferred") == "both_bad":
        preferred = "both_bad"
    answered = moment(record, "created_at")
    blobs: dict[str, bytes] = {}
    columns = [
        f"jpg_{n}" if record.get(f"jpg_{n}") is not None else f"image_{n}_uid" for n in (0, 1)
    ]
    sides = pair(record, (columns[0], columns[1]), blobs)
    return [
        Row(
            text(record, "caption"),
            *sides,
            preferred=preferred,  # type: ignore[arg-type]
            annotator=said(record, "user_id"),
            t_shown=answered,
            t_answer=answered,
            id=said(record, "ranking_id"),
            blobs=blobs,
        )
    ]
