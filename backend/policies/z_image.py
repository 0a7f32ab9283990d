"""Z-Image: any checkpoint in the layout of diffusers' `ZImagePipeline`.

The network is told 1 − σ, and answers with data − noise: the velocity is its negative. It places
the picture's tokens behind the text's, so a prompt keeps its own length: a row holds its tokens,
padding and their number, and the network gets a list. In the network text is padded to multiples of
32 with a learnt token, and beyond that masked, so a row depends on its company by rounding only.

The stock pipeline's guidance g is v_c + g·(v_c − v_u); here w = 1 + g, so its 0 is our 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from backend.policies._pipeline import (
    PipelineConfig,
    PipelinePolicy,
    check_length,
    load_pipeline,
    num_tokens,
    shifted,
)
from backend.types import Cond

if TYPE_CHECKING:
    from torch import Tensor

TITLE = "Z-Image"


class Config(PipelineConfig):
    """Which weights, and how they are held."""

    weights: str = "Tongyi-MAI/Z-Image-Turbo"
    """A folder in the diffusers layout, or a hub id such as Tongyi-MAI/Z-Image-Turbo."""
    max_text_tokens: int = Field(512, ge=8, le=512, json_schema_extra={"unit": "tokens"})
    """Longest prompt, with the chat template around it; shorter ones cost less."""


def load(config: Config, device: str = "cpu") -> ZImagePolicy:
    """Load a checkpoint; raises PolicyError with a sentence if it is missing or of another kind."""
    return ZImagePolicy(load_pipeline("ZImagePipeline", config, device), config)


class ZImagePolicy(PipelinePolicy):
    """A loaded Z-Image pipeline as a `backend.types.Policy`."""

    FAMILY = "z-image"
    LORA_TARGETS = (
        *("attention.to_q", "attention.to_k", "attention.to_v", "attention.to_out.0"),
        *("feed_forward.w1", "feed_forward.w2", "feed_forward.w3"),
    )

    def __init__(self, pipeline: Any, config: Config) -> None:
        unit = 2 * pipeline.vae_scale_factor
        super().__init__(pipeline, config, native_side=64 * unit, unit=unit)
        self.max_text_tokens = config.max_text_tokens

    def velocity(self, latent: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """v(x, σ, c); (B, C, H, W), (B,), B rows → (B, C, H, W) in the latent's precision."""
        import torch

        dtype, lengths = self.network.dtype, cond.tensors["length"].tolist()
        text = [t[:n].to(dtype) for t, n in zip(cond.tensors["text"], lengths, strict=True)]
        frames = list(latent.to(dtype)[:, :, None])
        out = self.network(frames, 1 - sigma, text, return_dict=False)[0]
        return -torch.stack(out)[:, :, 0].to(latent.dtype)

    def _schedule_options(self, num_steps: int) -> dict[str, Any]:
        tokens = (self.latent_shape[1] // 2) ** 2
        return shifted(self.pipeline.scheduler, num_steps, tokens)

    def _embed_prompt(self, prompt: str) -> Cond:
        import torch
        from torch.nn.functional import pad

        tokenizer = self.pipeline.tokenizer
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=True,
        )
        check_length(prompt, num_tokens(tokenizer, asked), self.max_text_tokens)
        [text], _ = self.pipeline.encode_prompt(
            prompt,
            device=self.device,
            do_classifier_free_guidance=False,
            max_sequence_length=self.max_text_tokens,
        )
        padded = pad(text, (0, 0, 0, self.max_text_tokens - len(text)))
        return Cond({"text": padded[None], "length": torch.tensor([len(text)], device=self.device)})
