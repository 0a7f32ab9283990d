"""Detectors of transformers that look for things by name.

    detector = share("google/owlv2-base-patch16-ensemble")
    detector.find(image, ["car", "dog"], 0.2)     # {"car": [Box, …], "dog": []}

    owlv2      any name; the picture in the upper left of a black square, the square resized
    rt_detr, d_fine   names of its own labels only; the picture squashed to a square, 0 to 1

Boxes come in the picture's pixels, and of boxes that overlap the best one stays. Pictures are
resized by PIL, with the size and scale of the checkpoint's processor.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backend.errors import RewardError
from backend.rewards import _hub, _scene, _sight
from backend.rewards._scene import Box

Picture = NDArray[np.uint8]
OPEN: Final = ("owlv2",)
CLOSED: Final = ("rt_detr", "rt_detr_v2", "d_fine")
OVERLAP: Final = 0.5
QUERY: Final = "a photo of a {name}"


class Detector:
    """One checkpoint: what is where in a picture."""

    def __init__(self, name: str, device: str) -> None:
        self.name, self.device = name, device
        config = _hub.load("AutoConfig", name)
        if config.model_type not in (*OPEN, *CLOSED):
            raise RewardError(
                f"'{name}' is a {config.model_type}; take one of {', '.join((*OPEN, *CLOSED))}."
            )
        self.open = config.model_type in OPEN
        kind = "AutoModelForZeroShotObjectDetection" if self.open else "AutoModelForObjectDetection"
        self.model = _hub.model(name, device, kind)
        self.tokenizer: Any = _hub.load("AutoTokenizer", name) if self.open else None
        self.labels = {str(label).lower(): at for at, label in config.id2label.items()}
        self.side, self.mean, self.std = _scale(name, self.open)

    def knows(self, name: str) -> bool:
        """Whether it can look for a thing of this name."""
        return self.open or name in self.labels

    def find(self, image: Picture, names: Sequence[str], least: float) -> dict[str, list[Box]]:
        """The boxes of every name whose score is above `least`, the best first."""
        import torch

        unknown = [name for name in names if not self.knows(name)]
        if unknown:
            raise RewardError(
                f"'{self.name}' has no label '{unknown[0]}'; an OWLv2 looks for any name."
            )
        pixels = torch.from_numpy(self._pixels(image))[None].to(self.device)
        with torch.inference_mode():
            if self.open:
                logits, boxes = self._named(pixels, names)
            else:
                said = self.model(pixel_values=pixels)
                logits, boxes = said.logits[0], said.pred_boxes[0]
                logits = logits[:, [self.labels[name] for name in names]]
        scores = torch.sigmoid(logits.float()).cpu().numpy()
        return self._boxes(scores, boxes.float().cpu().numpy(), image.shape[:2], names, least)

    def _named(self, pixels: Any, names: Sequence[str]) -> tuple[Any, Any]:
        length = int(self.model.config.text_config.max_position_embeddings)
        words = self.tokenizer(
            [QUERY.format(name=name) for name in names],
            padding="max_length",
            truncation=True,
            max_length=length,
            return_tensors="pt",
        ).to(self.device)
        said = self.model(
            pixel_values=pixels,
            input_ids=words["input_ids"],
            attention_mask=words["attention_mask"],
        )
        return said.logits[0], said.pred_boxes[0]

    def _pixels(self, image: Picture) -> NDArray[np.float32]:
        from PIL import Image

        if self.open:
            longest = max(image.shape[:2])
            ground = np.zeros((longest, longest, 3), dtype=np.uint8)
            ground[: image.shape[0], : image.shape[1]] = image
            image = ground
        drawn = Image.fromarray(image)
        if drawn.size != (self.side, self.side):
            drawn = drawn.resize((self.side, self.side), Image.Resampling.BILINEAR)
        scaled = (np.asarray(drawn, np.float32) / 255 - self.mean) / self.std
        return np.ascontiguousarray(scaled.transpose(2, 0, 1))

    def _boxes(
        self,
        scores: NDArray[np.float32],
        boxes: NDArray[np.float32],
        size: tuple[int, ...],
        names: Sequence[str],
        least: float,
    ) -> dict[str, list[Box]]:
        """Scores (N, names) and boxes (N, 4: centre and size, 0 to 1) in pixels, by name.

        A box is of the name that fits it best.
        """
        height, width = size
        unit = np.array([max(size)] * 2 if self.open else [width, height], dtype=np.float64)
        corner = (boxes[:, :2] - boxes[:, 2:] / 2) * unit
        other = (boxes[:, :2] + boxes[:, 2:] / 2) * unit
        best, found = scores.argmax(axis=1), dict[str, list[Box]]()
        for at, name in enumerate(names):
            rows = np.flatnonzero((best == at) & (scores[:, at] > least))
            some = [_box(corner[i], other[i], scores[i, at]) for i in rows]
            found[name] = _scene.apart(some, OVERLAP)
        return found


def _box(corner: NDArray[np.float64], other: NDArray[np.float64], score: np.float32) -> Box:
    (left, top), (right, bottom) = corner.tolist(), other.tolist()
    return Box(left, top, right, bottom, float(score))


@lru_cache(maxsize=2)
def share(name: str) -> Detector:
    """The detector of a checkpoint, loaded once in a process."""
    return Detector(name, _hub.device())


def _scale(name: str, padded: bool) -> tuple[int, NDArray[np.float32], NDArray[np.float32]]:
    """Side of the square it sees, and the scale of its values, by its processor's file."""
    found = _hub.path(name, "preprocessor_config.json")
    said = json.loads(found.read_text(encoding="utf-8")) if found else {}
    size = said.get("size") or {}
    side = int(size.get("height", 960 if padded else 640)) if isinstance(size, dict) else int(size)
    own = padded or said.get("do_normalize", False)
    mean = said.get("image_mean", _sight.CLIP_MEAN) if own else (0.0,) * 3
    std = said.get("image_std", _sight.CLIP_STD) if own else (1.0,) * 3
    return side, np.array(mean, np.float32), np.array(std, np.float32)
