"""New run: from a recipe to a running job, with no file to write and no surprise."""

from __future__ import annotations

from app.shell import page

TITLE = "New run"
PATH = "/runs/new"


def build() -> None:
    """Draw the frame; static/js/new_run.js does the rest."""
    page(TITLE, PATH, "new_run", crumbs=(("Runs", "/runs"),))
