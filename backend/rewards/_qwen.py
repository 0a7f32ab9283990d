"""Asking vision-language models of Qwen's families (2-VL, 2.5-VL, 3-VL …) about pictures.

    vlm = share("Qwen/Qwen3-VL-2B-Instruct", 1_003_520)
    vlm.first(image, text)           # (V,) how likely each word is to begin the answer
    vlm.answer([image], text, 96)    # what it says, always taking the likeliest word

A picture keeps its shape: both sides become multiples of a patch (`fitted`). It is resized by PIL
on every machine and cut into patches here, for the stock processors resize by PIL or by tensors as
they find it. The words around it are those of the checkpoint's own chat template. Each picture is
asked about alone, so that no value depends on its company; marks of the chat inside a prompt are
broken up, so that a prompt can neither end its turn nor show another picture.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backend.errors import RewardError
from backend.rewards import _hub, _sight

PICTURE: Final = "<|image_pad|>"
"""Stands for a picture in the chat; as many of them as the picture has merged patches."""
MOST_PIXELS: Final = 1280 * 28 * 28
"""Larger pictures are made smaller by default, as transformers does."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Patches:
    """How a picture becomes patches: sizes and scale of a checkpoint."""

    patch: int = 14
    merge: int = 2
    frames: int = 2
    mean: tuple[float, ...] = _sight.CLIP_MEAN
    std: tuple[float, ...] = _sight.CLIP_STD
    least: int = 56 * 56
    most: int = MOST_PIXELS
    """Pixels after resizing, at least and at most."""

    def __call__(self, image: Picture) -> tuple[NDArray[np.float32], tuple[int, int, int]]:
        """(H, W, 3) uint8 → patches (L, 3 · frames · patch²), and their grid (1, rows, columns).

        Patches that will be merged stand together; a still picture is `frames` equal ones.
        """
        from PIL import Image

        height, width = image.shape[:2]
        height, width = fitted(height, width, self.patch * self.merge, self.least, self.most)
        drawn = Image.fromarray(image)
        if drawn.size != (width, height):
            drawn = drawn.resize((width, height), Image.Resampling.BICUBIC)
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        scaled = (np.asarray(drawn, np.float32) / np.float32(255) - mean) / std
        rows, columns = height // self.patch, width // self.patch
        tiles = scaled.transpose(2, 0, 1).reshape(
            3, rows // self.merge, self.merge, self.patch, columns // self.merge, self.merge, -1
        )
        tiles = tiles.transpose(1, 4, 2, 5, 0, 3, 6)[:, :, :, :, :, None]
        tiles = np.repeat(tiles, self.frames, axis=5).reshape(rows * columns, -1)
        return np.ascontiguousarray(tiles), (1, rows, columns)


def fitted(height: int, width: int, factor: int, least: int, most: int) -> tuple[int, int]:
    """Both sides as multiples of `factor` within `least` to `most` pixels, the shape kept.

    To the nearest multiples; if that is too large, down, and if too small, up.
    """
    rows, columns = (max(factor, round(side / factor) * factor) for side in (height, width))
    if rows * columns > most:
        share = math.sqrt(height * width / most)
        return (
            max(factor, math.floor(height / share / factor) * factor),
            max(factor, math.floor(width / share / factor) * factor),
        )
    if rows * columns < least:
        share = math.sqrt(least / (height * width))
        return (
            math.ceil(height * share / factor) * factor,
            math.ceil(width * share / factor) * factor,
        )
    return rows, columns


def patches_of(name: str, least: int | None, most: int | None) -> Patches:
    """The patches of a checkpoint by its processor's file, within other bounds where given."""
    found = _hub.path(name, "preprocessor_config.json")
    said = json.loads(found.read_text(encoding="utf-8")) if found else {}
    own, size = Patches(), said.get("size") or {}
    return Patches(
        patch=int(said.get("patch_size", own.patch)),
        merge=int(said.get("merge_size", own.merge)),
        frames=int(said.get("temporal_patch_size", own.frames)),
        mean=tuple(said.get("image_mean", own.mean)),
        std=tuple(said.get("image_std", own.std)),
        least=least or int(said.get("min_pixels") or size.get("shortest_edge") or own.least),
        most=most or int(said.get("max_pixels") or size.get("longest_edge") or own.most),
    )


class Chat:
    """The words around a picture, and both as a model takes them."""

    def __init__(
        self, name: str, least: int | None = None, most: int | None = None, extra: str = ""
    ) -> None:
        self.name = name
        self.tokenizer: Any = _hub.load("AutoTokenizer", name)
        self.patches = patches_of(name, least, most)
        self.template = self.tokenizer.chat_template or _template(name)
        if extra:
            self.tokenizer.add_tokens([extra], special_tokens=True)
        self.picture = int(self.tokenizer.convert_tokens_to_ids(PICTURE))

    def ready(self, images: Sequence[Picture], text: str, device: str) -> dict[str, Any]:
        """One turn of a person, pictures first and then the text, that waits for an answer."""
        import torch

        content: list[dict[str, str]] = [{"type": "image"} for _ in images]
        turn = [{"role": "user", "content": [*content, {"type": "text", "text": text}]}]
        words = self.tokenizer.apply_chat_template(
            turn, chat_template=self.template, tokenize=False, add_generation_prompt=True
        )
        seen, grids = [], []
        before, *after = words.split(PICTURE)
        if len(after) != len(images):
            raise RewardError(
                f"The chat template of '{self.name}' shows {len(after)} pictures where "
                f"{len(images)} were given; choose a checkpoint of Qwen's families."
            )
        for image, rest in zip(images, after, strict=True):
            tiles, grid = self.patches(image)
            seen.append(tiles)
            grids.append(grid)
            before += PICTURE * (len(tiles) // self.patches.merge**2) + rest
        ids = torch.tensor([self.tokenizer(before, add_special_tokens=False)["input_ids"]])
        found = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "mm_token_type_ids": (ids == self.picture).int(),
            "pixel_values": torch.from_numpy(np.concatenate(seen)),
            "image_grid_thw": torch.tensor(grids),
        }
        return {name: tensor.to(device) for name, tensor in found.items()}


def plain(prompt: str) -> str:
    """A prompt without marks of the chat: they are broken up, so that they read as text."""
    return prompt.replace("<|", "< |")


class Vlm:
    """A checkpoint with its words."""

    def __init__(self, name: str, most: int, device: str) -> None:
        self.device, self.chat = device, Chat(name, most=most)
        self.model = _hub.load(
            "AutoModelForImageTextToText", name, use_safetensors=True, dtype=_hub.dtype(device)
        )
        self.model.eval().requires_grad_(False).to(device)

    def first(self, image: Picture, text: str) -> NDArray[np.float32]:
        """How likely each word of the whole vocabulary is to begin the answer, (V,)."""
        import torch

        with torch.inference_mode():
            logits = self.model(**self.chat.ready([image], text, self.device)).logits[0, -1]
        return np.asarray(torch.softmax(logits.float(), dim=-1).cpu().numpy())

    def word(self, text: str) -> int:
        """The single token of a word; a RewardError where the tokeniser takes it apart."""
        ids = self.chat.tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) != 1:
            raise RewardError(
                f"The tokeniser of '{self.chat.name}' reads '{text}' as {len(ids)} tokens; choose "
                "a checkpoint that has it as one."
            )
        return int(ids[0])

    def answer(self, images: Sequence[Picture], text: str, most: int) -> str:
        """What it says in at most so many tokens; the checkpoint's own sampling plays no part."""
        import torch
        from transformers import GenerationConfig

        ready = self.chat.ready(images, text, self.device)
        ends = getattr(self.model.generation_config, "eos_token_id", None)
        tokenizer = self.chat.tokenizer
        plan = GenerationConfig(
            do_sample=False,
            max_new_tokens=most,
            eos_token_id=tokenizer.eos_token_id if ends is None else ends,
            pad_token_id=tokenizer.pad_token_id,
        )
        with torch.inference_mode():
            said = self.model.generate(**ready, generation_config=plan)
        new = said[0, ready["input_ids"].shape[1] :]
        return str(tokenizer.decode(new, skip_special_tokens=True))


@lru_cache(maxsize=2)
def share(name: str, most: int) -> Vlm:
    """The model of a checkpoint, loaded once in a process."""
    return Vlm(name, most, _hub.device())


def _template(name: str) -> str:
    found = _hub.path(name, "chat_template.json") or _hub.path(name, "chat_template.jinja")
    if found is None:
        raise RewardError(
            f"'{name}' has no chat template, so it is not one to be asked; choose an instructed "
            "checkpoint, or fetch it again."
        )
    text = found.read_text(encoding="utf-8")
    return str(json.loads(text)["chat_template"]) if found.suffix == ".json" else text
