"""You: what you judged, your password, where you are signed in, your keys for programs."""

from __future__ import annotations

from app.shell import page

TITLE = "You"
PATH = "/you"
ORDER = 95
ICON = "person"


def build() -> None:
    """Draw the frame; static/js/you.js does the rest."""
    page(TITLE, PATH, "you")
