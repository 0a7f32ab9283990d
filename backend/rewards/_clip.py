"""CLIP checkpoints as rewards use them: unit vectors, and one pass for all heads.

    eye = share("openai/clip-vit-large-patch14")
    eye.cosine(images, prompts)      # (B,)
    eye.image(images)                # (B, D), remembered
    eye.scale                        # exp(logit_scale)

`share` gives everyone who asks for the same checkpoint and rule the same eye, so CLIPScore and the
LAION predictor together cost one pass. A prompt is cut at what the text encoder can read (`cut`
says how much it is). All arithmetic after the encoder is in float32: half precision ties samples
whose scores differ in the third digit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.errors import RewardError
from backend.rewards import _hub, _sight
from backend.rewards._sight import Embeddings, Rule
from backend.rewards.interface import Floats, Images


class Eye:
    """One checkpoint under one rule of resizing."""

    def __init__(self, name: str, rule: Rule, tokenizer: str, device: str) -> None:
        self.name, self.device = name, device
        self.model = _hub.model(name, device)
        if not hasattr(self.model, "get_image_features"):
            raise RewardError(
                f"'{name}' is a {type(self.model).__name__}, not a CLIP: it has no common space of "
                "pictures and text; choose a CLIP checkpoint."
            )
        self.tokenizer: Any = _hub.load("AutoTokenizer", tokenizer or name)
        self.length = int(self.model.config.text_config.max_position_embeddings)
        self.scale = float(math.exp(float(self.model.logit_scale)))
        self.sight = _sight.of(name, int(self.model.config.vision_config.image_size), rule)
        self.image = _sight.Remembered(self.sight, self._image)
        self.passes = 0
        """Pictures that went through the network."""
        self._texts: dict[str, Embeddings] = {}

    def _image(self, pixels: NDArray[np.float32]) -> Embeddings:
        import torch

        self.passes += len(pixels)
        ready = torch.from_numpy(pixels).to(self.device)
        with torch.inference_mode():
            return _rows(self.model.get_image_features(pixel_values=ready))

    def text(self, prompts: Sequence[str]) -> Embeddings:
        """B prompts → (B, D); one at a time, so that none depends on its company."""
        import torch

        if len(self._texts) > _sight.KEPT:
            self._texts.clear()
        for prompt in dict.fromkeys(prompts):
            if prompt not in self._texts:
                ready = self._tokens(prompt).to(self.device)
                with torch.inference_mode():
                    self._texts[prompt] = _rows(self.model.get_text_features(**ready))[0]
        return np.stack([self._texts[prompt] for prompt in prompts])

    def _tokens(self, prompt: str) -> Any:
        return self.tokenizer(
            [prompt], truncation=True, max_length=self.length, return_tensors="pt"
        )

    def cut(self, prompts: Sequence[str]) -> Floats:
        """Share of each prompt's tokens that the text encoder never sees, (B,)."""
        return unread(self.tokenizer, prompts, self.length)

    def cosine(self, images: Images, prompts: Sequence[str]) -> Floats:
        """Cosine of every picture with its prompt, (B,)."""
        both = self.image(images) * self.text(prompts)
        return np.asarray(both.sum(axis=1, dtype=np.float32), dtype=np.float64)


@lru_cache(maxsize=4)
def share(name: str, rule: Rule = "crop", tokenizer: str = "") -> Eye:
    """The eye of a checkpoint, loaded once in a process."""
    return Eye(name, rule, tokenizer, _hub.device())


def unread(tokenizer: Any, prompts: Sequence[str], length: int) -> Floats:
    """Share of each prompt's tokens beyond the first `length`, marks included, (B,)."""
    share = {}
    for prompt in dict.fromkeys(prompts):
        num = len(tokenizer(prompt)["input_ids"])
        share[prompt] = max(0, num - length) / num
    return np.array([share[prompt] for prompt in prompts])


def fingerprint(name: str, tokenizer: str) -> str:
    """Which weights and whose tokens, for a checkpoint whose tokeniser lies elsewhere."""
    return _hub.fingerprint(name) + _hub.fingerprint(tokenizer, "tokenizer.json")


def _rows(output: Any) -> Embeddings:
    """A model's projected vectors at unit length; newer transformers wrap them in an object."""
    tensor = getattr(output, "pooler_output", output)
    return _sight.unit(tensor.float().cpu().numpy())
