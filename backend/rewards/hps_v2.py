"""HPS v2.1: human preference score, a CLIP ViT-H/14 trained on rankings of pictures.

    cos(picture, prompt)        without the logit scale; tables print it times 100

The whole picture is seen: its longest side becomes 224 and the rest is black. Values of v2 and v2.1
do not compare, and its authors compare inside one prompt only.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from backend.config import Config as Settings
from backend.rewards import _clip, _hub
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Scores, Shape

TITLE = "HPS v2.1"
SUMMARY = "What people prefer, by a CLIP that learned it. Bought with gloss and saturation."
SOURCE = "Wu et al. 2023, Human Preference Score v2 (arXiv 2306.09341)"
RANGE = (-1.0, 1.0)
TRAITS = Traits(latency=1, comparable=False, reads_text=True, weights="safetensors")


class Config(Settings):
    """Which weights."""

    model: str = Field(default=_hub.HPS, title="Model")
    """The checkpoint in the layout of transformers: a fetched hub id, or a folder."""
    tokenizer: str = Field(default=_hub.CLIP_H, title="Tokeniser")
    """Where its tokeniser is, which is that of the CLIP it began from."""


class HpsV2:
    """One value per picture, usually .20 to .36; part `cut`: share of the prompt not read."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config) -> None:
        self.eye = _clip.share(config.model, "pad", config.tokenizer)

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """Cosine of the padded picture and its prompt."""
        return Scores.of(self.eye.cosine(images, prompts), {"cut": self.eye.cut(prompts)})


def fingerprint(config: Config) -> str:
    """Which weights and whose tokens."""
    return _clip.fingerprint(config.model, config.tokenizer)


def load(config: Config, files: Files | None = None) -> HpsV2:
    """The encoder, shared with others that use it."""
    return HpsV2(config)
