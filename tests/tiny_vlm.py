"""Tiny random vision-language models of Qwen's families in the stock layout: tokeniser with a chat
template, processor's sizes, configuration and safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.tiny_sd3 import WORDS

MARKS = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
TEMPLATE = (
    "{% for message in messages %}{% if loop.first %}<|im_start|>system\nYou help.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}"
    "{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As Qwen's: a system's turn, the person's, and the beginning of the answer."""
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 4096,
    "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4},
}


def tokenizer() -> Any:
    """The marks of a chat, some words, Yes and No, a token each."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "<unk>", "Yes", "No", "system", "user", "assistant", "picture", *WORDS]
    vocab = {name: at for at, name in enumerate(names)}
    made = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    found = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", eos_token="<|im_end|>"
    )
    found.add_tokens(list(MARKS), special_tokens=True)
    found.chat_template = TEMPLATE
    return found


def save(folder: Path, family: str) -> Path:
    """Write a checkpoint of "qwen2" (patches of 14) or "qwen3" (of 16), the same for every call."""
    import transformers

    words = tokenizer()
    ids = {f"{name}_token_id": words.convert_tokens_to_ids(mark) for name, mark in _ROLES.items()}
    text = {**TEXT, "vocab_size": len(words)}
    torch.manual_seed(4)
    if family == "qwen2":
        vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2}
        config = transformers.Qwen2VLConfig(text_config=text, vision_config=vision, **ids)
        model: Any = transformers.Qwen2VLForConditionalGeneration(config)
    else:
        vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2}
        more = {"out_hidden_size": 32, "deepstack_visual_indexes": [0], "patch_size": 16}
        config = transformers.Qwen3VLConfig(
            text_config={**text, "head_dim": 16}, vision_config={**vision, **more}, **ids
        )
        model = transformers.Qwen3VLForConditionalGeneration(config)
    for parameter in model.parameters():  # a fresh one is nearly blind
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.generation_config.eos_token_id = words.convert_tokens_to_ids("<|im_end|>")
    model.save_pretrained(folder, safe_serialization=True)
    words.save_pretrained(folder)
    sizes = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
    if family == "qwen3":
        sizes |= {"patch_size": 16, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    bounds = {"min_pixels": 3136, "max_pixels": 1_003_520}
    (folder / "preprocessor_config.json").write_text(json.dumps({**sizes, **bounds}))
    return folder


_ROLES = {
    "image": "<|image_pad|>",
    "video": "<unk>",
    "vision_start": "<|vision_start|>",
    "vision_end": "<|vision_end|>",
}
