"""Label: judge pairs of pictures, one key each."""

from __future__ import annotations

from app.shell import page

TITLE = "Label"
PATH = "/label"
ORDER = 11
ICON = "label"


def build() -> None:
    """Draw the frame; static/js/label.js does the rest."""
    page(TITLE, PATH, "label", props={"pulse": False})
