"""The pocket verifier: does the picture show what the prompt says, checked from pixels alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from backend.config import Config as Settings
from backend.errors import InputError
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Scores, Shape

TITLE = "Pocket verifier"
SUMMARY = "Checks the picture against a prompt of the pocket language, aspect by aspect."
SOURCE = "backend/pocket/verifier.py; rules, nothing learned"
RANGE = (0.0, 1.0)
TRAITS = Traits()

Aspect = Literal[
    "total",
    "present",
    "colour",
    "shape",
    "size",
    "count",
    "relation",
    "background",
    "nothing_extra",
]


class Config(Settings):
    """What of the verifier's judgement becomes the reward."""

    aspect: Aspect = Field(default="total", title="Aspect")
    """The whole judgement, or one aspect of it; the others are reported beside it either way."""


class PocketVerifier:
    """One aspect as the value, all of them as parts. A prompt out of the language is not judged."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config) -> None:
        self.aspect = config.aspect

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """One value per picture, 0 to 1; "n/a" where the prompt is not of the pocket language."""
        from backend.pocket import verifier

        faults = [_fault(prompt) for prompt in prompts]
        known = np.array([not fault for fault in faults], dtype=bool)
        parts = {name: np.full(len(prompts), np.nan) for name in ("total", *verifier.ASPECTS)}
        if known.any():
            readable = [prompt for prompt, fault in zip(prompts, faults, strict=True) if not fault]
            for name, values in verifier.score(images[known], readable).items():
                parts[name][known] = values
        return Scores(
            values=parts[self.aspect].copy(),
            status=["n/a" if fault else "ok" for fault in faults],
            parts=parts,
            reasons=faults,
        )


def _fault(prompt: str) -> str:
    from backend.pocket import world

    try:
        world.parse(prompt)
    except InputError as error:
        return str(error)
    return ""


def load(config: Config, files: Files | None = None) -> PocketVerifier:
    """Nothing to load."""
    return PocketVerifier(config)
