"""Compare: the tuned model against its base, blind."""

from __future__ import annotations

from pydantic import Field

from app.forms import form
from app.shell import page
from backend.config import Config

TITLE = "Compare"
PATH = "/compare"
ORDER = 30
ICON = "compare"


class Comparing(Config):
    """How much is drawn for one comparison."""

    num_prompts: int = Field(64, ge=1, le=10_000, title="Prompts")
    """Each is drawn twice. 64 tell a 70 % win rate from chance."""
    seed: int = Field(0, ge=0)
    """Base and tuned begin from the same noise."""


def build() -> None:
    """Draw the frame; static/js/compare.js does the rest."""
    page(TITLE, PATH, "compare", props={"settings": form(Comparing)})
