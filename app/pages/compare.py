"""Compare: the tuned model against its base, blind."""

from __future__ import annotations

from app.shell import page

TITLE = "Compare"
PATH = "/compare"
ORDER = 30
ICON = "compare"


def build() -> None:
    """Draw the frame; static/js/compare.js does the rest."""
    page(TITLE, PATH, "compare")
