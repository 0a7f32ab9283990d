"""Leaderboard: which policy is better, and where nobody can say yet."""

from __future__ import annotations

from app.shell import page

TITLE = "Ranks"
PATH = "/leaderboard"
ORDER = 31
ICON = "ranks"


def build() -> None:
    """Draw the frame; static/js/leaderboard.js does the rest."""
    page("Leaderboard", PATH, "leaderboard")
