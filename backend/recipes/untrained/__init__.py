"""Recipes without training: how better pictures are drawn with what there is, as TOML.

Beside a whole run (`backend.recipes`) these are a few numbers: which way, how many pictures of a
prompt at most, on which prompts. The comment at the top of a file has a title, a summary and the
source. What is drawn by whom and who judges it is chosen where the recipe is used.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from backend.config import Config
from backend.errors import ConfigError

FOLDER = Path(__file__).parent


class UntrainedConfig(Config):
    """What is drawn, and how often."""

    way: Literal["best", "refine"] = Field(default="best", title="Way")
    """best: draw N pictures of every prompt and keep the one that the picker likes best; refine: a
    critic says of each picture what to ask for instead, until it finds nothing wanting."""
    rounds: int = Field(default=4, ge=2, le=32, title="Pictures a prompt")
    """N, or how often a prompt is drawn at most while the critic finds something wanting."""
    num_prompts: int = Field(default=256, ge=2, le=10_000, title="Prompts")
    """The first so many of the set."""
    num_steps: int = Field(default=10, ge=1, le=200, title="Denoising steps")
    """Each is one call of the generator, two with guidance."""
    guidance: float = Field(default=1.0, ge=1, le=30, title="Guidance")
    """1: none."""
    seed: int = Field(default=0, ge=0, lt=2**53)
    """Pictures that were drawn with the same seed are not drawn again."""

    @property
    def calls_per_picture(self) -> int:
        """Network evaluations of one picture."""
        return self.num_steps * (1 if self.guidance == 1 else 2)


def names() -> list[str]:
    """All recipes, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


@cache
def load(name: str) -> UntrainedConfig:
    """The settings of a recipe, every default written out; ConfigError if there is none."""
    return UntrainedConfig.read(tomllib.loads(_text(name)))


def cards() -> list[dict[str, Any]]:
    """Every recipe: {name, title, summary, source, settings}."""
    return [{"name": name, **_head(name), "settings": load(name).plain()} for name in names()]


def _head(name: str) -> dict[str, str]:
    lines = (line[2:] for line in _text(name).splitlines() if line.startswith("# "))
    facts = dict(line.split(": ", 1) for line in lines)
    return {key: facts[key].strip() for key in ("title", "summary", "source")}


def _text(name: str) -> str:
    if name not in names():
        raise ConfigError(
            f"There is no recipe '{name}' without training; known: {', '.join(names())}.",
            field="recipe",
        )
    return (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
