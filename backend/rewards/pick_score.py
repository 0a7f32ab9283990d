"""PickScore: a CLIP ViT-H/14 trained on which of two pictures people picked.

    exp(logit_scale) · cos(picture, prompt)

The prompt is cut at 77 tokens. Flow-GRPO and Flow-Factory divide by 26, which is no part of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from backend.config import Config as Settings
from backend.rewards import _clip, _hub
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Scores, Shape

TITLE = "PickScore"
SUMMARY = "What people picked, by a CLIP that learned it. Compare inside one prompt."
SOURCE = "Kirstain et al. 2023, Pick-a-Pic (arXiv 2305.01569)"
RANGE = (-100.0, 100.0)
TRAITS = Traits(latency=1, comparable=False, reads_text=True, licence="MIT", weights="safetensors")


class Config(Settings):
    """Which weights, and in which unit."""

    model: str = Field(default=_hub.PICKSCORE, title="Model")
    """The checkpoint: a hub id that has been fetched, or a folder with safetensors."""
    tokenizer: str = Field(default=_hub.CLIP_H, title="Tokeniser")
    """Where its tokeniser is, which is that of the CLIP it began from."""
    divide_by: float = Field(default=1.0, gt=0, title="Divide by")
    """26 gives the numbers of Flow-GRPO, about 0 to 1."""


class PickScore:
    """One value per picture, usually 17 to 24; part `cut`: share of the prompt not read."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config) -> None:
        self.eye = _clip.share(config.model, "crop", config.tokenizer)
        self.divide_by = config.divide_by

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """exp(logit_scale) · cos, over the chosen unit."""
        value = self.eye.scale * self.eye.cosine(images, prompts) / self.divide_by
        return Scores.of(value, {"cut": self.eye.cut(prompts)})


def fingerprint(config: Config) -> str:
    """Which weights and whose tokens."""
    return _clip.fingerprint(config.model, config.tokenizer)


def load(config: Config, files: Files | None = None) -> PickScore:
    """The encoder, shared with others that use it."""
    return PickScore(config)
