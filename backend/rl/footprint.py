"""How much memory a run takes, worked out on paper from the files of its model.

Bytes, from the shapes in the model's own configs and in the headers of its weight files, so that it
does not matter in which precision they are stored:

    weights   of network, image decoder and text encoders, in the precision they are held in
    training  16 a number that trains (value, gradient, two moments, in float32), 4 more a copy
    update    B_u · tokens · width · layers · 34 · (bytes / 2): what the backward pass keeps of a
              transformer layer (arXiv 2205.05198, without the softmax, which is not kept); with
              checkpointing 2 a layer, and one layer whole
    sampling  B_s · tokens · width · 12 · bytes: one layer at a time
    decoding  B_d · side² · channels · c: the widest feature maps of the decoder at full size, of
              which a CPU holds six in float32 (c = 24) and a GPU three in half precision (c = 6)

The three last are not at work at once: the low end takes the largest at 0.7, the high end adds
them up at 1.3. A range is all that can be said: kernels, allocators and rewards that load models of
their own are not in it. `backend.rl.trial` measures.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.registry import policies
from backend.rl.recipe import RunConfig

PROCESS = 500e6
"""Resident bytes of a process that has imported the model stack, on a CPU; a GPU holds none."""
TEXT_TOKENS = 77
NOTES = "__metadata__"
"""What the header of a weight file calls its notes."""
LORA_LAYERS = 8
"""Matrices of a transformer layer that get an adapter unless a run names others."""


@dataclass(frozen=True)
class Model:
    """What a model's files say of it."""

    numbers: float
    """Of the network that trains."""
    others: float
    """Numbers of image decoder and text encoders."""
    layers: int
    width: int
    tokens: int
    side: int
    channels: int
    """Of the decoder's maps at full size."""


@dataclass(frozen=True)
class Footprint:
    """A range in bytes, without the process itself."""

    low: float
    high: float


def read_model(folder: Path, config: dict[str, Any]) -> Model | None:
    """The facts of a model in a diffusers folder; None where its files say too little."""
    try:
        network = json.loads((folder / "transformer" / "config.json").read_text("utf-8"))
        image = json.loads((folder / "vae" / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    heads, per_head = network.get("num_attention_heads"), network.get("attention_head_dim")
    layers = sum(int(network.get(k) or 0) for k in ("num_layers", "num_single_layers", "n_layers"))
    width = int(heads * per_head) if heads and per_head else int(network.get("dim") or 0)
    if not layers or not width:
        return None
    blocks = image.get("block_out_channels") or [128, 256]
    scale = 2 ** (len(blocks) - 1)
    latent = int(network.get("sample_size") or 128)
    if config.get("sample_side"):
        latent = int(config["sample_side"]) // scale
    channels = int(image.get("latent_channels") or 16)
    packed = math.isqrt(int(network.get("in_channels") or channels) // channels)  # FLUX: 2
    patch = max(int(network.get("patch_size") or 1), packed)
    has_t5 = config.get("use_t5", True) and (folder / "text_encoder_3").is_dir()
    text = int(config.get("max_text_tokens") or (has_t5 and config.get("max_t5_tokens")) or 0)
    try:
        parts = {part.name: _numbers_of(part) for part in folder.iterdir() if part.is_dir()}
    except (OSError, ValueError):
        return None
    own = parts.pop("transformer")
    return Model(
        numbers=own,
        others=sum(parts.values()),
        layers=layers,
        width=width,
        tokens=(latent // patch) ** 2 + TEXT_TOKENS + text,
        side=latent * scale,
        channels=int(blocks[min(1, len(blocks) - 1)]),
    )


def footprint(config: RunConfig, model: Model) -> Footprint:
    """The range of a run's memory on its device."""
    sampling, optim = config.sampling, config.optim
    family = policies.get(config.policy.family).Config
    held = 4 if family.read(config.policy.config).dtype == "float32" else 2
    size = 2 if sampling.bf16 else 4
    guided = 1 if sampling.guidance == 1 else 2
    learns = 1 if (sampling.train_guidance or sampling.guidance) == 1 else 2
    trained = model.numbers
    if optim.train == "lora":
        trained = model.layers * LORA_LAYERS * 2.0 * model.width * optim.lora_rank
    copies = 20 if optim.ema_decay > 0 else 16
    fixed = (model.numbers + model.others) * held + copies * trained
    point = model.tokens * model.width
    layer = 34 * size / 2
    kept = 2 * model.layers + layer if optim.checkpointing else layer * model.layers
    update = sampling.update_batch_size * learns * point * kept
    sample = sampling.batch_size * guided * point * 12 * size
    maps = 24.0 if held == 4 else 6.0
    decode = sampling.decode_batch_size * model.side**2 * model.channels * maps
    work = (update, sample, decode)
    return Footprint(fixed + 0.7 * max(work), fixed + 1.3 * sum(work))


def less(config: RunConfig, share: float) -> dict[str, Any]:
    """Changes by dotted path that bring what a run needs besides its weights to about `share`."""
    sampling = config.sampling
    names = ("batch_size", "update_batch_size", "decode_batch_size")
    share = max(share, 1 / 64)
    changes: dict[str, Any] = {
        f"sampling.{name}": max(1, math.floor(getattr(sampling, name) * share)) for name in names
    }
    if share < 0.25:
        changes["optim.checkpointing"] = True
    return changes


def _numbers_of(folder: Path) -> int:
    """Weights in a folder's files: each begins with the length of a JSON header, and the header."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, path.stat().st_size)))
        total += sum(math.prod(one["shape"]) for name, one in header.items() if name != NOTES)
    return total
