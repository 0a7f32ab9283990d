"""The parts of the pocket model, each of a stock diffusers or transformers class.

Every part is built here with its sizes; `save_pipeline` writes them in the layout that
`StableDiffusion3Pipeline.from_pretrained` reads. torch is imported inside the functions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from backend.errors import PolicyError
from backend.pocket import PIPELINE_DIR, world

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, SD3Transformer2DModel, StableDiffusion3Pipeline
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer

NUM_TOKENS: Final = 16
"""Text tokens of every prompt: its words, the two end marks, and padding."""

LATENT_CHANNELS: Final = 16
LATENT_SIDE: Final = 8
TEXT_WIDTH: Final = 64
"""Width of each of the two text encoders."""

START, END = "<|startoftext|>", "<|endoftext|>"


@dataclass
class Parts:
    """The trainable parts and their tokenizer, before they become a pipeline."""

    vae: AutoencoderKL
    transformer: SD3Transformer2DModel
    text_encoders: tuple[CLIPTextModelWithProjection, CLIPTextModelWithProjection]
    tokenizer: CLIPTokenizer


def build_vae() -> AutoencoderKL:
    """An autoencoder 64×64×3 → 8×8×16, narrow at full size so that decoding is quick."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 16, 32, 64),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=world.SIDE,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
        scaling_factor=1.0,
        shift_factor=0.0,
    )


def build_transformer() -> SD3Transformer2DModel:
    """Four joint blocks of width 128 on 64 image and 16 text tokens."""
    from diffusers import SD3Transformer2DModel

    return SD3Transformer2DModel(
        sample_size=LATENT_SIDE,
        patch_size=1,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_layers=4,
        attention_head_dim=32,
        num_attention_heads=4,
        joint_attention_dim=2 * TEXT_WIDTH,
        caption_projection_dim=128,
        pooled_projection_dim=2 * TEXT_WIDTH,
        pos_embed_max_size=LATENT_SIDE,
    )


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModelWithProjection:
    """A two-layer text encoder; the pipeline reads its first layer and its pooled output."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=NUM_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModelWithProjection(config)


def vocabulary() -> list[str]:
    """Every word of the pocket language, in a fixed order."""
    shapes = [form for pair in world.SHAPES.items() for form in pair]
    relations = [word for relation in world.RELATIONS for word in relation.split()]
    words = [*world.COUNTS, *world.SIZES, *world.COLOURS, *shapes, *relations]
    return list(dict.fromkeys([*words, "on", "background", *world.BACKGROUNDS]))


def build_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer in which every word of the language is one token.

    Byte-pair merges build each word from its letters; a merge added for one word never undoes an
    earlier word, because it ranks behind all merges of that word. Other words fall apart into
    letters, so they hardly fit and a policy refuses them (`check_length` in
    backend/policies/_pipeline.py).
    """
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    merges: dict[tuple[str, str], None] = {}
    for word in vocabulary():
        pieces = _merge([*word[:-1], word[-1] + "</w>"], merges)
        while len(pieces) > 1:
            merges[(pieces[0], pieces[1])] = None
            pieces = _merge(pieces, merges)
    joined = ["".join(pair) for pair in merges]
    tokens = dict.fromkeys([*letters, *(letter + "</w>" for letter in letters), *joined])
    vocab = {token: i for i, token in enumerate([*tokens, START, END])}
    with TemporaryDirectory() as folder:
        vocab_file, merges_file = Path(folder, "vocab.json"), Path(folder, "merges.txt")
        vocab_file.write_text(json.dumps(vocab), encoding="utf-8")
        lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
        merges_file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        options: dict[str, Any] = {"bos_token": START, "eos_token": END, "pad_token": END}
        options |= {"unk_token": END, "model_max_length": NUM_TOKENS}
        return CLIPTokenizer.from_pretrained(folder, **options)


def _merge(pieces: list[str], merges: dict[tuple[str, str], None]) -> list[str]:
    """Byte-pair encoding: join the pair of best rank until no known pair is left."""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    while True:
        pairs = [pair for pair in pairwise(pieces) if pair in ranks]
        if not pairs:
            return pieces
        best = min(pairs, key=ranks.__getitem__)
        at = next(i for i in range(len(pieces)) if (pieces[i], pieces[i + 1]) == best)
        pieces = [*pieces[:at], "".join(best), *pieces[at + 2 :]]


def build_pipeline(parts: Parts) -> StableDiffusion3Pipeline:
    """Put the parts into the stock pipeline, without a third text encoder."""
    from diffusers import FlowMatchEulerDiscreteScheduler, StableDiffusion3Pipeline

    return StableDiffusion3Pipeline(
        transformer=parts.transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=parts.vae,
        text_encoder=parts.text_encoders[0],
        tokenizer=parts.tokenizer,
        text_encoder_2=parts.text_encoders[1],
        tokenizer_2=parts.tokenizer,
        text_encoder_3=None,
        tokenizer_3=None,
    )


def save_pipeline(parts: Parts, folder: Path) -> None:
    """Save in the stock layout, without the folders that the parts were loaded from."""
    build_pipeline(parts).save_pretrained(folder)
    for path in folder.glob("*/config.json"):
        config = json.loads(path.read_text("utf-8"))
        if config.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load_pipeline(folder: Path = PIPELINE_DIR) -> StableDiffusion3Pipeline:
    """The pocket model as a stock pipeline in fp32; call it with max_sequence_length=0."""
    import torch
    from diffusers import StableDiffusion3Pipeline

    if not (folder / "model_index.json").is_file():
        raise PolicyError(
            f"The pocket model is missing at {folder}; restore static/pocket from the repository "
            f"or run `python -m backend.pocket.train --stage model`."
        )
    return StableDiffusion3Pipeline.from_pretrained(
        folder, text_encoder_3=None, tokenizer_3=None, dtype=torch.float32
    )
