"""Recipes: a whole run each, as TOML. The comment at the top of a file says what to expect of it.

That comment has lines "key: text": title, source (the paper), hardware, cost and reward, which the
cards on the New run page show, beside what its method is for and when to avoid it. `load("g2rpo")`
finds `pocket-g2rpo.toml`: the pocket model is the default.
"""

from __future__ import annotations

import difflib
import tomllib
from functools import cache
from pathlib import Path
from typing import TypedDict

from backend.errors import ConfigError
from backend.registry import methods
from backend.rl.recipe import RunConfig

FOLDER = Path(__file__).parent
_SHORT = "pocket-"


class Card(TypedDict):
    """A recipe in a few words."""

    name: str
    title: str
    summary: str
    avoid: str
    """When not to use its method."""
    source: str
    hardware: str
    cost: str
    reward: str


def names() -> list[str]:
    """All recipes, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def full_name(name: str) -> str:
    """The file name behind `name`, which may leave out "pocket-"; ConfigError if there is none."""
    for candidate in (name, f"{_SHORT}{name}"):
        if candidate in names():
            return candidate
    near = difflib.get_close_matches(name, names(), n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names())}."
    raise ConfigError(f"There is no recipe '{name}'; {hint}", field="recipe")


@cache
def load(name: str) -> RunConfig:
    """The run that a recipe describes, every default written out."""
    name = full_name(name)
    data = tomllib.loads(_text(name))
    return RunConfig.read({"recipe": name, **data})


def card(name: str) -> Card:
    """What the head of a recipe's file says of it; the summary is its method's."""
    name = full_name(name)
    facts: dict[str, str] = {}
    for line in _text(name).splitlines():
        if not line.startswith("# "):
            break
        key, _, text = line[2:].partition(": ")
        facts[key] = text.strip()
    method = methods.get(load(name).method.name)
    return Card(
        name=name,
        title=facts["title"],
        summary=method.SUMMARY,
        avoid=method.AVOID,
        source=facts["source"],
        hardware=facts["hardware"],
        cost=facts["cost"],
        reward=facts["reward"],
    )


def _text(name: str) -> str:
    return (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
