"""What is shown of a page that is not for whoever asks."""

from __future__ import annotations

from app.shell import FORBIDDEN, page

TITLE = "Not for you"
PATH = FORBIDDEN


def build() -> None:
    """Draw the frame; static/js/closed.js says for whom it is."""
    page(TITLE, PATH, "closed")
