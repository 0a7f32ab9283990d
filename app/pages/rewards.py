"""Rewards: what scores pictures, how far each agrees with people, and training a new one."""

from __future__ import annotations

from app.shell import page

TITLE = "Rewards"
PATH = "/rewards"
ORDER = 21
ICON = "sliders"


def build() -> None:
    """Draw the frame; static/js/rewards.js does the rest."""
    page(TITLE, PATH, "rewards")
