"""Stable Diffusion 3: any checkpoint in the layout of diffusers' `StableDiffusion3Pipeline`.

The pocket model and SD3.5-M load through the same lines. Text is up to three encoders' tokens side
by side and a pooled vector; the network is told 1000·σ and answers with the velocity itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from backend.policies._pipeline import (
    ATTENTION,
    PipelineConfig,
    PipelinePolicy,
    check_length,
    num_tokens,
)
from backend.rl.sigma import TIMESTEPS
from backend.types import Cond

if TYPE_CHECKING:
    from torch import Tensor

TITLE = "Stable Diffusion 3"


class Config(PipelineConfig):
    """Which weights, and how they are held."""

    weights: str = "pocket"
    """"pocket", a folder in the diffusers layout, or a hub id such as
    stabilityai/stable-diffusion-3.5-medium."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision in which the frozen weights are held; what trains is always float32."""
    use_t5: bool = True
    """Load the third text encoder if the checkpoint has one; without it long prompts do not fit."""
    max_t5_tokens: int = Field(256, ge=1, le=512, json_schema_extra={"unit": "tokens"})
    """Text tokens given to the third text encoder; more cost time in every evaluation."""


class Sd3Policy(PipelinePolicy[Config]):
    """A loaded Stable Diffusion 3 pipeline."""

    FAMILY = "sd3"
    PIPELINE = "StableDiffusion3Pipeline"
    LORA_TARGETS = (
        *ATTENTION,
        *("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2"),
    )

    def __init__(self, pipeline: Any, config: Config) -> None:
        super().__init__(pipeline, config)
        has_t5 = pipeline.text_encoder_3 is not None
        self.max_sequence_length = config.max_t5_tokens if has_t5 else 0
        """What the stock pipeline must be given to see the same text tokens: 0 without T5."""

    @classmethod
    def _optional(cls, config: Config) -> dict[str, bool]:
        return {"text_encoder_3": config.use_t5, "tokenizer_3": config.use_t5}

    def _ask(self, latent: Tensor, sigma: Tensor, cond: Mapping[str, Tensor]) -> Any:
        return self.network(
            latent,
            encoder_hidden_states=cond["text"],
            pooled_projections=cond["pooled"],
            timestep=sigma * TIMESTEPS,
        ).sample

    def _embed_prompt(self, prompt: str) -> Cond:
        self._check_fits(prompt)
        text, _, pooled, _ = self.pipeline.encode_prompt(
            prompt=prompt,
            prompt_2=None,
            prompt_3=None,
            device=self.device,
            do_classifier_free_guidance=False,
            max_sequence_length=self.max_sequence_length,
        )
        return Cond({"text": text, "pooled": pooled})

    def _check_fits(self, prompt: str) -> None:
        """The longest-sighted text encoder must see the whole prompt."""
        tokenizer, limit = self.pipeline.tokenizer, self.pipeline.tokenizer.model_max_length
        if self.max_sequence_length:
            tokenizer, limit = self.pipeline.tokenizer_3, self.max_sequence_length
        check_length(prompt, num_tokens(tokenizer, prompt), limit)


load = Sd3Policy.load
