"""Run: is it learning what we want? One step drives charts, samples and rollouts."""

from __future__ import annotations

from app.shell import page

TITLE = "Run"
PATH = "/runs/{run_id:int}"


def build() -> None:
    """Draw the frame; static/js/run.js does the rest."""
    page(TITLE, PATH, "run", crumbs=(("Runs", "/runs"),))
