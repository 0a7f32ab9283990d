"""Reward lab: what rewards say of a set of pictures, before a run trains on them."""

from __future__ import annotations

from app.shell import page

TITLE = "Reward lab"
PATH = "/rewards/lab"


def build() -> None:
    """Draw the frame; static/js/reward_lab.js does the rest."""
    page(TITLE, PATH, "reward_lab", crumbs=(("Rewards", "/rewards"),))
