"""Today: one screen that says what to do next."""

from __future__ import annotations

from app.shell import page

TITLE = "Today"
PATH = "/"
ORDER = 10
ICON = "home"


def build() -> None:
    """Draw the frame; static/js/today.js does the rest."""
    page(TITLE, PATH, "today")
