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
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from backend.policies._pipeline import PipelineConfig, PipelinePolicy, check_length, num_tokens
from backend.rl.sigma import TIMESTEPS
from backend.types import Cond

if TYPE_CHECKING:
    from torch import Tensor

TITLE = "Sana"


class Config(PipelineConfig):
    """Which weights, and how prompts are put to their text model."""

    weights: str = "Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers"
    """A folder in the diffusers layout, or a hub id such as
    Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers."""
    max_text_tokens: int = Field(300, ge=8, le=300, json_schema_extra={"unit": "tokens"})
    """Text tokens of every prompt, padding included, without the instruction."""
    use_instruction: bool = True
    """Precede a prompt by the stock pipeline's instruction to the text model."""


class SanaPolicy(PipelinePolicy[Config]):
    """A loaded Sana pipeline."""

    FAMILY = "sana"
    PIPELINE = "SanaPipeline"
    PATCH = 1
    LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0")

    def __init__(self, pipeline: Any, config: Config) -> None:
        super().__init__(pipeline, config)
        pipeline.scheduler = _euler(pipeline.scheduler)
        call = inspect.signature(type(pipeline).__call__).parameters
        instruction = call["complex_human_instruction"].default
        self.instruction: list[str] | None = instruction if config.use_instruction else None

    def _ask(self, latent: Tensor, sigma: Tensor, cond: Mapping[str, Tensor]) -> Any:
        facts = self.network.config
        answer = self.network(
            latent,
            cond["text"],
            sigma * TIMESTEPS * facts.timestep_scale,
            encoder_attention_mask=cond["mask"],
        ).sample
        return answer[:, : facts.in_channels]  # some also answer with a variance

    def _embed_prompt(self, prompt: str) -> Cond:
        limit = self.config.max_text_tokens
        check_length(prompt, num_tokens(self.pipeline.tokenizer, prompt), limit)
        text, mask, _, _ = self.pipeline.encode_prompt(
            prompt,
            do_classifier_free_guidance=False,
            device=self.device,
            max_sequence_length=limit,
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


load = SanaPolicy.load
