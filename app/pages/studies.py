"""Studies: what is judged, by whom and how often; a new one from two checkpoints."""

from __future__ import annotations

from app.shell import page

TITLE = "Studies"
PATH = "/studies"
ORDER = 12
ICON = "stack"


def build() -> None:
    """Draw the frame; static/js/studies.js does the rest."""
    page(TITLE, PATH, "studies")
