"""CLIP weights in the layout of open_clip, under the names of transformers.

open_clip keeps query, key and value in one matrix and its projections the other way round; the
sizes for `config.json` are read from the tensors. HPS v2.1 comes in this layout.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from backend.errors import InputError

NAMES: Final = (
    (r"^visual\.class_embedding$", "vision_model.embeddings.class_embedding"),
    (r"^visual\.positional_embedding$", "vision_model.embeddings.position_embedding.weight"),
    (r"^visual\.conv1\.", "vision_model.embeddings.patch_embedding."),
    (r"^visual\.ln_pre\.", "vision_model.pre_layrnorm."),
    (r"^visual\.ln_post\.", "vision_model.post_layernorm."),
    (r"^visual\.transformer\.resblocks\.", "vision_model.encoder.layers."),
    (r"^positional_embedding$", "text_model.embeddings.position_embedding.weight"),
    (r"^token_embedding\.", "text_model.embeddings.token_embedding."),
    (r"^ln_final\.", "text_model.final_layer_norm."),
    (r"^transformer\.resblocks\.", "text_model.encoder.layers."),
    (r"\.ln_([12])\.", r".layer_norm\1."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
    (r"\.attn\.out_proj\.", ".self_attn.out_proj."),
)
TURNED: Final = {"visual.proj": "visual_projection", "text_projection": "text_projection"}


def as_transformers(file: Path, folder: Path) -> None:
    """Rename a safetensors file's tensors in place, and write `folder`/config.json."""
    from safetensors.torch import load_file, save_file

    held: dict[str, Any] = load_file(file)
    try:
        config = config_of(held)
        found = renamed(held)
    except KeyError as error:
        raise InputError(f"There is no {error} in it, so it is no CLIP of open_clip.") from error
    save_file({name: tensor.contiguous() for name, tensor in found.items()}, file)
    text = json.dumps(config, indent=2) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")


def renamed(held: dict[str, Any]) -> dict[str, Any]:
    """All tensors by the names of transformers."""
    found: dict[str, Any] = {"logit_scale": held["logit_scale"]}
    for name, tensor in held.items():
        if name == "logit_scale" or name.endswith("attn_mask"):
            continue
        if name in TURNED:
            found[f"{TURNED[name]}.weight"] = tensor.T
            continue
        for before, after in NAMES:
            name = re.sub(before, after, name)
        if packed := re.fullmatch(r"(.+)\.attn\.in_proj_(weight|bias)", name):
            for part, rows in zip("qkv", tensor.chunk(3), strict=True):
                found[f"{packed.group(1)}.self_attn.{part}_proj.{packed.group(2)}"] = rows.clone()
            continue
        found[name] = tensor
    return found


def config_of(held: dict[str, Any]) -> dict[str, Any]:
    """transformers' configuration. Heads are 64 wide; picture encoders beyond 1,024 have 16."""
    width, _, patch, _ = held["visual.conv1.weight"].shape
    places = held["visual.positional_embedding"].shape[0] - 1
    length, text = held["positional_embedding"].shape
    vision = {
        "hidden_size": width,
        "intermediate_size": held["visual.transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        "num_hidden_layers": _depth(held, r"visual\.transformer\.resblocks\.(\d+)\."),
        "num_attention_heads": max(1, width // 64) if width <= 1024 else 16,
        "patch_size": patch,
        "image_size": patch * round(places**0.5),
        "hidden_act": "gelu",
        "projection_dim": held["visual.proj"].shape[1],
    }
    words = {
        "vocab_size": held["token_embedding.weight"].shape[0],
        "hidden_size": text,
        "intermediate_size": held["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        "num_hidden_layers": _depth(held, r"transformer\.resblocks\.(\d+)\."),
        "num_attention_heads": max(1, text // 64),
        "max_position_embeddings": length,
        "hidden_act": "gelu",
        "projection_dim": held["text_projection"].shape[1],
        "eos_token_id": held["token_embedding.weight"].shape[0] - 1,
        "bos_token_id": held["token_embedding.weight"].shape[0] - 2,
    }
    return {
        "model_type": "clip",
        "architectures": ["CLIPModel"],
        "projection_dim": held["text_projection"].shape[1],
        "vision_config": vision,
        "text_config": words,
    }


def _depth(held: dict[str, Any], pattern: str) -> int:
    numbers = [int(found.group(1)) for name in held if (found := re.match(pattern, name))]
    return max(numbers, default=-1) + 1
