"""What a fix of the preflight has made: prompts that a project lacks."""

from __future__ import annotations

from typing import Any

from backend.errors import InputError
from backend.pocket import HELDOUT_PROMPTS_PATH, TRAIN_PROMPTS_PATH
from backend.services import prompts
from backend.services.studio import Studio

POCKET = {
    "prompt_set": ("pocket train", "train", TRAIN_PROMPTS_PATH),
    "heldout_set": ("pocket heldout", "heldout", HELDOUT_PROMPTS_PATH),
}
"""Setting → (name, split, file) of the pocket world's prompts."""
FEWEST = 2
"""Prompts that an evaluation needs."""


def mend(
    studio: Studio, project_id: int, what: str, prompt_set: str = "", heldout_set: str = ""
) -> dict[str, Any]:
    """{changes} of the config, after making what they name.

    `what` is "prompt_set" or "heldout_set" (the pocket world's prompts are imported), or "apart": a
    held-out set of what `heldout_set` does not share with `prompt_set`; of the pocket world's
    held-out prompts where too few are left.
    """
    if what in POCKET:
        name, split, path = POCKET[what]
        made = _named(studio, project_id, name, split, path.read_text("utf-8"))
        return {"changes": {what: made}}
    if what != "apart":
        raise InputError(f"The preflight has no fix '{what}'.")
    trained = {text for _id, text in _texts(studio, project_id, prompt_set)}
    own = [text for _id, text in _texts(studio, project_id, heldout_set) if text not in trained]
    left = own
    if len(own) < FEWEST:
        pocket = HELDOUT_PROMPTS_PATH.read_text("utf-8").splitlines()
        left = [text for text in pocket if text and text not in trained]
    made = _named(studio, project_id, f"{heldout_set} apart", "heldout", "\n".join(left))
    return {"changes": {"heldout_set": made}}


def _texts(studio: Studio, project_id: int, name: str) -> list[tuple[int, str]]:
    return prompts.texts(studio, prompts.named(studio, project_id, name)["id"])


def _named(studio: Studio, project_id: int, name: str, split: str, text: str) -> str:
    """Import a text under that name, or the next that is free."""
    taken = {row["name"] for row in prompts.rows(studio, project_id)}
    free = next(n for n in (name, *(f"{name} {k}" for k in range(2, 1000))) if n not in taken)
    prompts.import_text(studio, project_id, free, split, text)
    return free
