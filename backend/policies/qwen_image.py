"""Qwen-Image: any checkpoint in the layout of diffusers' `QwenImagePipeline`.

The network sees tokens of 2×2 latent pixels, is told σ itself and answers with the velocity. Its
VAE is one for video, given a single frame, with a mean and a spread for every latent channel.

Two things depart from the stock pipeline. Every prompt is padded to one length and the padding
masked, so that prompts of any length share a batch and a row never depends on its company. And
guidance here is v_u + w·(v_c − v_u), without the stock pipeline's rescaling to the norm of v_c.
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

TITLE = "Qwen-Image"


class Config(PipelineConfig):
    """Which weights, and how they are held."""

    weights: str = "Qwen/Qwen-Image"
    """A folder in the diffusers layout, or a hub id such as Qwen/Qwen-Image."""
    max_text_tokens: int = Field(256, ge=8, le=1024, json_schema_extra={"unit": "tokens"})
    """Text tokens of every prompt, padding included; more cost time in every evaluation."""


def load(config: Config, device: str = "cpu") -> QwenImagePolicy:
    """Load a checkpoint; raises PolicyError with a sentence if it is missing or of another kind."""
    return QwenImagePolicy(load_pipeline("QwenImagePipeline", config, device), config)


class QwenImagePolicy(PipelinePolicy):
    """A loaded Qwen-Image pipeline as a `backend.types.Policy`."""

    FAMILY = "qwen-image"
    LORA_TARGETS = (
        *ATTENTION,
        *("img_mlp.net.0.proj", "img_mlp.net.2", "txt_mlp.net.0.proj", "txt_mlp.net.2"),
    )
    CHANNELS_LAST = False  # its convolutions are three-dimensional

    def __init__(self, pipeline: Any, config: Config) -> None:
        factor = pipeline.vae_scale_factor
        super().__init__(
            pipeline, config, native_side=pipeline.default_sample_size * factor, unit=2 * factor
        )
        self.max_text_tokens = config.max_text_tokens

    def velocity(self, latent: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """v(x, σ, c); (B, C, H, W), (B,), B rows → (B, C, H, W) in the latent's precision."""
        dtype, side = self.network.dtype, self.latent_shape[1] // 2
        out: Tensor = self.network(
            hidden_states=pack(latent).to(dtype),
            timestep=sigma,
            encoder_hidden_states=cond.tensors["text"].to(dtype),
            encoder_hidden_states_mask=cond.tensors["mask"],
            img_shapes=[[(1, side, side)]] * len(latent),
            return_dict=False,
        )[0]
        return unpack(out, self.latent_shape).to(latent.dtype)

    def _latent_channels(self) -> int:
        return int(self.network.config.in_channels) // 4

    def _schedule_options(self, num_steps: int) -> dict[str, Any]:
        tokens = (self.latent_shape[1] // 2) ** 2
        return shifted(self.pipeline.scheduler, num_steps, tokens)

    def _embed_prompt(self, prompt: str) -> Cond:
        import torch
        from torch.nn.functional import pad

        asked = self.pipeline.prompt_template_encode.format(prompt)
        dropped = self.pipeline.prompt_template_encode_start_idx
        num = num_tokens(self.pipeline.tokenizer, asked) - dropped
        check_length(prompt, num, self.max_text_tokens)
        text, _ = self.pipeline.encode_prompt(prompt, device=self.device)
        padding = self.max_text_tokens - text.shape[1]
        mask = torch.arange(self.max_text_tokens, device=self.device)[None] < text.shape[1]
        return Cond({"text": pad(text, (0, 0, 0, padding)), "mask": mask})

    def _decode(self, latents: Tensor) -> Tensor:
        image: Tensor = self.pipeline.vae.decode(latents[:, :, None], return_dict=False)[0]
        return image[:, :, 0]

    def _encode(self, image: Tensor) -> Tensor:
        mean: Tensor = self.pipeline.vae.encode(image[:, :, None]).latent_dist.mean
        return mean[:, :, 0]

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
