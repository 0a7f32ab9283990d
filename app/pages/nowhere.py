"""What is shown at an address that no page has."""

from __future__ import annotations

from app.shell import NOWHERE, page

TITLE = "Nothing here"
PATH = NOWHERE


def build() -> None:
    """Draw the frame; static/js/nowhere.js says which address it was."""
    page(TITLE, PATH, "nowhere")
