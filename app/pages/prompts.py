"""Prompts: the sets, adding to them, and having pairs drawn from them."""

from __future__ import annotations

from pydantic import Field

from app.forms import form
from app.shell import page
from backend.config import Config

TITLE = "Prompts"
PATH = "/prompts"
ORDER = 13
ICON = "text"


class Drawing(Config):
    """How many pairs are drawn, and how."""

    num_prompts: int = Field(
        100, ge=1, le=100_000, title="Prompts", json_schema_extra={"unit": "of the set"}
    )
    """Taken from the set in order."""
    samples_per_prompt: int = Field(2, ge=2, le=16, title="Pictures of each")
    """Two make one pair; four make two."""
    num_steps: int = Field(10, ge=1, le=100, title="Denoising steps")
    """More steps, finer pictures, more time."""
    seed: int = Field(0, ge=0, title="Seed")
    """The same seed draws the same pictures again."""


class Simulation(Config):
    """Judgements by simulated annotators."""

    annotators: int = Field(3, ge=1, le=50, title="Annotators")
    """Each has a taste, a side it leans to, and makes mistakes."""
    labels: int = Field(200, ge=1, le=100_000, title="Judgements")
    """Over all of them. Stored as simulated, never counted as people's."""


def build() -> None:
    """Draw the frame; static/js/prompts.js does the rest."""
    page(TITLE, PATH, "prompts", props={"drawing": form(Drawing), "simulation": form(Simulation)})
