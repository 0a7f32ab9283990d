"""The pocket CLIP: one small network for pictures, one for prompts, both into 96 dimensions.

A frozen feature extractor for the preference reward learned from people: a picture lies near the
prompts that describe it. Words are embedded by their place in the sentence, and it was trained
against captions with one word changed, so that it sees binding and place, not only which words
occur.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_model
from torch import Tensor, nn

from backend.errors import InputError, PolicyError
from backend.pocket import ENCODER_PATH, world
from backend.pocket.models import vocabulary

DIMENSIONS: Final = 96
_WORDS: Final = {word: i + 1 for i, word in enumerate(vocabulary())}


class PocketEncoder(nn.Module):
    """Pictures and prompts to unit vectors of 96 dimensions."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, 128)
        layers: list[nn.Module] = []
        for width, wider in pairwise(widths):
            layers += [nn.Conv2d(width, wider, 4, stride=2, padding=1), nn.SiLU()]
        self.convolutions = nn.Sequential(*layers)
        # flattened with its 4×4 places, so that "above" and "left of" can be seen
        self.picture_head = nn.Sequential(
            nn.Linear(128 * 16, 384), nn.SiLU(), nn.Linear(384, DIMENSIONS)
        )
        self.words = nn.Embedding((len(_WORDS) + 1) * world.MAX_WORDS, 256)
        self.prompt_head = nn.Sequential(
            nn.LayerNorm(256), nn.Linear(256, 512), nn.SiLU(), nn.Linear(512, 512), nn.SiLU(),
            nn.Linear(512, DIMENSIONS),
        )  # fmt: skip
        self.log_scale = nn.Parameter(torch.tensor(2.3))

    def image(self, pictures: NDArray[np.uint8]) -> Tensor:
        """Pictures (B, 64, 64, 3) uint8 → (B, 96), each row of length 1."""
        with torch.inference_mode():
            return torch.cat([self.see(chunk) for chunk in _chunks(pictures)])

    def places(self, pictures: NDArray[np.uint8]) -> Tensor:
        """Pictures (B, 64, 64, 3) uint8 → (B, 16, 128), what it sees at 4×4 places."""
        with torch.inference_mode():
            return torch.cat([self.grid(chunk).flatten(2).mT for chunk in _chunks(pictures)])

    def text(self, prompts: list[str]) -> Tensor:
        """Prompts → (B, 96), each row of length 1. Words it does not know count as blanks."""
        with torch.inference_mode():
            return self.read(word_ids(prompts))

    def see(self, pictures: Tensor) -> Tensor:
        """(B, 64, 64, 3) in [0, 255] → (B, 96), with gradient."""
        return F.normalize(self.picture_head(self.grid(pictures).flatten(1)), dim=-1)

    def grid(self, pictures: Tensor) -> Tensor:
        """(B, 64, 64, 3) in [0, 255] → (B, 128, 4, 4), with gradient."""
        signal = pictures.float().permute(0, 3, 1, 2) / 127.5 - 1
        features: Tensor = self.convolutions(signal)
        return features

    def read(self, ids: Tensor) -> Tensor:
        """Word-at-place ids (B, 14) → (B, 96), with gradient."""
        return F.normalize(self.prompt_head(self.words(ids).sum(1)), dim=-1)


def load(path: Path = ENCODER_PATH) -> PocketEncoder:
    """The trained encoder, frozen. Raises PolicyError if its weights are not there."""
    if not path.is_file():
        raise PolicyError(
            f"The pocket encoder's weights are missing at {path}; restore them from the repository "
            f"or run `python -m backend.pocket.train --stage encoder`."
        )
    encoder = PocketEncoder()
    load_model(encoder, path)
    return encoder.eval().requires_grad_(False)


def word_ids(prompts: list[str]) -> Tensor:
    """Each word with its place as one id; (B, 14), blanks at the end."""
    ids = np.zeros((len(prompts), world.MAX_WORDS), dtype=np.int64)
    for row, prompt in enumerate(prompts):
        for place, word in enumerate(prompt.lower().split()[: world.MAX_WORDS]):
            ids[row, place] = _WORDS.get(word, 0)
    places = np.arange(world.MAX_WORDS) * (len(_WORDS) + 1)
    return torch.from_numpy(ids + places)


def _chunks(pictures: NDArray[np.uint8], size: int = 256) -> Iterator[Tensor]:
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[1:] != (64, 64, 3):
        raise InputError(
            f"The pocket encoder got {pictures.dtype} pictures of shape {pictures.shape}; "
            f"it reads 8-bit pictures of shape (B, 64, 64, 3)."
        )
    for at in range(0, max(len(pictures), 1), size):
        yield torch.from_numpy(np.ascontiguousarray(pictures[at : at + size]))
