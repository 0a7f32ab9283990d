"""VQAScore: how likely a vision-language model begins its answer with Yes.

    P("Yes" | picture, does it show the prompt?)        softmax over the whole vocabulary

Most values are near 0 or 1. The probability of No is the part `no`; what is missing to 1 is said
otherwise. The question is a setting, and another question is another reward. The authors' own
CLIP-FlanT5 has a layout of its own (`_clip_t5`) and, as they have it, the geometric mean of the
chances of "Yes" and of ending there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from pydantic import Field

from backend.config import Config as Settings
from backend.errors import ConfigError
from backend.rewards import _clip_t5, _hub, _qwen
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
    """A checkpoint of Qwen's vision-language families, or a CLIP-FlanT5: a fetched hub id, or a
    folder."""
    question: str = Field(default=QUESTION, title="Question")
    """What it is asked, with {prompt} in it; the paper's own sentence gives the paper's numbers."""
    most_pixels: int = Field(default=_qwen.MOST_PIXELS, ge=3136, title="Most pixels")
    """Larger pictures are made smaller, their shape kept."""
    tower: str = Field(default="", title="Tower")
    """Of a CLIP-FlanT5: the CLIP it sees by; empty takes the one that its configuration names."""
    tokenizer: str = Field(default="", title="Tokeniser")
    """Of a CLIP-FlanT5: where its tokeniser is; empty takes its own, or Flan-T5's."""


class VqaScore:
    """One value per picture, 0 to 1; part `no`: how likely it says No."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config) -> None:
        self.chances = _flan(config) if _clip_t5.described(config.model) else _qwens(config)

    @recalled
    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """The chance of Yes."""
        pairs = zip(images, prompts, strict=True)
        chances = np.array([self.chances(image, prompt) for image, prompt in pairs])
        return Scores.of(chances[:, 0], {"no": chances[:, 1]})


Chances = Callable[[_qwen.Picture, str], Sequence[float]]
"""A picture and its prompt to the chances of Yes and of No."""


def _qwens(config: Config) -> Chances:
    vlm = _qwen.share(config.model, config.most_pixels)
    yes, no = vlm.word("Yes"), vlm.word("No")

    def chances(image: _qwen.Picture, prompt: str) -> Sequence[float]:
        said = vlm.first(image, config.question.replace("{prompt}", _qwen.plain(prompt)))
        return float(said[yes]), float(said[no])

    return chances


def _flan(config: Config) -> Chances:
    asked = _clip_t5.share(config.model, config.tower, config.tokenizer)
    question = _clip_t5.framed(config.question)

    def chances(image: _qwen.Picture, prompt: str) -> Sequence[float]:
        text = question.replace("{prompt}", _clip_t5.plain(prompt))
        return asked.chance(image, text, ("Yes", "No"))

    return chances


def fingerprint(config: Config) -> str:
    """Which weights."""
    own = _clip_t5.fingerprint(config.model, config.tower, config.tokenizer)
    return _hub.fingerprint(config.model) + own


def load(config: Config, files: Files | None = None) -> VqaScore:
    """The model, shared with others that ask it."""
    if "{prompt}" not in config.question:
        raise ConfigError(
            "The question has no {prompt} in it; say where it stands.", field="question"
        )
    if config.question.count(_clip_t5.IMAGE) > 1:
        raise ConfigError("The question shows the picture twice; once is enough.", field="question")
    return VqaScore(config)
