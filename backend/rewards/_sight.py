"""How a picture becomes what an encoder sees: one rule each, in PIL, the same on every machine.

    crop   shortest side to `resize`, the middle `side` × `side` of it; edges of wide pictures are
           never seen                                              (CLIP, PickScore, LAION, DINO)
    pad    longest side to `side`, black around it                            (HPSv2: factory.py)
    square a square of the mean colour around it, resized to `side`                 (CLIP-FlanT5)

Resizing decides more than number formats do, and the stock processors resize by PIL or by tensors,
as the machine has it; so it is done here, a thread a picture, since PIL works beside Python, and
the next pictures are made ready while the encoder looks at these. What an encoder made of a picture
is remembered, so that several heads on one encoder share its pass.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from backend.rewards import _hub
from backend.rewards.interface import Images

Embeddings = NDArray[np.float32]
Rule = Literal["crop", "pad", "square"]

CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)
BATCH: Final = 16
"""Pictures in one pass."""
KEPT: Final = 8192
"""Pictures whose embeddings are remembered; of encoders that give a row for each place, fewer."""


@dataclass(frozen=True)
class Sight:
    """A rule with its sizes and its scale of values."""

    rule: Rule
    side: int
    resize: int
    """Shortest side before the crop; of "pad" the side itself."""
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD

    def __call__(self, images: Images) -> NDArray[np.float32]:
        """(B, H, W, 3) uint8 → (B, 3, side, side)."""
        seen = np.empty((len(images), 3, self.side, self.side), np.float32)
        with _threads(len(images)) as pool:
            list(pool.map(self._put, images, seen))
        return seen

    def _put(self, image: NDArray[np.uint8], seen: NDArray[np.float32]) -> None:
        """One picture (H, W, 3) into its place (3, side, side): each colour while it is at hand."""
        small = self._one(image)
        for c, (mean, std) in enumerate(zip(self.mean, self.std, strict=True)):
            np.divide(small[:, :, c], np.float32(255), out=seen[c], dtype=np.float32)
            seen[c] -= np.float32(mean)
            seen[c] /= np.float32(std)

    def _one(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        from PIL import Image

        height, width = image.shape[:2]
        if self.rule == "square":
            longest = max(height, width)
            colour = [int(255 * part) for part in self.mean]
            around = Image.new("RGB", (longest, longest), tuple(colour))
            around.paste(Image.fromarray(image), ((longest - width) // 2, (longest - height) // 2))
            return np.asarray(around.resize((self.side, self.side), Image.Resampling.BICUBIC))
        if self.rule == "crop":
            short, long = min(height, width), max(height, width)
            other = int(self.resize * long / short)
            size = (self.resize, other) if width <= height else (other, self.resize)
        else:
            longest = max(height, width)
            size = (round(width * self.side / longest), round(height * self.side / longest))
        drawn = Image.fromarray(image)
        if size != (width, height):
            drawn = drawn.resize(size, Image.Resampling.BICUBIC)
        if self.rule == "crop":
            left, top = (size[0] - self.side) // 2, (size[1] - self.side) // 2
            return np.asarray(drawn.crop((left, top, left + self.side, top + self.side)))
        ground = Image.new("RGB", (self.side, self.side))
        ground.paste(drawn, ((self.side - size[0]) // 2, (self.side - size[1]) // 2))
        return np.asarray(ground)


def of(name: str, side: int, rule: Rule = "crop") -> Sight:
    """The sight of a checkpoint: its own sizes and scale where its processor names them."""
    found = _hub.path(name, "preprocessor_config.json")
    said = json.loads(found.read_text(encoding="utf-8")) if found else {}
    size, crop = said.get("size", side), said.get("crop_size", side)
    if isinstance(crop, dict):
        crop = crop.get("height", side)
    if isinstance(size, dict):
        size = size.get("shortest_edge", crop)
    mean, std = said.get("image_mean", CLIP_MEAN), said.get("image_std", CLIP_STD)
    side = side if rule == "pad" else int(crop)
    return Sight(rule, side, side if rule == "pad" else int(size), tuple(mean), tuple(std))


class Remembered:
    """Embeddings of pictures by their content; each is worked out once."""

    def __init__(
        self, sight: Sight, encode: Callable[[NDArray[np.float32]], Embeddings], keep: int = KEPT
    ) -> None:
        self.sight, self.encode, self.keep = sight, encode, keep
        self.kept: OrderedDict[bytes, Embeddings] = OrderedDict()

    def __call__(self, images: Images) -> Embeddings:
        """(B, H, W, 3) uint8 → (B, D), or whatever shape `encode` gives a picture."""
        keys = keys_of(images)
        new = list({key: i for i, key in enumerate(keys) if key not in self.kept}.values())
        parts = [new[at : at + BATCH] for at in range(0, len(new), BATCH)]
        for part, pixels in zip(parts, self._ready(images, parts), strict=True):
            for i, row in zip(part, self.encode(pixels), strict=True):
                self.kept[keys[i]] = row
        rows = np.stack([self.kept[key] for key in keys])
        while len(self.kept) > self.keep:
            self.kept.popitem(last=False)
        return rows

    def _ready(
        self, images: Images, parts: Sequence[Sequence[int]]
    ) -> Iterator[NDArray[np.float32]]:
        """What the encoder is given, part by part, the next one made beside it."""
        if not parts:
            return
        with ThreadPoolExecutor(1) as aside:
            coming = aside.submit(self.sight, images[parts[0]])
            for part in parts[1:]:
                now, coming = coming.result(), aside.submit(self.sight, images[part])
                yield now
            yield coming.result()


def keys_of(images: Images) -> list[bytes]:
    """What pictures (B, H, W, 3) are known by: a hash of shape and content."""
    with _threads(len(images)) as pool:
        return list(pool.map(_key, images))


def _key(image: NDArray[np.uint8]) -> bytes:
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(
        np.ascontiguousarray(image).data
    )  # without a copy of a picture that is in one piece
    return digest.digest()


def _threads(num: int) -> ThreadPoolExecutor:
    """One for each picture, as far as there are processors."""
    return ThreadPoolExecutor(max(1, min(num, os.cpu_count() or 1)))


def unit(rows: NDArray[np.float32]) -> Embeddings:
    """Rows at unit length, in float32."""
    rows = np.asarray(rows, dtype=np.float32)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12))
