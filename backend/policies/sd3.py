"""Stable Diffusion 3: any checkpoint in the layout of diffusers' `StableDiffusion3Pipeline`.

The pocket model and SD3.5-M load through the same lines. Text is up to three encoders' tokens side
by side and a pooled vector; the network is told 1000·σ and answers with the velocity itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from backend.policies._pipeline import (
    ATTENTION,
    PipelineConfig,
    PipelinePolicy,
    check_length,
    dynamic_shift,
    load_pipeline,
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


def load(config: Config, device: str = "cpu") -> Sd3Policy:
    """Load a checkpoint; raises PolicyError with a sentence if it is missing or of another kind."""
    third = dict.fromkeys(("text_encoder_3", "tokenizer_3"), config.use_t5)
    return Sd3Policy(load_pipeline("StableDiffusion3Pipeline", config, device, third), config)


class Sd3Policy(PipelinePolicy):
    """A loaded Stable Diffusion 3 pipeline as a `backend.types.Policy`."""

    FAMILY = "sd3"
    LORA_TARGETS = (
        *ATTENTION,
        *("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2"),
    )

    def __init__(self, pipeline: Any, config: Config) -> None:
        facts, factor = pipeline.transformer.config, pipeline.vae_scale_factor
        self.has_t5 = pipeline.text_encoder_3 is not None
        self.max_sequence_length = config.max_t5_tokens if self.has_t5 else 0
        """What the stock pipeline must be given to see the same text tokens: 0 without T5."""
        super().__init__(
            pipeline,
            config,
            native_side=facts.sample_size * factor,
            unit=facts.patch_size * factor,
        )

    def velocity(self, latent: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """v(x, σ, c); (B, C, H, W), (B,), B rows → (B, C, H, W) in the latent's precision."""
        dtype = self.network.dtype
        out: Tensor = self.network(
            hidden_states=latent.to(dtype),
            timestep=sigma * TIMESTEPS,
            encoder_hidden_states=cond.tensors["text"].to(dtype),
            pooled_projections=cond.tensors["pooled"].to(dtype),
            return_dict=False,
        )[0]
        return out.to(latent.dtype)

    def _schedule_options(self, num_steps: int) -> dict[str, Any]:
        options: dict[str, Any] = {"num_inference_steps": num_steps}
        if self.pipeline.scheduler.config.get("use_dynamic_shifting"):
            tokens = (self.latent_shape[1] // self.network.config.patch_size) ** 2
            options["mu"] = dynamic_shift(self.pipeline.scheduler, tokens)
        return options

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
        return Cond({"text": text.to(self.network.dtype), "pooled": pooled.to(self.network.dtype)})

    def _check_fits(self, prompt: str) -> None:
        """The longest-sighted text encoder must see the whole prompt."""
        tokenizer, limit = self.pipeline.tokenizer, self.pipeline.tokenizer.model_max_length
        if self.has_t5:
            tokenizer, limit = self.pipeline.tokenizer_3, self.max_sequence_length
        check_length(prompt, num_tokens(tokenizer, prompt), limit)
