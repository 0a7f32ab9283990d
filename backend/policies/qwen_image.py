"""Qwen-Image: any checkpoint in the layout of diffusers' `QwenImagePipeline`.

The network sees tokens of 2×2 latent pixels, is told σ itself and answers with the velocity. Its
VAE is one for video, given a single frame, with a mean and a spread for every latent channel.

Two things depart from the stock pipeline. Every prompt is padded to one length and the padding
masked, so that prompts of any length share a batch and a row never depends on its company. And
guidance here is v_u + w·(v_c − v_u), without the stock pipeline's rescaling to the norm of v_c.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from backend.policies._pipeline import (
    ATTENTION,
    PipelineConfig,
    PipelinePolicy,
    check_length,
    num_tokens,
)
from backend.types import Cond

if TYPE_CHECKING:
    from torch import Tensor

TITLE = "Qwen-Image"


class Config(PipelineConfig):
    """Which weights, and how much text they are given."""

    weights: str = "Qwen/Qwen-Image"
    """A folder in the diffusers layout, or a hub id such as Qwen/Qwen-Image."""
    max_text_tokens: int = Field(256, ge=8, le=1024, json_schema_extra={"unit": "tokens"})
    """Text tokens of every prompt, padding included; more cost time in every evaluation."""


class QwenImagePolicy(PipelinePolicy[Config]):
    """A loaded Qwen-Image pipeline."""

    FAMILY = "qwen-image"
    PIPELINE = "QwenImagePipeline"
    PACKED = EXPLICIT_SIGMAS = True
    CHANNELS_LAST = False  # its convolutions are three-dimensional
    LORA_TARGETS = (
        *ATTENTION,
        *("img_mlp.net.0.proj", "img_mlp.net.2", "txt_mlp.net.0.proj", "txt_mlp.net.2"),
    )

    def _ask(self, latent: Tensor, sigma: Tensor, cond: Mapping[str, Tensor]) -> Any:
        side = self.latent_shape[1] // 2
        return self.network(
            latent,
            cond["text"],
            cond["mask"],
            timestep=sigma,
            img_shapes=[[(1, side, side)]] * len(latent),
        ).sample

    def _embed_prompt(self, prompt: str) -> Cond:
        import torch
        from torch.nn.functional import pad

        limit, pipeline = self.config.max_text_tokens, self.pipeline
        num = num_tokens(pipeline.tokenizer, pipeline.prompt_template_encode.format(prompt))
        check_length(prompt, num - pipeline.prompt_template_encode_start_idx, limit)
        text, _ = pipeline.encode_prompt(prompt, device=self.device)
        mask = torch.arange(limit, device=self.device)[None] < text.shape[1]
        return Cond({"text": pad(text, (0, 0, 0, limit - text.shape[1])), "mask": mask})

    def _decode(self, latents: Tensor) -> Tensor:
        frames: Tensor = self.pipeline.vae.decode(latents[:, :, None]).sample
        return frames[:, :, 0]

    def _encode(self, image: Tensor) -> Tensor:
        frames: Tensor = self.pipeline.vae.encode(image[:, :, None]).latent_dist.mean
        return frames[:, :, 0]

    def _unscale(self, latents: Tensor) -> Tensor:
        mean, std = self._spread(latents)
        return latents * std + mean

    def _scale(self, latents: Tensor) -> Tensor:
        mean, std = self._spread(latents)
        return (latents - mean) / std

    def _spread(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of every latent channel, (C, 1, 1) each."""
        facts = self.pipeline.vae.config
        mean, std = like.new_tensor(facts.latents_mean), like.new_tensor(facts.latents_std)
        return mean[:, None, None], std[:, None, None]


load = QwenImagePolicy.load
