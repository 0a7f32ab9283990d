"""Workers: who works, on what, and what waits."""

from __future__ import annotations

from app.shell import page

TITLE = "Workers"
PATH = "/workers"
ORDER = 90
ICON = "plug"


def build() -> None:
    """Draw the frame; static/js/workers.js does the rest."""
    page(TITLE, PATH, "workers")
