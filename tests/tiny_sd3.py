"""A tiny random checkpoint in the stock layout: the same code path as the pocket model and SD3.5-M.

`save_tiny(folder, t5=False)` writes a StableDiffusion3Pipeline of a few thousand parameters; the
`tiny_sd3` fixture makes one a session. Its pictures mean nothing, which is all that plumbing needs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from backend.policies import sd3
from backend.types import Policy

NUM_TOKENS = 16
WORDS = (  # longer ones first: a word's pieces must not be taken by a shorter one's merges
    *("background", "green", "large", "red", "blue", "circle", "square", "white", "on", "a"),
)
PROMPTS = ["a red circle", "a blue square", "a green circle on a blue square", "a white square"]


def save_tiny(folder: Path, *, t5: bool = False) -> Path:
    """Write the checkpoint to `folder`, the same for every call."""
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    torch.manual_seed(0)
    tokenizer = clip_tokenizer(folder / "words")
    transformer = SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=32,
        caption_projection_dim=16,
        pooled_projection_dim=32,
        pos_embed_max_size=8,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    open_eyes(transformer)
    pipeline = StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=picture_vae(scaling_factor=1.5305, shift_factor=0.0609),
        text_encoder=clip_text_encoder(tokenizer),
        tokenizer=tokenizer,
        text_encoder_2=clip_text_encoder(tokenizer),
        tokenizer_2=tokenizer,
        text_encoder_3=t5_encoder() if t5 else None,
        tokenizer_3=word_tokenizer() if t5 else None,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def load_tiny(folder: Path, **config: Any) -> sd3.Sd3Policy:
    """The checkpoint as a policy."""
    return sd3.load(sd3.Config(weights=str(folder), **config))


@pytest.fixture(scope="session")
def tiny_sd3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny checkpoint, without a third text encoder."""
    torch.set_num_threads(1)
    return save_tiny(tmp_path_factory.mktemp("tiny") / "sd3")


@pytest.fixture
def tiny_policy(tiny_sd3: Path) -> sd3.Sd3Policy:
    """The tiny checkpoint as a policy without an adapter; each test has its own."""
    return load_tiny(tiny_sd3)


def fill_adapter(policy: Policy, size: float = 0.3) -> None:
    """Give a fresh adapter random weights, so that it changes pictures."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in policy.trainable().values():
            parameter.copy_(size * torch.randn_like(parameter))


def open_eyes(network: torch.nn.Module) -> None:
    """A fresh network is blind to sigma and prompt: its gates are zero."""
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)


def picture_vae(**facts: float) -> Any:
    """An image VAE of 4 channels that halves each side."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=16,
        use_quant_conv=False,
        use_post_quant_conv=False,
        **facts,
    )


def clip_tokenizer(folder: Path, length: int = NUM_TOKENS) -> Any:
    """Knows the words of `PROMPTS`, a token each; pads to `length`."""
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    merges, tokens = [], [*letters, *(f"{letter}</w>" for letter in letters)]
    for word in WORDS:
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        while len(pieces) > 1:
            merges.append(" ".join(pieces[:2]))
            pieces = ["".join(pieces[:2]), *pieces[2:]]
            tokens.append(pieces[0])
    vocab = {token: i for i, token in enumerate(dict.fromkeys([*tokens, "<start>", "<end>"]))}
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *dict.fromkeys(merges)]) + "\n")
    marks = {
        "bos_token": "<start>",
        "eos_token": "<end>",
        "pad_token": "<end>",
        "unk_token": "<end>",
    }
    return CLIPTokenizer.from_pretrained(folder, model_max_length=length, **marks)


def clip_text_encoder(
    tokenizer: Any, *, projection: bool = True, positions: int = NUM_TOKENS
) -> Any:
    """A CLIP text model of width 16."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        projection_dim=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=positions,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config)


def t5_encoder(width: int = 32) -> Any:
    """A T5 encoder of one layer."""
    from transformers import T5Config, T5EncoderModel

    sizes: dict[str, Any] = {
        "d_model": width,
        "d_ff": 16,
        "d_kv": 8,
        "num_layers": 1,
        "num_heads": 2,
    }
    return T5EncoderModel(T5Config(vocab_size=64, **sizes))


def word_tokenizer(**options: Any) -> Any:
    """A token for every word of `PROMPTS`, one for all others, and an end mark."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocab = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    marks = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks, **options)
