"""Prompts: the sets, adding to them, and having pairs drawn from them."""

from __future__ import annotations

from app.shell import page

TITLE = "Prompts"
PATH = "/prompts"
ORDER = 12
ICON = "stack"


def build() -> None:
    """Draw the frame; static/js/prompts.js does the rest."""
    page(TITLE, PATH, "prompts")
