"""Frozen encoders that put pictures and prompts into one space: the pocket one, or any CLIP.

    encoder = load("pocket")            # backend/pocket/encoder.py
    encoder = load("openai/clip-vit-base-patch32")  # a hub id or a folder, safetensors only
    encoder.image(images_uint8)         # (B, H, W, 3) → (B, D), unit length
    encoder.patches(images_uint8)       # (B, L, E), unit length, a row for each place
    encoder.text(prompts)               # (B, D), unit length; each prompt is encoded once
    encoder.read(images, prompts)       # pictures held against prompts: vectors, how sure it is of
                                        # each kind of word, and its likeness, the stock reward
    encoder.version                     # what its numbers hang on; another one means other numbers

torch is imported inside the functions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from backend.errors import RewardError
from backend.rewards.interface import Images

if TYPE_CHECKING:
    from torch import Tensor

Embeddings = NDArray[np.float32]

POCKET: Final = "pocket"
BATCH: Final = 64
"""Pictures encoded at once; fixed, so that a picture's embedding does not depend on its company."""


@dataclass(frozen=True)
class Read:
    """Pictures held against their prompts."""

    picture: Embeddings
    """(B, D), unit length."""
    words: Embeddings
    """(B, K) how sure it is of each kind of the prompt's words, 0 to 1; K = 0 for free text."""
    likeness: NDArray[np.float64]
    """(B,) how well the picture shows the prompt, for the encoder alone."""


class Encoder(Protocol):
    """Pictures and prompts in one space, rows of unit length."""

    version: str

    def read(self, images: Images, prompts: Sequence[str]) -> Read:
        """B pictures held against B prompts."""
        ...

    def image(self, images: Images) -> Embeddings:
        """(B, H, W, 3) uint8 → (B, D)."""
        ...

    def patches(self, images: Images) -> Embeddings:
        """(B, H, W, 3) uint8 → (B, L, E), what it sees at each of L places; E need not be D."""
        ...

    def text(self, prompts: Sequence[str]) -> Embeddings:
        """B prompts → (B, D)."""
        ...


def load(name: str, device: str = "cpu") -> Encoder:
    """The encoder called `name`: "pocket", a folder, or a hub id of a CLIP checkpoint."""
    return Pocket() if name == POCKET else Clip(name, device)


def version(name: str) -> str:
    """Of the encoder that `load` would give: the pocket one by its weights, others by name."""
    if name != POCKET:
        return name
    from backend.pocket import ENCODER_PATH

    return hashlib.sha256(ENCODER_PATH.read_bytes()).hexdigest()[:16]


class Pocket:
    """The small encoder of the pocket world, with prompts kept."""

    def __init__(self) -> None:
        from backend.pocket import encoder

        self.encoder = encoder.load()
        self.version = version(POCKET)
        self.kept: dict[str, Embeddings] = {}

    def read(self, images: Images, prompts: Sequence[str]) -> Read:
        """Its likeness is how far the picture shows each word, all kinds multiplied."""
        from backend.pocket import reading

        sight = self.encoder.sight(images)
        words = reading.read(sight, prompts)
        likeness = reading.likeness(words)
        return Read(_array(sight.vector), words.astype(np.float32), likeness)

    def image(self, images: Images) -> Embeddings:
        """(B, 64, 64, 3) uint8 → (B, 96)."""
        return _batched(lambda part: _array(self.encoder.image(part)), images)

    def patches(self, images: Images) -> Embeddings:
        """(B, 64, 64, 3) uint8 → (B, 16, 224)."""
        return _batched(lambda part: _array(self.encoder.places(part)), images)

    def text(self, prompts: Sequence[str]) -> Embeddings:
        """B prompts → (B, 96)."""
        return _remembered(self.kept, prompts, lambda new: _array(self.encoder.text([new])))


class Clip:
    """A CLIP checkpoint by transformers, its own resize, crop and normalisation applied."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        from transformers import AutoModel, AutoProcessor

        self.device, self.version = device, name
        try:
            self.model: Any = AutoModel.from_pretrained(name, use_safetensors=True)
            self.processor: Any = AutoProcessor.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise RewardError(
                f"The encoder '{name}' could not be loaded ({_first_line(error)}); give 'pocket', "
                f"a folder with a CLIP model in safetensors, or a hub id within reach."
            ) from error
        if not hasattr(self.model, "get_image_features"):
            raise RewardError(
                f"'{name}' is a {type(self.model).__name__}, not a CLIP: it has no common space of "
                f"pictures and text; choose a CLIP or SigLIP checkpoint."
            )
        self.model.eval().requires_grad_(False).to(device)
        self.kept: dict[str, Embeddings] = {}

    def image(self, images: Images) -> Embeddings:
        """(B, H, W, 3) uint8 → (B, D)."""
        return _batched(self._image, images)

    def patches(self, images: Images) -> Embeddings:
        """(B, H, W, 3) uint8 → (B, L, E), the last layer's tokens without the one for the whole."""
        return _batched(self._patches, images)

    def text(self, prompts: Sequence[str]) -> Embeddings:
        """B prompts → (B, D); a long prompt is cut at what the encoder can read."""
        return _remembered(self.kept, prompts, self._text)

    def read(self, images: Images, prompts: Sequence[str]) -> Read:
        """Its likeness is the cosine; free text has no kinds of words."""
        picture = self.image(images)
        likeness = (picture * self.text(prompts)).sum(axis=1).astype(np.float64)
        return Read(picture, np.zeros((len(picture), 0), dtype=np.float32), likeness)

    def _image(self, images: Images) -> Embeddings:
        import torch

        ready = self.processor(images=list(images), return_tensors="pt").to(self.device)
        with torch.inference_mode():
            return _array(self.model.get_image_features(pixel_values=ready["pixel_values"]))

    def _patches(self, images: Images) -> Embeddings:
        import torch

        ready = self.processor(images=list(images), return_tensors="pt").to(self.device)
        pixels = ready["pixel_values"]
        with torch.inference_mode():
            tokens = self.model.vision_model(pixel_values=pixels).last_hidden_state
        side = self.model.config.vision_config.patch_size
        num = (pixels.shape[-2] // side) * (pixels.shape[-1] // side)
        return _array(tokens[:, -num:])

    def _text(self, prompt: str) -> Embeddings:
        import torch

        ready = self.processor(text=[prompt], truncation=True, return_tensors="pt")
        with torch.inference_mode():
            return _array(self.model.get_text_features(**ready.to(self.device)))


def _array(output: Any) -> Embeddings:
    """The rows of a model's output at unit length; newer transformers wrap them in an object."""
    tensor: Tensor = getattr(output, "pooler_output", output)
    array = np.asarray(tensor.float().cpu() if hasattr(tensor, "cpu") else tensor, dtype=np.float32)
    return np.asarray(array / np.maximum(np.linalg.norm(array, axis=-1, keepdims=True), 1e-12))


def _batched(encode: Any, images: Images) -> Embeddings:
    parts = [encode(images[at : at + BATCH]) for at in range(0, len(images), BATCH)]
    return np.concatenate(parts)


def _remembered(kept: dict[str, Embeddings], prompts: Sequence[str], encode: Any) -> Embeddings:
    """Encode the prompts not seen before; at most some ten thousand are kept.

    One at a time, so that a prompt's embedding has the same bits whoever came with it: a run
    resumed from a checkpoint meets its prompts in other company.
    """
    if len(kept) > 20_000:
        kept.clear()
    for prompt in prompts:
        if prompt not in kept:
            kept[prompt] = encode(prompt)[0]
    return np.stack([kept[prompt] for prompt in prompts])


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
