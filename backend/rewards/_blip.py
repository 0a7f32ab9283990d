"""BLIP as ImageReward uses it: prompts that look at pictures, from the layout of its first code.

    blip = share("RE-N-Y/ImageReward", "google-bert/bert-base-uncased")
    blip.first(images, prompts)      # (B, D): the state of [CLS] after looking at the picture
    blip.head                        # the layers on it, as they are in the file

The checkpoint has `visual_encoder.*` (a ViT as timm names it), `text_encoder.*` (a BERT with cross
attention) and `mlp.*`, each behind whatever prefix; sizes are read from the tensors, with heads of
64. transformers' own BLIP runs them, under its names. Prompts are padded to 35 tokens and their
padding is masked, so none depends on its company.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from backend.errors import RewardError
from backend.rewards import _clip, _hub, _sight
from backend.rewards.interface import Floats, Images

if TYPE_CHECKING:
    from torch import Tensor

LENGTH: Final = 35
"""Tokens of a prompt that are read, marks included."""
HEAD: Final = 64
"""Width of an attention head, in both encoders."""
KEPT: Final = 64
"""Pictures whose places are remembered: 197 rows of 1,024 numbers each."""
VISION: Final = (
    (r"^cls_token$", "embeddings.class_embedding"),
    (r"^pos_embed$", "embeddings.position_embedding"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embedding."),
    (r"^blocks\.", "encoder.layers."),
    (r"\.norm([12])\.", r".layer_norm\1."),
    (r"\.attn\.qkv\.", ".self_attn.qkv."),
    (r"\.attn\.proj\.", ".self_attn.projection."),
    (r"^norm\.", "post_layernorm."),
)
"""From timm's names to those of transformers."""


class Blip:
    """Both encoders of one checkpoint, and the layers of its head."""

    def __init__(self, name: str, tokenizer: str, device: str) -> None:
        self.device, self.name = device, name
        parts = split(_hub.tensors(name))
        self.vision, side = _vision(parts["visual_encoder"], device)
        self.text = _text(parts["text_encoder"], self.vision.config.hidden_size, device)
        self.head = {at: tensor.double().numpy() for at, tensor in parts["mlp"].items()}
        self.tokenizer: Any = _hub.load("AutoTokenizer", tokenizer)
        self.sight = _sight.Sight("crop", side, side)
        self.places = _sight.Remembered(self.sight, self._places, KEPT)

    def first(self, images: Images, prompts: Sequence[str]) -> NDArray[np.float32]:
        """The state of each prompt's first token after it looked at its picture, (B, D)."""
        import torch

        ready = self.tokenizer(
            list(prompts),
            padding="max_length",
            truncation=True,
            max_length=LENGTH,
            return_tensors="pt",
        ).to(self.device)
        rows = []
        for at in range(0, len(prompts), _sight.BATCH):
            part = slice(at, at + _sight.BATCH)
            seen = torch.from_numpy(self.places(images[part])).to(self.device)
            with torch.inference_mode():
                states = self.text(
                    input_ids=ready["input_ids"][part],
                    attention_mask=ready["attention_mask"][part],
                    encoder_hidden_states=seen,
                    is_decoder=False,
                ).last_hidden_state
            rows.append(states[:, 0].float().cpu().numpy())
        return np.concatenate(rows)

    def cut(self, prompts: Sequence[str]) -> Floats:
        """Share of each prompt's tokens that is never read, (B,)."""
        return _clip.unread(self.tokenizer, prompts, LENGTH)

    def _places(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        ready = torch.from_numpy(pixels).to(self.device)
        with torch.inference_mode():
            states = self.vision(pixel_values=ready).last_hidden_state
        return np.asarray(states.float().cpu().numpy())


@lru_cache(maxsize=1)
def share(name: str, tokenizer: str) -> Blip:
    """The encoders of a checkpoint, loaded once in a process."""
    return Blip(name, tokenizer, _hub.device())


def split(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The three parts of a checkpoint by their names inside; what else it holds was for training.

    A RewardError where one is missing.
    """
    parts: dict[str, dict[str, Tensor]] = {"visual_encoder": {}, "text_encoder": {}, "mlp": {}}
    for name, tensor in tensors.items():
        found = re.search(r"(?:^|\.)(visual_encoder|text_encoder|mlp)\.(.+)$", name)
        if found and not found.group(2).endswith("position_ids"):
            parts[found.group(1)][found.group(2)] = tensor
    missing = [part for part, held in parts.items() if not held]
    if missing:
        raise RewardError(
            f"The checkpoint has no {missing[0]}; ImageReward has visual_encoder, text_encoder and "
            "mlp. Give another file."
        )
    return parts


def _vision(held: dict[str, Tensor], device: str) -> tuple[Any, int]:
    """The encoder of pictures, and the side of those it sees."""
    from transformers import BlipVisionConfig, BlipVisionModel

    try:
        width = held["cls_token"].shape[-1]
        patch = held["patch_embed.proj.weight"].shape[-1]
        side = patch * round((held["pos_embed"].shape[1] - 1) ** 0.5)
        inner = held["blocks.0.mlp.fc1.weight"].shape[0]
    except KeyError as error:
        raise RewardError(f"The picture encoder has no {error}; give another file.") from error
    config = BlipVisionConfig(
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=_depth(held, r"blocks\.(\d+)\."),
        num_attention_heads=max(1, width // HEAD),
        image_size=side,
        patch_size=patch,
        layer_norm_eps=1e-6,
    )
    return _filled(BlipVisionModel(config), renamed(held), device), side


def _text(held: dict[str, Tensor], sees: int, device: str) -> Any:
    """The encoder of prompts, each layer of which looks at the picture."""
    from transformers import BlipTextConfig, BlipTextModel

    try:
        words, width = held["embeddings.word_embeddings.weight"].shape
        places = held["embeddings.position_embeddings.weight"].shape[0]
        inner = held["encoder.layer.0.intermediate.dense.weight"].shape[0]
    except KeyError as error:
        raise RewardError(f"The text encoder has no {error}; give another file.") from error
    config = BlipTextConfig(
        vocab_size=words,
        hidden_size=width,
        encoder_hidden_size=sees,
        intermediate_size=inner,
        num_hidden_layers=_depth(held, r"encoder\.layer\.(\d+)\."),
        num_attention_heads=max(1, width // HEAD),
        max_position_embeddings=places,
        is_decoder=True,  # cross attention is built for decoders; it reads in both directions
    )
    return _filled(BlipTextModel(config, add_pooling_layer=False), held, device)


def renamed(held: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The picture encoder's tensors under the names of transformers."""
    found = {}
    for name, tensor in held.items():
        for before, after in VISION:
            name = re.sub(before, after, name)
        found[name] = tensor
    return found


def _depth(held: Mapping[str, Tensor], pattern: str) -> int:
    numbers = [int(found.group(1)) for name in held if (found := re.match(pattern, name))]
    return max(numbers, default=-1) + 1


def _filled(model: Any, held: Mapping[str, Tensor], device: str) -> Any:
    """The model with these tensors in it; a RewardError names one that is missing."""
    try:
        missing = model.load_state_dict(held, strict=False).missing_keys
    except RuntimeError as error:
        raise RewardError(f"The checkpoint does not fit a BLIP ({error}).") from error
    if missing:
        raise RewardError(f"The checkpoint has no {missing[0]}; give another file.")
    return model.float().eval().requires_grad_(False).to(device)
