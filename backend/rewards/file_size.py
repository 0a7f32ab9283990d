"""Size of the picture as a JPEG file: rewards detail, or its absence, and is hacked by noise."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Literal

from pydantic import Field

from backend.config import Config as Settings
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Scores, Shape

TITLE = "File size"
SUMMARY = "Kilobytes of the picture as a JPEG. Hacked by noise (large) or an empty ground (small)."
SOURCE = "Black et al. 2023, Training Diffusion Models with RL (arXiv 2305.13301)"
RANGE = (None, None)
TRAITS = Traits()
STATISTIC = True  # more is not better, so a fall while it is only watched is no warning


class Config(Settings):
    """How the picture is packed, and which way is up."""

    prefer: Literal["large", "small"] = Field(default="large", title="Prefer")
    """Reward pictures that are hard to compress, or easy ones."""
    quality: int = Field(default=90, ge=1, le=95, title="JPEG quality")
    """Quality setting of the JPEG encoder; part of the reward's meaning."""


class FileSize:
    """Kilobytes (1,000 bytes); their negative when small files are preferred."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config) -> None:
        self.sign, self.quality = (1.0 if config.prefer == "large" else -1.0), config.quality

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """One value per picture; the prompt plays no part."""
        from PIL import Image

        sizes = []
        for image in images:
            packed = BytesIO()
            Image.fromarray(image).save(packed, format="JPEG", quality=self.quality, subsampling=0)
            sizes.append(self.sign * packed.tell() / 1000)
        return Scores.of(sizes)


def load(config: Config, files: Files | None = None) -> FileSize:
    """Nothing to load."""
    return FileSize(config)
