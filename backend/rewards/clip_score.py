"""CLIPScore: does the picture look like its prompt, to an encoder of pictures and captions.

    cosine   cos(picture, prompt)          as Flow-Factory has it
    paper    2.5 · max(cos, 0)             as the paper has it

It likes prompt words painted into the picture, and never sees the edges of wide ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from backend.config import Config as Settings
from backend.rewards import _clip, _hub
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Scores, Shape

TITLE = "CLIPScore"
SUMMARY = "Likeness of picture and prompt by CLIP. Words painted into the picture raise it."
SOURCE = "Hessel et al. 2021 (arXiv 2104.08718)"
RANGE = (-1.0, 2.5)
TRAITS = Traits(latency=1, comparable=False, reads_text=True, licence="MIT", weights="safetensors")


class Config(Settings):
    """Which CLIP, and which of the two formulas."""

    model: str = Field(default=_hub.CLIP_L, title="Model")
    """A CLIP checkpoint: a hub id that has been fetched, or a folder with safetensors."""
    formula: Literal["cosine", "paper"] = Field(default="cosine", title="Formula")
    """The plain cosine, or 2.5 · max(cosine, 0)."""


class ClipScore:
    """One value per picture; part `cut`: share of the prompt that is not read."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config) -> None:
        self.eye, self.formula = _clip.share(config.model), config.formula

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """Cosine of picture and prompt, by the chosen formula."""
        cosine = self.eye.cosine(images, prompts)
        value = 2.5 * np.maximum(cosine, 0) if self.formula == "paper" else cosine
        return Scores.of(value, {"cut": self.eye.cut(prompts)})


def fingerprint(config: Config) -> str:
    """Which weights."""
    return _hub.fingerprint(config.model)


def load(config: Config, files: Files | None = None) -> ClipScore:
    """The encoder, shared with others that use it."""
    return ClipScore(config)
