"""VQAScore: how likely a vision-language model begins its answer with Yes.

    P("Yes" | picture, does it show the prompt?)        softmax over the whole vocabulary

Most values are near 0 or 1. The probability of No is the part `no`; what is missing to 1 is said
otherwise. The question is a setting, and another question is another reward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from pydantic import Field

from backend.config import Config as Settings
from backend.errors import ConfigError
from backend.rewards import _hub, _qwen
from backend.rewards._recall import recalled
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Scores, Shape

TITLE = "VQAScore"
SUMMARY = "How likely a vision-language model says Yes when asked whether the picture shows it."
SOURCE = "Lin et al. 2024, VQAScore (arXiv 2404.01291)"
RANGE = (0.0, 1.0)
TRAITS = Traits(latency=4, reads_text=True, weights="safetensors")

QUESTION: Final = 'Is "{prompt}" what this picture shows? Answer with Yes or No.'


class Config(Settings):
    """Which model, and what it is asked."""

    model: str = Field(default=_hub.QWEN3_VL, title="Model")
    """A checkpoint of Qwen's vision-language families: a fetched hub id, or a folder."""
    question: str = Field(default=QUESTION, title="Question")
    """What it is asked, with {prompt} in it; the paper's own sentence gives the paper's numbers."""
    most_pixels: int = Field(default=_qwen.MOST_PIXELS, ge=3136, title="Most pixels")
    """Larger pictures are made smaller, their shape kept."""


class VqaScore:
    """One value per picture, 0 to 1; part `no`: how likely it says No."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config) -> None:
        self.vlm, self.question = _qwen.share(config.model, config.most_pixels), config.question
        self.yes, self.no = self.vlm.word("Yes"), self.vlm.word("No")

    @recalled
    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """The chance of Yes as the first word."""
        said = [
            self.vlm.first(image, self.question.replace("{prompt}", _qwen.plain(prompt)))
            for image, prompt in zip(images, prompts, strict=True)
        ]
        chances = np.array([[row[self.yes], row[self.no]] for row in said])
        return Scores.of(chances[:, 0], {"no": chances[:, 1]})


def fingerprint(config: Config) -> str:
    """Which weights."""
    return _hub.fingerprint(config.model)


def load(config: Config, files: Files | None = None) -> VqaScore:
    """The model, shared with others that ask it."""
    if "{prompt}" not in config.question:
        raise ConfigError(
            "The question has no {prompt} in it; say where it stands.", field="question"
        )
    return VqaScore(config)
