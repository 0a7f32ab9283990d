"""Runs side by side: curves over each other, the same prompts, and which settings differ."""

from __future__ import annotations

from app.shell import page

TITLE = "Compare runs"
PATH = "/runs/compare"


def build() -> None:
    """Draw the frame; static/js/runs_compare.js does the rest."""
    page(TITLE, PATH, "runs_compare", crumbs=(("Runs", "/runs"),))
