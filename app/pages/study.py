"""Study: one question as people see it, its settings, its items, and its data in and out."""

from __future__ import annotations

from app.shell import page

TITLE = "Study"
PATH = "/studies/{study_id:int}"


def build() -> None:
    """Draw the frame; static/js/study.js does the rest."""
    page(TITLE, PATH, "study", crumbs=(("Studies", "/studies"),))
