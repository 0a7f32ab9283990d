"""Z-Image: any checkpoint in the layout of diffusers' `ZImagePipeline`.

The network is told 1 − σ, and answers with data − noise: the velocity is its negative. It places
the picture's tokens behind the text's, so a prompt keeps its own length: a row holds its tokens,
padding and their number, and the network gets a list. In the network text is padded to multiples of
32 with a learnt token, and beyond that masked, so a row depends on its company by rounding only.

The stock pipeline's guidance g is v_c + g·(v_c − v_u); here w = 1 + g, so its 0 is our 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from backend.policies._pipeline import PipelineConfig, PipelinePolicy, check_length, num_tokens
from backend.types import Cond

if TYPE_CHECKING:
    from torch import Tensor

TITLE = "Z-Image"


class Config(PipelineConfig):
    """Which weights, and how long a prompt may be."""

    weights: str = "Tongyi-MAI/Z-Image-Turbo"
    """A folder in the diffusers layout, or a hub id such as Tongyi-MAI/Z-Image-Turbo."""
    max_text_tokens: int = Field(512, ge=8, le=512, json_schema_extra={"unit": "tokens"})
    """Longest prompt, with the chat template around it; shorter ones cost less."""


class ZImagePolicy(PipelinePolicy[Config]):
    """A loaded Z-Image pipeline."""

    FAMILY = "z-image"
    PIPELINE = "ZImagePipeline"
    EXPLICIT_SIGMAS = True
    LORA_TARGETS = (
        *("attention.to_q", "attention.to_k", "attention.to_v", "attention.to_out.0"),
        *("feed_forward.w1", "feed_forward.w2", "feed_forward.w3"),
    )

    def _ask(self, latent: Tensor, sigma: Tensor, cond: Mapping[str, Tensor]) -> Any:
        import torch

        lengths = cond["length"].tolist()
        text = [row[:length] for row, length in zip(cond["text"], lengths, strict=True)]
        frames = self.network(list(latent[:, :, None]), 1 - sigma, text).sample
        return -torch.stack(frames)[:, :, 0]

    def _embed_prompt(self, prompt: str) -> Cond:
        import torch
        from torch.nn.functional import pad

        limit, tokenizer = self.config.max_text_tokens, self.pipeline.tokenizer
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=True,
        )
        check_length(prompt, num_tokens(tokenizer, asked), limit)
        [text], _ = self.pipeline.encode_prompt(
            prompt,
            device=self.device,
            do_classifier_free_guidance=False,
            max_sequence_length=limit,
        )
        length = torch.tensor([len(text)], device=self.device)
        return Cond({"text": pad(text, (0, 0, 0, limit - len(text)))[None], "length": length})


load = ZImagePolicy.load
