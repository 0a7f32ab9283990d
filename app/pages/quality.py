"""Quality: how far a study's labels can be trusted, and by whom they are bent."""

from __future__ import annotations

from app.shell import page

TITLE = "Quality"
PATH = "/studies/{study_id:int}/quality"


def build() -> None:
    """Draw the frame; static/js/quality.js does the rest."""
    page(TITLE, PATH, "quality", crumbs=(("Studies", "/studies"),))
