"""Runs: what learns now, what waits, what has ended, and how it went."""

from __future__ import annotations

from app.shell import page

TITLE = "Runs"
PATH = "/runs"
ORDER = 20
ICON = "runs"


def build() -> None:
    """Draw the frame; static/js/runs.js does the rest."""
    page(TITLE, PATH, "runs")
