"""Pictures a second of stock image rewards, against their bare models on pixels that are ready.

Random models of the size of ViT-B/16, so nothing has to be fetched; pictures of 512 × 512. For each
reward `ratio` is its rate over the bare model's, turn about in the same run, the median of some
turns; `hit_ms` is what a picture costs that it has seen before, `hit` that over the millisecond it
may cost, `again` how much faster it is. Of the vision-language models, small ones here, hits alone
are printed. Run with other numbers: PICTURES=64 TURNS=5.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from backend.registry import rewards
from backend.rewards import _blip, _clip, dino
from tests import tiny_vlm
from tests.tiny_sd3 import clip_tokenizer, word_tokenizer

PICTURES = int(os.environ.get("PICTURES", "8"))
TURNS = int(os.environ.get("TURNS", "2"))
HITS = 20
HIT_MS = 1.0
"""What a picture may cost that was seen before."""
SIZES = {"hidden_size": 768, "num_attention_heads": 12, "num_hidden_layers": 12}
PROMPT = "a red circle"


@dataclass(frozen=True)
class Case:
    """A reward, and its bare model on pictures that it has to make ready itself."""

    kind: str
    reward: Any
    ready: Callable[[Any], Any]
    """Pictures to what the bare model takes."""
    bare: Callable[[Any], Any]
    forget: Callable[[], None]
    """Empty what the reward remembers of pictures."""


def main() -> None:
    """Measure turn about, and print the medians."""
    with tempfile.TemporaryDirectory() as name:
        for case in cases(Path(name)):
            print(json.dumps({"reward": case.kind, **measured(case)}), flush=True)
        for kind, reward in small(Path(name) / "small"):
            print(json.dumps({"reward": kind, **hits(reward)}), flush=True)


def measured(case: Case) -> dict[str, float]:
    """The figures of one reward."""
    import torch

    prompts = [PROMPT] * PICTURES
    bare, scored, again, work = [], [], [], []
    for turn in range(TURNS + 1):  # the first turn warms up
        rng = np.random.default_rng(turn)
        images = rng.integers(0, 256, (PICTURES, 512, 512, 3), dtype=np.uint8)
        case.forget()
        ready = case.ready(images)
        before = time.process_time()
        with torch.inference_mode():
            bare.append(_seconds(partial(case.bare, ready)))
        between = time.process_time()
        scored.append(_seconds(partial(case.reward.score, images, prompts)))
        work.append((between - before) / (time.process_time() - between))
        ask = partial(case.reward.score, images, prompts)
        again.append(min(_seconds(ask) for _ in range(HITS)))
    ratios = [one / other for one, other in zip(bare[1:], scored[1:], strict=True)]
    return {
        "pictures_a_second": round(PICTURES / statistics.median(scored[1:]), 2),
        "ratio": round(statistics.median(ratios), 3),
        "cpu": round(statistics.median(work[1:]), 3),
        **_told(scored[1:], again[1:]),
    }


def hits(reward: Any) -> dict[str, float]:
    """What pictures cost that were seen before, alone."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (PICTURES, 512, 512, 3), dtype=np.uint8)
    ask = partial(reward.score, images, [PROMPT] * PICTURES)
    return _told([_seconds(ask)], [min(_seconds(ask) for _ in range(HITS))])


def _told(first: list[float], again: list[float]) -> dict[str, float]:
    """Figures of pictures seen before, from the seconds that batches took at first and again."""
    faster = [one / other for one, other in zip(first, again, strict=True)]
    each = 1000 * statistics.median(again) / PICTURES
    return {
        "hit_ms": round(each, 2),
        "hit": round(each / HIT_MS, 2),
        "again": round(statistics.median(faster), 1),
    }


def small(folder: Path) -> Iterator[tuple[str, Any]]:
    """Rewards by vision-language models, tiny ones: what is measured runs no network."""
    name = str(tiny_vlm.save(folder, "qwen2"))
    for kind in ("vqa-score", "unified-reward"):
        yield kind, _load(kind, {"model": name})


def cases(folder: Path) -> Iterator[Case]:
    """One after the other, so that only one model is in memory."""
    import torch

    clip = str(_save_clip(folder / "clip"))
    for kind, config in (
        ("clip-score", {"model": clip}),
        ("pick-score", {"model": clip, "tokenizer": clip}),
        ("hps-v2", {"model": clip, "tokenizer": clip}),
        ("laion-aesthetic", {"model": clip, "head": str(_save_head(folder / "head"))}),
    ):
        reward = _load(kind, config)

        def ready(images: Any, eye: _clip.Eye = reward.eye) -> Any:
            return torch.from_numpy(eye.sight(images)).to(eye.device)

        def bare(pixels: Any, eye: _clip.Eye = reward.eye) -> Any:
            return eye.model.get_image_features(pixel_values=pixels)

        yield Case(kind, reward, ready, bare, reward.eye.image.kept.clear)
    _clip.share.cache_clear()
    yield _dino(_save_dino(folder / "dino"))
    dino.share.cache_clear()
    yield _image_reward(_save_blip(folder / "blip"))


def _dino(folder: Path) -> Case:
    import torch

    reward, backbone = _load("dino", {"model": str(folder)}), dino.share(str(folder))

    def ready(images: Any) -> Any:
        return torch.from_numpy(backbone.sight(images)).to(backbone.device)

    def bare(pixels: Any) -> Any:
        return backbone.model(pixel_values=pixels)

    return Case("dino", reward, ready, bare, backbone.image.kept.clear)


def _image_reward(folder: Path) -> Case:
    """Its model is both encoders: the prompt looks at the picture."""
    import torch

    name = str(folder)
    reward, blip = (
        _load("image-reward", {"model": name, "tokenizer": name}),
        _blip.share(name, name),
    )

    def ready(images: Any) -> Any:
        words = blip.tokenizer(
            [PROMPT] * len(images), padding="max_length", max_length=35, return_tensors="pt"
        )
        return torch.from_numpy(blip.sight(images)).to(blip.device), words.to(blip.device)

    def bare(given: Any) -> Any:
        pixels, words = given
        return blip.text(
            input_ids=words["input_ids"],
            attention_mask=words["attention_mask"],
            encoder_hidden_states=blip.vision(pixel_values=pixels).last_hidden_state,
            is_decoder=False,
        )

    return Case("image-reward", reward, ready, bare, blip.places.kept.clear)


def _load(kind: str, config: dict[str, Any]) -> Any:
    module = rewards.get(kind)
    return module.load(module.Config.read(config))


def _seconds(work: Callable[[], Any]) -> float:
    import torch

    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _save_clip(folder: Path) -> Path:
    """A random CLIP with the vision tower of ViT-B/16 and a small text tower."""
    from transformers import CLIPConfig, CLIPModel

    tokenizer = clip_tokenizer(folder / "words", length=77)
    text = {"vocab_size": len(tokenizer), "hidden_size": 64, "num_hidden_layers": 2}
    marks = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = CLIPConfig(
        text_config={**text, **marks, "num_attention_heads": 2, "intermediate_size": 128},
        vision_config={**SIZES, "intermediate_size": 3072, "patch_size": 16, "image_size": 224},
    )
    CLIPModel(config).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


def _save_head(folder: Path) -> Path:
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    save_file({"0.weight": torch.ones(1, 512)}, folder / "model.safetensors")
    return folder


def _save_dino(folder: Path) -> Path:
    from transformers import Dinov2Config, Dinov2Model

    model = Dinov2Model(Dinov2Config(**SIZES, patch_size=14, image_size=224))
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def _save_blip(folder: Path) -> Path:
    """A random BLIP of base size, under the names that ImageReward's file has."""
    import torch
    from safetensors.torch import save_file
    from transformers import BlipTextConfig, BlipTextModel, BlipVisionConfig, BlipVisionModel

    words = word_tokenizer()
    vision = BlipVisionModel(BlipVisionConfig(**SIZES, image_size=224))
    text = BlipTextModel(
        BlipTextConfig(**SIZES, encoder_hidden_size=768, vocab_size=len(words), is_decoder=True),
        add_pooling_layer=False,
    )
    held = {f"text_encoder.{name}": tensor for name, tensor in text.state_dict().items()}
    for name, tensor in vision.state_dict().items():
        for old, new in (
            ("embeddings.class_embedding", "cls_token"),
            ("embeddings.position_embedding", "pos_embed"),
            ("embeddings.patch_embedding", "patch_embed.proj"),
            ("encoder.layers", "blocks"),
            ("layer_norm", "norm"),
            ("self_attn.qkv", "attn.qkv"),
            ("self_attn.projection", "attn.proj"),
            ("post_layernorm", "norm"),
        ):
            name = name.replace(old, new)
        held[f"visual_encoder.{name}"] = tensor
    held["mlp.layers.0.weight"] = torch.ones(1, 768)
    folder.mkdir()
    save_file({name: t.contiguous() for name, t in held.items()}, folder / "model.safetensors")
    words.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
