"""FLUX.1: any checkpoint in the layout of diffusers' `FluxPipeline` (dev, schnell).

The network sees tokens of 2×2 latent pixels; latents stay (C, H, W) everywhere else, so that noise
of a seed is the stock pipeline's of that seed. It is told σ itself and answers with the velocity.
Guidance is distilled into dev: the network is told its strength, which costs no second evaluation.
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

TITLE = "FLUX.1"


class Config(PipelineConfig):
    """Which weights, and how guidance and text are given to them."""

    weights: str = "black-forest-labs/FLUX.1-dev"
    """A folder in the diffusers layout, or a hub id such as black-forest-labs/FLUX.1-dev."""
    guidance_embedding: float = Field(3.5, ge=0)
    """Strength of guidance that the network is told; schnell takes none and ignores it."""
    max_text_tokens: int = Field(512, ge=1, le=512, json_schema_extra={"unit": "tokens"})
    """Text tokens of every prompt, padding included; schnell was trained with 256."""


class FluxPolicy(PipelinePolicy[Config]):
    """A loaded FLUX.1 pipeline."""

    FAMILY = "flux"
    PIPELINE = "FluxPipeline"
    PACKED = EXPLICIT_SIGMAS = True
    LORA_TARGETS = (
        *ATTENTION,
        *("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2", "proj_mlp"),
    )

    @classmethod
    def _optional(cls, config: Config) -> dict[str, bool]:
        return {"image_encoder": False, "feature_extractor": False}

    def _ask(self, latent: Tensor, sigma: Tensor, cond: Mapping[str, Tensor]) -> Any:
        guidance = None
        if self.network.config.guidance_embeds:
            guidance = sigma.new_full(sigma.shape, self.config.guidance_embedding)
        return self.network(
            hidden_states=latent,
            timestep=sigma,
            guidance=guidance,
            encoder_hidden_states=cond["text"],
            pooled_projections=cond["pooled"],
            txt_ids=sigma.new_zeros(cond["text"].shape[1], 3),
            img_ids=self._places(sigma),
        ).sample

    def _places(self, like: Tensor) -> Tensor:
        """(0, row, column) of every token of the picture, (HW/4, 3)."""
        import torch

        side = torch.arange(self.latent_shape[1] // 2, dtype=like.dtype, device=like.device)
        return torch.cartesian_prod(side[:1], side, side)

    def _embed_prompt(self, prompt: str) -> Cond:
        limit = self.config.max_text_tokens
        check_length(prompt, num_tokens(self.pipeline.tokenizer_2, prompt), limit)
        text, pooled, _ = self.pipeline.encode_prompt(
            prompt, None, device=self.device, max_sequence_length=limit
        )
        return Cond({"text": text, "pooled": pooled})


load = FluxPolicy.load
