"""A network of SD3.5-medium's size with random weights in bf16: seconds an update, memory, share.

Three recipes draw, decode, score and update at 512 px on a GPU; what the pictures show does not
matter to the clock. `share` is the part of an update inside network and decoder, `speed` that of
the sampler over a tight loop of the bare network at the same batch, both from the same run.

    python -m tests.benchmarks.bench_large_model [--side 512] [--groups 4] [--out table.json]

Without a GPU it measures a network of two layers at 64 px, which says only that it runs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from backend import recipes
from backend.policies.sd3 import Config
from backend.rl.recipe import RunConfig
from tests.benchmarks.bench_grpo_step import Timed, measure
from tests.tiny_sd3 import PROMPTS, clip_text_encoder, clip_tokenizer, t5_encoder, word_tokenizer
from workers.bare import device

RECIPES = ("one-fork", "flow-grpo-fast", "g2rpo")
MEDIUM: dict[str, Any] = {
    "sample_size": 128,
    "patch_size": 2,
    "in_channels": 16,
    "out_channels": 16,
    "num_layers": 24,
    "attention_head_dim": 64,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "caption_projection_dim": 1536,
    "pos_embed_max_size": 384,
    "dual_attention_layers": tuple(range(13)),
    "qk_norm": "rms_norm",
}
"""The shape of SD3.5 medium, but for the pooled text, which is as wide as the encoders' here."""
VAE_WIDTHS = (128, 256, 512, 512)


def medium(folder: Path, side: int, *, small: bool) -> Timed:
    """The pipeline as a policy: real widths and text lengths, text encoders of one thin layer."""
    from diffusers import (
        AutoencoderKL,
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    torch.manual_seed(0)
    tokenizer = clip_tokenizer(folder / "words", 77)
    facts = MEDIUM | ({"num_layers": 2, "num_attention_heads": 2} if small else {})
    if small:
        facts |= {"caption_projection_dim": 128, "dual_attention_layers": (0,)}
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device()):
        transformer = SD3Transformer2DModel(**facts, pooled_projection_dim=32)
        vae = AutoencoderKL(
            block_out_channels=(8, 8, 8, 8) if small else VAE_WIDTHS,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=16,
            norm_num_groups=4 if small else 32,
            use_quant_conv=False,
            use_post_quant_conv=False,
            scaling_factor=1.5305,
            shift_factor=0.0609,
        )
    torch.set_default_dtype(before)
    pipeline = StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae,
        text_encoder=clip_text_encoder(tokenizer, positions=77),
        tokenizer=tokenizer,
        text_encoder_2=clip_text_encoder(tokenizer, positions=77),
        tokenizer_2=tokenizer,
        text_encoder_3=t5_encoder(width=MEDIUM["joint_attention_dim"]),
        tokenizer_3=word_tokenizer(),
    ).to(device(), torch.bfloat16)
    settings = Config(weights="random", dtype="bfloat16", sample_side=side)
    return Timed(pipeline, settings)


def settings(recipe: str, groups: int, batch: int) -> RunConfig:
    """The pocket recipe's tree and method, with so many groups an update, scored by brightness."""
    whole = recipes.load(recipe).plain()
    sampling = {
        "prompts_per_step": groups,
        "batch_size": batch,
        "update_batch_size": max(1, batch // 4),
        "decode_batch_size": batch,
    }
    return RunConfig.read(
        whole
        | {
            "rewards": [{"name": "brightness", "kind": "brightness"}],
            "watch": [],
            "sampling": {**whole["sampling"], **sampling},
            "optim": {**whole["optim"], "checkpointing": True},
            "compose": {**whole["compose"], "floor": 0.0},
            "record_groups": 0,
        }
    )


def main() -> None:
    """Measure the recipes one after the other on the same weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--groups", type=int, default=4)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    on_gpu = device() == "cuda"
    side = asked.side if on_gpu else 64
    with TemporaryDirectory() as name:
        policy = medium(Path(name), side, small=not on_gpu)
    weights = sum(p.numel() for p in policy.network.parameters())
    table: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "torch": torch.__version__,
        "parameters": weights,
        "side": side,
        "groups": asked.groups,
        "batch": asked.batch,
        "recipes": {},
    }
    for recipe in RECIPES:
        config = settings(recipe, asked.groups, asked.batch)
        if on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        row = measure(config, PROMPTS, steps=asked.steps, policy=policy)
        pictures = asked.groups * config.method.settings["group_size"]
        row["pictures_per_s"] = pictures / row["step_s"]
        row["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else float("nan")
        table["recipes"][recipe] = row
        print(
            f"{recipe}: {row['step_s']:.2f} s an update of {pictures} pictures "
            f"({row['pictures_per_s']:.2f} a second), peak {row['peak_gib']:.1f} GiB, "
            f"share {row['share']:.3f}, sampler over tight loop {row['speed']:.3f}",
            flush=True,
        )
    if asked.out:
        asked.out.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
