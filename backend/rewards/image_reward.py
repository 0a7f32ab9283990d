"""ImageReward: what people ranked higher, by a BLIP whose prompt looks at the picture.

    (w · h + b − .16717) / 1.03334        h the state of the prompt's first token

The published head is five linear layers without an activation, folded to one vector here. The
prompt is cut at 35 tokens, and the edges of wide pictures are never seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from pydantic import Field

from backend.config import Config as Settings
from backend.errors import RewardError
from backend.rewards import _blip, _clip, _hub
from backend.rewards._folding import folded
from backend.rewards._recall import recalled
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Scores, Shape

TITLE = "ImageReward"
SUMMARY = "What people ranked higher, by a BLIP that learned it. Compare inside one prompt."
SOURCE = "Xu et al. 2023, ImageReward (arXiv 2304.05977)"
RANGE = (None, None)
TRAITS = Traits(latency=1, comparable=False, reads_text=True, weights="safetensors")

MEAN: Final = 0.16717362830052426
STD: Final = 1.0333394966054072
"""Of its values on the pictures it was made with; published with the model."""


class Config(Settings):
    """Which weights."""

    model: str = Field(default=_hub.IMAGE_REWARD, title="Model")
    """The checkpoint: a hub id that has been fetched, or a folder with safetensors."""
    tokenizer: str = Field(default=_hub.BERT, title="Tokeniser")
    """Where its tokeniser is, which is that of the BERT it began from."""


class ImageReward:
    """One value per picture, usually −2.3 to 2; part `cut`: share of the prompt not read."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config) -> None:
        self.blip = _blip.share(config.model, config.tokenizer)
        self.vector, self.bias = folded(self.blip.head)
        width = int(self.blip.text.config.hidden_size)
        if len(self.vector) != width:
            raise RewardError(
                f"The head of '{config.model}' takes {len(self.vector)} numbers and its text "
                f"encoder gives {width}; give another file."
            )

    @recalled
    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """The folded head on the prompt's state, in the unit of the published scores."""
        raw = self.blip.first(images, prompts).astype(np.float64) @ self.vector + self.bias
        return Scores.of((raw - MEAN) / STD, {"cut": self.blip.cut(prompts)})


def fingerprint(config: Config) -> str:
    """Which weights and whose tokens."""
    return _clip.fingerprint(config.model, config.tokenizer)


def load(config: Config, files: Files | None = None) -> ImageReward:
    """The encoders, shared with others that use them."""
    return ImageReward(config)
