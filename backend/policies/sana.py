"""Sana: any checkpoint in the layout of diffusers' `SanaPipeline`.

Latents are those of a deep-compression autoencoder, 32 pixels a side. The network is told 1000·σ
and answers with the velocity. A prompt is preceded by Sana's long instruction, of which only the
text model's view of the prompt is kept; the empty prompt, the unconditional row, goes without.

One thing departs from the stock checkpoints: they ship a second-order DPM solver. Every sampler
here takes plain Euler steps, whose noisy form has a probability, so the scheduler is replaced by
the flow Euler one with the same shift.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from pydantic import Field

from backend.policies._pipeline import (
    PipelineConfig,
    PipelinePolicy,
    check_length,
    load_pipeline,
    num_tokens,
)
from backend.rl.sigma import TIMESTEPS
from backend.types import Cond

if TYPE_CHECKING:
    from torch import Tensor

TITLE = "Sana"


class Config(PipelineConfig):
    """Which weights, and how they are held."""

    weights: str = "Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers"
    """A folder in the diffusers layout, or a hub id such as
    Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers."""
    max_text_tokens: int = Field(300, ge=8, le=300, json_schema_extra={"unit": "tokens"})
    """Text tokens of every prompt, padding included."""
    use_instruction: bool = True
    """Precede a prompt by the stock pipeline's instruction to the text model."""


def load(config: Config, device: str = "cpu") -> SanaPolicy:
    """Load a checkpoint; raises PolicyError with a sentence if it is missing or of another kind."""
    return SanaPolicy(load_pipeline("SanaPipeline", config, device), config)


class SanaPolicy(PipelinePolicy):
    """A loaded Sana pipeline as a `backend.types.Policy`."""

    FAMILY = "sana"
    LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0")

    def __init__(self, pipeline: Any, config: Config) -> None:
        facts, factor = pipeline.transformer.config, pipeline.vae_scale_factor
        super().__init__(
            pipeline,
            config,
            native_side=facts.sample_size * factor,
            unit=facts.patch_size * factor,
        )
        pipeline.scheduler = _euler(pipeline.scheduler)
        self.max_text_tokens = config.max_text_tokens
        call = inspect.signature(type(pipeline).__call__).parameters
        instruction = call["complex_human_instruction"].default
        self.instruction: list[str] | None = instruction if config.use_instruction else None

    def velocity(self, latent: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """v(x, σ, c); (B, C, H, W), (B,), B rows → (B, C, H, W) in the latent's precision."""
        dtype, facts = self.network.dtype, self.network.config
        out: Tensor = self.network(
            latent.to(dtype),
            encoder_hidden_states=cond.tensors["text"].to(dtype),
            encoder_attention_mask=cond.tensors["mask"],
            timestep=sigma * TIMESTEPS * facts.timestep_scale,
            return_dict=False,
        )[0]
        return out[:, : facts.in_channels].to(latent.dtype)  # some also answer with a variance

    def _embed_prompt(self, prompt: str) -> Cond:
        check_length(prompt, num_tokens(self.pipeline.tokenizer, prompt), self.max_text_tokens)
        text, mask, _, _ = self.pipeline.encode_prompt(
            prompt,
            do_classifier_free_guidance=False,
            device=self.device,
            max_sequence_length=self.max_text_tokens,
            complex_human_instruction=self.instruction if prompt else None,
        )
        return Cond({"text": text, "mask": mask})

    def _encode(self, image: Tensor) -> Tensor:
        latent: Tensor = self.pipeline.vae.encode(image).latent
        return latent


def _euler(scheduler: Any) -> Any:
    """The flow Euler scheduler with the shift of `scheduler`."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    if isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
        return scheduler
    return FlowMatchEulerDiscreteScheduler(shift=scheduler.config.get("flow_shift", 1.0))
