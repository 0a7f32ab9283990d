"""Pictures a second of stock image rewards, against the bare encoder on pixels that are ready.

A random CLIP of the size of ViT-B/16, so nothing has to be fetched; pictures of 512 × 512. `ratio`
is the reward's rate over the bare model's, turn about in the same run, the median of some turns;
`again` is how much faster the second head on the same pictures is than the first one.
Run with other numbers: PICTURES=64 TURNS=5.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from backend.rewards import _clip, clip_score
from tests.tiny_sd3 import clip_tokenizer

PICTURES = int(os.environ.get("PICTURES", "8"))
TURNS = int(os.environ.get("TURNS", "2"))


def main() -> None:
    """Measure turn about, and print the medians."""
    import torch

    with tempfile.TemporaryDirectory() as name:
        eye, config = _checkpoint(Path(name) / "clip")
        reward = clip_score.load(config)
        prompts = ["a red circle"] * PICTURES
        bare, scored, again = [], [], []
        for turn in range(TURNS + 1):
            rng = np.random.default_rng(turn)
            images = rng.integers(0, 256, (PICTURES, 512, 512, 3), dtype=np.uint8)
            ready = torch.from_numpy(eye.sight(images)).to(eye.device)
            with torch.inference_mode():
                bare.append(_seconds(partial(eye.model.get_image_features, pixel_values=ready)))
            scored.append(_seconds(partial(reward.score, images, prompts)))
            again.append(_seconds(partial(reward.score, images, prompts)))
    ratios = [one / other for one, other in zip(bare[1:], scored[1:], strict=True)]
    faster = [one / other for one, other in zip(scored[1:], again[1:], strict=True)]
    figures = {
        "device": eye.device,
        "pictures_a_second": round(PICTURES / statistics.median(scored[1:]), 2),
        "ratio": round(statistics.median(ratios), 3),
        "again": round(statistics.median(faster), 1),
    }
    print(json.dumps(figures))


def _seconds(work: Callable[[], Any]) -> float:
    import torch

    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _checkpoint(folder: Path) -> tuple[_clip.Eye, clip_score.Config]:
    """A random CLIP with the vision tower of ViT-B/16 and a small text tower."""
    from transformers import CLIPConfig, CLIPModel

    tokenizer = clip_tokenizer(folder / "words", length=77)
    text = {"vocab_size": len(tokenizer), "hidden_size": 64, "num_hidden_layers": 2}
    marks = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    vision = {"hidden_size": 768, "intermediate_size": 3072, "patch_size": 16, "image_size": 224}
    heads = {"num_attention_heads": 12, "num_hidden_layers": 12}
    config = CLIPConfig(
        text_config={**text, **marks, "num_attention_heads": 2, "intermediate_size": 128},
        vision_config={**vision, **heads},
    )
    CLIPModel(config).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    settings = clip_score.Config(model=str(folder))
    return _clip.share(settings.model), settings


if __name__ == "__main__":
    main()
