"""People: who may come in and what they may, keys of programs, the audit trail."""

from __future__ import annotations

from app.shell import page

TITLE = "People"
PATH = "/people"
ORDER = 92
ICON = "people"


def build() -> None:
    """Draw the frame; static/js/people.js does the rest."""
    page(TITLE, PATH, "people")
