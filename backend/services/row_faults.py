"""What is wrong with a row that is brought in, as far as the row itself tells: its prompt, ids,
texts and answers. Pictures are looked at elsewhere (`backend.services.loading`)."""

from __future__ import annotations

from backend.errors import InputError
from backend.preferences.formats import PREFERRED, PairRow, Row
from backend.preferences.formats._rows import RANKED, RATED
from backend.preferences.studies import NUM_SAMPLES, Answers, StudyConfig, check
from backend.services import labels, prompts, users

LONGEST_TEXT = 20_000
"""Characters of one of two texts."""
Fault = tuple[str, str]
"""(column, reason)"""


def of_row(row: PairRow, kind: str, somebody: str) -> Fault | None:
    """What is wrong with a row, beside its pictures, for a study of that kind."""
    fault = prompts.fault_of(row.prompt)
    if fault:
        return "prompt", fault
    if len(row.key) > labels.LONGEST_ID or not row.key.isprintable():
        return "key", f"has more than {labels.LONGEST_ID} characters, or one not to be shown"
    odd = _of_texts(row) if row.is_text else None
    odd = odd or of_item(row, kind)
    if odd:
        return odd
    if not isinstance(row, Row):
        return None
    for column, texts in (("comment", [row.comment]), ("reasons", row.reasons)):
        if not all(can_be_stored(text) for text in texts):
            return column, "has a zero byte or half a character"
    if len(row.comment) > labels.LONGEST_COMMENT:
        return "comment", f"has more than {labels.LONGEST_COMMENT:,} characters"
    if len(row.reasons) > 20 or any(len(reason) > 200 for reason in row.reasons):
        return "reasons", "are more than 20, or one has more than 200 characters"
    if len(row.id) > labels.LONGEST_ID or not row.id.isprintable():
        return (
            "id",
            f"has more than {labels.LONGEST_ID} characters, or one that cannot be shown",
        )
    if not can_be_stored(str(row.answers)) or len(str(row.answers)) > 100_000:
        return "answers", "are too long, or hold a zero byte or half a character"
    odd = of_answers(row, kind)
    if odd:
        return odd
    fault = users.fault_of(row.annotator or somebody)
    return ("annotator", fault) if fault else None


def _of_texts(row: PairRow) -> Fault | None:
    """What is wrong with two texts."""
    for column, text in (("text_a", row.text_a), ("text_b", row.text_b)):
        if not can_be_stored(text):
            return column, "has a zero byte or half a character"
        if len(text) > LONGEST_TEXT:
            return column, f"has more than {LONGEST_TEXT:,} characters"
    return ("text_b", "is the same text as text_a") if row.text_a == row.text_b else None


def of_item(row: PairRow, kind: str) -> Fault | None:
    """Where a row is about something else than a study of that kind, or the queue, shows."""
    if row.is_text and kind != "texts":
        return "text_a", "is a text, which needs a study of two texts: send it with the study's id"
    if kind == "texts":
        return None if row.is_text else ("text_a", "is missing; this study is about two texts")
    if isinstance(row, Row):
        return None  # its answer tells more of what is wrong
    number = 1 if row.is_single else 2 + len(row.more)
    if number != NUM_SAMPLES[kind]:
        return "image_a", f"and the others are {number}, not {NUM_SAMPLES[kind]} pictures"
    return None


def of_answers(row: Row, kind: str) -> Fault | None:
    """Where a row says what a study of that kind, or the queue, does not ask."""
    allowed = {"single": (RATED, "skip"), "best_worst": (RANKED, "skip")}.get(kind, PREFERRED)
    if row.preferred not in allowed:
        is_misplaced = kind not in ("single", "best_worst") and row.preferred not in PREFERRED
        asked = " or ".join(allowed)
        return (
            "preferred",
            f"is '{row.preferred}', not {asked}, which needs a study that asks for it: send it "
            "with the study's id"
            if is_misplaced
            else f"is '{row.preferred}', not {asked}",
        )
    if kind == "images" and row.is_single:
        return "image_b", "is the same picture as image_a"
    if kind == "texts":
        return None
    if len(row.images) != NUM_SAMPLES[kind]:
        return "image_a", f"and the others are {len(row.images)}, not {NUM_SAMPLES[kind]} pictures"
    if kind in ("single", "best_worst"):
        try:
            answers = Answers.read(row.answers)
            check(kind, StudyConfig(checklist=list(answers.checklist)), row.preferred, answers)
        except InputError as error:
            return "answers", str(error).removesuffix(".")
    return None


def can_be_stored(text: str) -> bool:
    """Whether both databases take a text: no zero byte, no half of a character."""
    try:
        return b"\x00" not in text.encode("utf-8")
    except UnicodeEncodeError:
        return False
