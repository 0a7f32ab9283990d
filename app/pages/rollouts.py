"""Rollouts: every recorded group with its rewards, and the tree it grew on."""

from __future__ import annotations

from app.shell import page

TITLE = "Rollouts"
PATH = "/runs/{run_id:int}/rollouts"


def build() -> None:
    """Draw the frame; static/js/rollouts.js does the rest."""
    page(TITLE, PATH, "rollouts", crumbs=(("Runs", "/runs"),))
