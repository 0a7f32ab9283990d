"""FLUX.1: any checkpoint in the layout of diffusers' `FluxPipeline` (dev, schnell).

The network sees tokens of 2×2 latent pixels; latents stay (C, H, W) everywhere else, so that noise
of a seed is the stock pipeline's of that seed. It is told σ itself and answers with the velocity.
Guidance is distilled into dev: the network is told its strength, which costs no second evaluation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from backend.policies._pipeline import (
    ATTENTION,
    PipelineConfig,
    PipelinePolicy,
    check_length,
    load_pipeline,
    num_tokens,
    pack,
    shifted,
    unpack,
)
from backend.types import Cond

if TYPE_CHECKING:
    from torch import Tensor

TITLE = "FLUX.1"


class Config(PipelineConfig):
    """Which weights, and how they are held."""

    weights: str = "black-forest-labs/FLUX.1-dev"
    """A folder in the diffusers layout, or a hub id such as black-forest-labs/FLUX.1-dev."""
    guidance_embedding: float = Field(3.5, ge=0)
    """Strength of guidance that the network is told; schnell takes none and ignores it."""
    max_text_tokens: int = Field(512, ge=1, le=512, json_schema_extra={"unit": "tokens"})
    """Text tokens of every prompt, padding included; schnell was trained with 256."""


def load(config: Config, device: str = "cpu") -> FluxPolicy:
    """Load a checkpoint; raises PolicyError with a sentence if it is missing or of another kind."""
    unused = {"image_encoder": False, "feature_extractor": False}
    return FluxPolicy(load_pipeline("FluxPipeline", config, device, unused), config)


class FluxPolicy(PipelinePolicy):
    """A loaded FLUX.1 pipeline as a `backend.types.Policy`."""

    FAMILY = "flux"
    LORA_TARGETS = (
        *ATTENTION,
        *("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2"),
        "proj_mlp",
    )

    def __init__(self, pipeline: Any, config: Config) -> None:
        factor = pipeline.vae_scale_factor
        super().__init__(
            pipeline, config, native_side=pipeline.default_sample_size * factor, unit=2 * factor
        )
        self.max_text_tokens = config.max_text_tokens
        self.guidance = config.guidance_embedding if self.network.config.guidance_embeds else None

    def velocity(self, latent: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """v(x, σ, c); (B, C, H, W), (B,), B rows → (B, C, H, W) in the latent's precision."""
        dtype, text = self.network.dtype, cond.tensors["text"]
        out: Tensor = self.network(
            hidden_states=pack(latent).to(dtype),
            timestep=sigma,
            guidance=None if self.guidance is None else sigma.new_full(sigma.shape, self.guidance),
            encoder_hidden_states=text.to(dtype),
            pooled_projections=cond.tensors["pooled"].to(dtype),
            txt_ids=sigma.new_zeros(text.shape[1], 3),
            img_ids=self._places(sigma),
            return_dict=False,
        )[0]
        return unpack(out, self.latent_shape).to(latent.dtype)

    def _places(self, like: Tensor) -> Tensor:
        """(0, row, column) of every token of the picture, (HW/4, 3)."""
        import torch

        side = torch.arange(self.latent_shape[1] // 2, dtype=like.dtype, device=like.device)
        return torch.cartesian_prod(side[:1], side, side)

    def _latent_channels(self) -> int:
        return int(self.network.config.in_channels) // 4

    def _schedule_options(self, num_steps: int) -> dict[str, Any]:
        tokens = (self.latent_shape[1] // 2) ** 2
        return shifted(self.pipeline.scheduler, num_steps, tokens)

    def _embed_prompt(self, prompt: str) -> Cond:
        check_length(prompt, num_tokens(self.pipeline.tokenizer_2, prompt), self.max_text_tokens)
        text, pooled, _ = self.pipeline.encode_prompt(
            prompt, None, device=self.device, max_sequence_length=self.max_text_tokens
        )
        return Cond({"text": text, "pooled": pooled})
