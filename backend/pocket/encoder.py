"""The pocket encoder: what stands in a picture, and pictures and prompts in one space.

A frozen feature extractor for the reward that is learned from people. One small network looks at a
picture; for each of the seven colours it gathers the places where that colour stands and reads off

    count   none, one, two, three, more        shape   one of five, or none of them
    size    large or small                     place   mean x and y

and, for the whole, the background. `read` holds these facts against a prompt and says how sure the
picture is of each kind of its words. It was taught by scenes whose facts the renderer knows
(`flawed`), not by the verifier, which stays a judge of its own.

The same features give a picture's vector of 96 dimensions, near the prompts that describe it, as in
CLIP; words are embedded by their place in the sentence.

Shapes: B pictures, C = 7 colours, 16 × 16 and 8 × 8 places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from backend.errors import InputError, PolicyError
from backend.pocket import ENCODER_PATH, world
from backend.pocket.models import vocabulary

DIMENSIONS: Final = 96
WIDTH: Final = 128
COLOURS: Final = len(world.COLOURS)
COUNTS: Final = 5
SHAPES: Final = len(world.SHAPES) + 1
GROUNDS: Final = len(world.BACKGROUNDS)
_READ: Final = COUNTS + SHAPES + 1 + 2
"""Numbers read off for a colour: counts, shapes, large, place."""
_FINER: Final = SHAPES + 2
"""Read off once more, by a reader that is taught with all else standing still: shapes, large,
area."""
AREA: Final = 100.0
"""Pixels in which areas are told."""
_WORDS: Final = {word: i + 1 for i, word in enumerate(vocabulary())}
NUM_WORDS: Final = len(_WORDS) + 1


@dataclass
class Sight:
    """What the network says of pictures, before it is held against a prompt."""

    count: Tensor
    """(B, C, 5) logits."""
    shape: Tensor
    """(B, C, 6) logits."""
    large: Tensor
    """(B, C) logits."""
    place: Tensor
    """(B, C, 2) x and y, −1 to 1."""
    area: Tensor
    """(B, C) in hundreds of pixels; may come out a little below 0."""
    background: Tensor
    """(B, 7) logits."""
    vector: Tensor
    """(B, 96), each row of length 1."""
    first: Tensor
    """(B, C, 14) what the first reader says: counts, shapes, large, place."""


class _Block(nn.Module):
    """Two convolutions around which the signal also passes unchanged."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        inside: Tensor = self.second(F.silu(self.first(F.silu(x))))
        return x + inside


class PocketEncoder(nn.Module):
    """Pictures to facts and vectors, prompts to vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 32, 5, stride=2, padding=2), nn.SiLU(),
            nn.Conv2d(32, 64, 4, stride=2, padding=1), _Block(64), nn.SiLU(),
            nn.Conv2d(64, WIDTH, 4, stride=2, padding=1), _Block(WIDTH), _Block(WIDTH), nn.SiLU(),
        )  # fmt: skip
        self.gate = nn.Conv2d(WIDTH, COLOURS, 1)
        self.facts = nn.Sequential(nn.Linear(2 * WIDTH + 3, 192), nn.SiLU(), nn.Linear(192, _READ))
        self.finer = nn.Sequential(nn.Linear(2 * WIDTH + 3, 192), nn.SiLU(), nn.Linear(192, _FINER))
        self.ground = nn.Linear(WIDTH, GROUNDS)
        self.head = nn.Sequential(
            nn.Linear(COLOURS * _READ + GROUNDS + WIDTH, 384), nn.SiLU(), nn.Linear(384, DIMENSIONS)
        )
        self.words = nn.Embedding(NUM_WORDS * world.MAX_WORDS, 256)
        self.prompt_head = nn.Sequential(
            nn.LayerNorm(256), nn.Linear(256, 384), nn.SiLU(), nn.Linear(384, 384), nn.SiLU(),
            nn.Linear(384, DIMENSIONS),
        )  # fmt: skip
        self.log_scale = nn.Parameter(torch.tensor(2.3))
        for part in self.trunk.modules():
            if isinstance(part, nn.Conv2d) and part.weight.any():  # a block's second starts at 0
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")

    def look(self, pictures: Tensor) -> Sight:
        """(B, 64, 64, 3) in [0, 255] → what is seen, with gradient."""
        mine, middle, whole = self.gathered(pictures)
        read = self.facts(mine)
        count, _, _, place = read.split([COUNTS, SHAPES, 1, 2], 2)
        shape, large, area = self.finer(mine).split([SHAPES, 1, 1], 2)
        background = self.ground(whole)
        told = torch.cat([read.flatten(1), background, whole], 1)
        vector = F.normalize(self.head(told), dim=-1)
        return Sight(
            count, shape, large[..., 0], place + middle, area[..., 0], background, vector, read
        )

    def gathered(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 64, 64, 3) in [0, 255] → what stands at each colour's places (B, C, 259), their
        middle (B, C, 2), and the whole (B, 128)."""
        grid = self.grid(pictures)
        gates = torch.sigmoid(self.gate(grid)).flatten(2)
        flat = grid.flatten(2)
        total = gates.sum(2, keepdim=True)
        summed = gates @ flat.mT
        axis = torch.linspace(-1 + 1 / 8, 1 - 1 / 8, 8, device=grid.device)
        places = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(-1, 2)
        middle = gates @ places.to(gates.dtype) / (total + 0.1)
        mine = torch.cat([summed / 4, summed / (total + 0.1), total / 8, middle], 2)
        return mine, middle, flat.mean(2)

    def grid(self, pictures: Tensor) -> Tensor:
        """(B, 64, 64, 3) in [0, 255] → (B, 128, 8, 8), with gradient."""
        features: Tensor = self.trunk(_signal(pictures))
        return features

    def read_words(self, ids: Tensor) -> Tensor:
        """Word-at-place ids (B, 14) → (B, 96), with gradient."""
        return F.normalize(self.prompt_head(self.words(ids).sum(1)), dim=-1)

    def image(self, pictures: NDArray[np.uint8]) -> Tensor:
        """Pictures (B, 64, 64, 3) uint8 → (B, 96), each row of length 1."""
        return self.sight(pictures).vector

    def sight(self, pictures: NDArray[np.uint8]) -> Sight:
        """What is seen in pictures (B, 64, 64, 3) uint8."""
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            parts = [vars(self.look(chunk)) for chunk in _chunks(pictures)]
        whole = {name: torch.cat([part[name] for part in parts]).float() for name in parts[0]}
        return Sight(**{**whole, "vector": F.normalize(whole["vector"], dim=-1)})

    def places(self, pictures: NDArray[np.uint8]) -> Tensor:
        """Pictures (B, 64, 64, 3) uint8 → (B, 16, 224), what it sees at 4×4 places: the last
        layer, and the two before, which still know of colour and sharpness."""
        found = []
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            for chunk in _chunks(pictures):
                first = self.trunk[:2](_signal(chunk))
                second = self.trunk[2:5](first)
                layers = (self.trunk[5:](second), second, first)
                pooled = [F.normalize(F.adaptive_avg_pool2d(x.float(), 4), dim=1) for x in layers]
                found.append(torch.cat(pooled, 1).flatten(2).mT)
        return torch.cat(found)

    def text(self, prompts: list[str]) -> Tensor:
        """Prompts → (B, 96), each row of length 1. Words it does not know count as blanks."""
        with torch.inference_mode():
            return self.read_words(word_ids(prompts))


def load(path: Path = ENCODER_PATH) -> PocketEncoder:
    """The trained encoder, frozen. Raises PolicyError if its weights are not there."""
    if not path.is_file():
        raise PolicyError(
            f"The pocket encoder's weights are missing at {path}; restore them from the repository "
            f"or run `python -m backend.pocket.train --stage encoder`."
        )
    encoder = PocketEncoder()
    encoder.load_state_dict({name: w.float() for name, w in load_file(path).items()})
    return encoder.eval().requires_grad_(False)


def word_ids(prompts: Sequence[str]) -> Tensor:
    """Each word with its place as one id; (B, 14), blanks at the end."""
    ids = np.zeros((len(prompts), world.MAX_WORDS), dtype=np.int64)
    for row, prompt in enumerate(prompts):
        for place, word in enumerate(prompt.lower().split()[: world.MAX_WORDS]):
            ids[row, place] = _WORDS.get(word, 0)
    return placed(torch.from_numpy(ids))


def placed(ids: Tensor) -> Tensor:
    """Ids of words in order (B, 14) → ids of words at their places."""
    return ids + torch.arange(world.MAX_WORDS, device=ids.device) * NUM_WORDS


def word_id(word: str) -> int:
    """The id of a word of the language."""
    return _WORDS[word]


def _signal(pictures: Tensor) -> Tensor:
    return pictures.float().permute(0, 3, 1, 2) / 127.5 - 1


def _chunks(pictures: NDArray[np.uint8], size: int = 128) -> Iterator[Tensor]:
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[1:] != (64, 64, 3):
        raise InputError(
            f"The pocket encoder got {pictures.dtype} pictures of shape {pictures.shape}; "
            f"it reads 8-bit pictures of shape (B, 64, 64, 3)."
        )
    for at in range(0, max(len(pictures), 1), size):
        yield torch.from_numpy(np.ascontiguousarray(pictures[at : at + size]))
