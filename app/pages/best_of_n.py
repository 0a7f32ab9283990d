"""Best of N: what drawing N pictures and keeping the best one gains, and other ways without
training."""

from __future__ import annotations

from pydantic import Field

from app.forms import form
from app.shell import page
from backend.config import Config
from backend.recipes.untrained import UntrainedConfig

TITLE = "Best of N"
PATH = "/best-of-n"


class Drawing(Config):
    """What is drawn to choose from."""

    num_prompts: int = Field(32, ge=1, le=10_000, title="Prompts")
    """The first so many of the set."""
    samples_per_prompt: int = Field(16, ge=2, le=64, title="Pictures a prompt")
    """The curve goes up to this N."""
    num_steps: int = Field(10, ge=1, le=200, title="Denoising steps")
    """Each is one call of the generator."""
    seed: int = Field(0, ge=0)
    """The first pictures under a seed are those of every smaller N."""


def build() -> None:
    """Draw the frame; static/js/best_of_n.js does the rest."""
    props = {"drawing": form(Drawing), "untrained": form(UntrainedConfig)}
    page(TITLE, PATH, "best_of_n", crumbs=[("Compare", "/compare")], props=props)
