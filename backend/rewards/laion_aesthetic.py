"""LAION's aesthetic predictor v2: how pictures of this kind were rated, 1 to 10, prompt aside.

    w · x + b        x the unit embedding of CLIP ViT-L/14

The published head is five linear layers without an activation between them, which is one linear
map: they are folded to one vector here, in float64. The dropout between them is off when it scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from backend.config import Config as Settings
from backend.errors import RewardError
from backend.rewards import _clip, _hub
from backend.rewards._folding import folded
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Scores, Shape

TITLE = "LAION aesthetic v2"
SUMMARY = "How such pictures were rated, whatever was asked for. Finds one style and keeps to it."
SOURCE = "christophschuhmann/improved-aesthetic-predictor (sac+logos+ava1-l14-linearMSE)"
RANGE = (0.0, 10.0)
TRAITS = Traits(latency=1, licence="MIT", weights="safetensors")


class Config(Settings):
    """Which encoder and which head."""

    model: str = Field(default=_hub.CLIP_L, title="Encoder")
    """The CLIP that the head was trained on: a fetched hub id, or a folder with safetensors."""
    head: str = Field(default=_hub.LAION, title="Head")
    """The linear layers as safetensors: a fetched hub id, or a folder."""


class LaionAesthetic:
    """One value per picture, usually 4 to 7.5."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config) -> None:
        self.eye = _clip.share(config.model)
        layers = {name: t.double().numpy() for name, t in _hub.tensors(config.head).items()}
        self.vector, self.bias = folded(layers)
        width = int(self.eye.model.config.projection_dim)
        if len(self.vector) != width:
            raise RewardError(
                f"The head '{config.head}' takes embeddings of {len(self.vector)} numbers and "
                f"'{config.model}' gives {width}; choose the CLIP that the head was trained on."
            )

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """The folded head on the picture's embedding; the prompt plays no part."""
        return Scores.of(self.eye.image(images).astype(np.float64) @ self.vector + self.bias)


def fingerprint(config: Config) -> str:
    """Which weights, of the encoder and of the head."""
    return _hub.fingerprint(config.model) + _hub.fingerprint(config.head)


def load(config: Config, files: Files | None = None) -> LaionAesthetic:
    """The encoder, shared with others that use it, and the head."""
    return LaionAesthetic(config)
