"""Import rollouts: what another trainer drew and logged, as a run to look into."""

from __future__ import annotations

from app.shell import page

TITLE = "Import rollouts"
PATH = "/runs/import"


def build() -> None:
    """Draw the frame; static/js/import_rollouts.js does the rest."""
    page(TITLE, PATH, "import_rollouts", crumbs=(("Runs", "/runs"),))
