"""Likeness by DINOv2: to reference pictures of the prompt, or to siblings.

    references   mean cos of the picture's [CLS] with those of the prompt's references
    siblings     1 − mean cos with the siblings of its group: how much it differs

Likeness to references is met by copying them; the difference from siblings by anything odd. Both
are better watched, or weighed little, beside a reward that minds the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from backend.config import Config as Settings
from backend.errors import ConfigError
from backend.rewards import _hub, _references, _sight
from backend.rewards._sight import Embeddings
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Ints, Scores, Shape, by_prompt

TITLE = "DINO likeness"
SUMMARY = "Likeness to references of the prompt, or difference from siblings, by DINOv2."
SOURCE = "Oquab et al. 2023, DINOv2 (arXiv 2304.07193)"
RANGE = (-1.0, 2.0)
TRAITS = Traits(latency=1, comparable=False, weights="safetensors")

DRAWN = 4
"""References of a prompt that are looked at."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Config(Settings):
    """Which encoder, and likeness to what."""

    model: str = Field(default=_hub.DINO, title="Model")
    """A DINOv2 checkpoint: a hub id that has been fetched, or a folder with safetensors."""
    against: Literal["references", "siblings"] = Field(default="siblings", title="Against")
    """Likeness to references of the prompt, or difference from the siblings of a group."""
    references: str = Field(default=_references.POCKET, title="References")
    """"pocket" renders them; otherwise the hash of a stored file of pictures with prompts."""


class Backbone:
    """A DINO checkpoint: unit [CLS] vectors of pictures."""

    def __init__(self, name: str, device: str) -> None:
        self.device, self.model = device, _hub.model(name, device)
        sight = _sight.of(name, 224)
        if _hub.path(name, "preprocessor_config.json") is None:
            sight = _sight.Sight("crop", 224, 256, IMAGENET_MEAN, IMAGENET_STD)
        self.sight = sight
        self.image = _sight.Remembered(sight, self._image)

    def _image(self, pixels: NDArray[np.float32]) -> Embeddings:
        import torch

        ready = torch.from_numpy(pixels).to(self.device)
        with torch.inference_mode():
            tokens = self.model(pixel_values=ready).last_hidden_state
        return _sight.unit(tokens[:, 0].float().cpu().numpy())


@lru_cache(maxsize=2)
def share(name: str) -> Backbone:
    """The backbone of a checkpoint, loaded once in a process."""
    return Backbone(name, _hub.device())


class ToReferences:
    """Pointwise: mean likeness to the references of its prompt."""

    shape: Shape = "pointwise"

    def __init__(self, backbone: Backbone, references: _references.References) -> None:
        self.backbone, self.references = backbone, references
        self._kept: dict[str, Embeddings] = {}

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """Mean cosine with the references, which are the same at every asking."""
        for prompt in dict.fromkeys(prompts):
            if prompt not in self._kept:
                drawn = self.references.draw([prompt], DRAWN, [0])
                self._kept[prompt] = self.backbone.image(drawn)
        rows = self.backbone.image(images)
        pairs = zip(rows, prompts, strict=True)
        return Scores.of([float((self._kept[prompt] @ row).mean()) for row, prompt in pairs])


class FromSiblings:
    """Groupwise: 1 − mean cosine with its siblings."""

    shape: Shape = "groupwise"

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone

    def score(
        self, images: Images, prompts: Sequence[str], groups: Sequence[int] | Ints | None = None
    ) -> Scores:
        """One value per picture; one without siblings is "n/a"."""
        group_B = by_prompt(prompts) if groups is None else np.asarray(groups, dtype=np.int64)
        rows = self.backbone.image(images).astype(np.float64)
        likeness = rows @ rows.T
        same = (group_B[:, None] == group_B[None, :]) & ~np.eye(len(rows), dtype=bool)
        num = same.sum(axis=1)
        near = np.divide(
            (likeness * same).sum(axis=1), num, out=np.full(len(rows), np.nan), where=num > 0
        )
        scores = Scores.of(1 - near)
        for i in np.flatnonzero(num == 0):
            scores.status[i], scores.reasons[i] = "n/a", "no sibling to be compared with"
        return scores


def fingerprint(config: Config) -> str:
    """Which weights."""
    return _hub.fingerprint(config.model)


def load(config: Config, files: Files | None = None) -> ToReferences | FromSiblings:
    """The backbone, shared with others that use it, and the references if it needs them."""
    backbone = share(config.model)
    if config.against == "siblings":
        return FromSiblings(backbone)
    if config.references == _references.POCKET:
        return ToReferences(backbone, _references.PocketReferences())
    if files is None:
        raise ConfigError(
            "The references are a stored file, and there is no store here; take 'pocket'.",
            field="references",
        )
    return ToReferences(backbone, _references.read(files(config.references)))
