"""What the families share: a diffusers pipeline as a policy, but for its network's conventions.

`PipelinePolicy` is a policy except for how its network is asked and a prompt is embedded, which is
what a family is. Its decode and encode are those of an image VAE with a scale and a shift.

torch and diffusers are imported when a model is loaded, never when this file is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Self, TypeVar

import numpy as np
from pydantic import Field

from backend.config import Config as Settings
from backend.errors import ConfigError, InputError, PolicyError
from backend.policies._adapters import Adapted
from backend.rl.sigma import check_schedule
from backend.types import Cond, Pictures

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ATTENTION = (
    *("to_q", "to_k", "to_v", "to_out.0"),
    *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
)
"""Attention of two streams that see each other, picture and text: ends of layer names."""

CACHE_BYTES = 2**30
"""Room for prompt embeddings; the oldest leave first."""


class PipelineConfig(Settings):
    """Which weights, and how they are held."""

    weights: str
    """A folder in the diffusers layout, or a hub id such as 'owner/name'."""
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """Precision in which the frozen weights are held; what trains is always float32."""
    sample_side: int | None = Field(None, ge=8, json_schema_extra={"unit": "pixels"})
    """Height and width of pictures; empty takes the checkpoint's own."""


C = TypeVar("C", bound=PipelineConfig)


def load_pipeline(
    name: str, config: PipelineConfig, device: str, optional: Mapping[str, bool] | None = None
) -> Any:
    """A pipeline of the diffusers class `name`; raises PolicyError if that is not what lies there.

    `optional` names components that a checkpoint may lack, and whether each is wanted.
    """
    import diffusers
    import torch
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()
    source = find_weights(config.weights)
    kind = getattr(diffusers, name)
    try:
        index = kind.load_config(source)
        found = index.get("_class_name", name)
        if found != name:
            raise PolicyError(
                f"The weights '{config.weights}' belong to a {found} and this family loads a "
                f"{name}; choose the other family, or other weights."
            )
        lacking = {
            part: None
            for part, wanted in (optional or {}).items()
            if not (wanted and (index.get(part) or [None])[0])
        }
        pipeline = kind.from_pretrained(
            source, dtype=getattr(torch, config.dtype), use_safetensors=True, **lacking
        )
    except (OSError, ValueError, AttributeError, TypeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PolicyError(
            f"The weights '{config.weights}' could not be loaded as a {name} ({reason}); give a "
            "folder or hub id in the diffusers layout, with safetensors."
        ) from error
    return pipeline.to(device)


def find_weights(weights: str) -> str:
    """The folder or hub id that `weights` means; "pocket" is the model in this repository."""
    if weights != "pocket":
        folder = Path(weights).expanduser()
        looks_local = weights.startswith((".", "/", "~")) or weights.count("/") != 1
        if looks_local and not folder.is_dir():
            raise PolicyError(
                f"There is no folder '{weights}' to load weights from; give an existing folder, a "
                "hub id such as 'owner/name', or 'pocket'."
            )
        return str(folder) if folder.is_dir() else weights
    from backend.pocket import PIPELINE_DIR

    if not (PIPELINE_DIR / "model_index.json").is_file():
        raise PolicyError(
            f"The pocket model is missing at {PIPELINE_DIR}; get the repository's static/pocket "
            "folder again, or train it with `python -m backend.pocket.train`."
        )
    return str(PIPELINE_DIR)


def num_tokens(tokenizer: Any, text: str) -> int:
    """Tokens of a text, none cut off."""
    return len(tokenizer(text, truncation=False, verbose=False)["input_ids"])


def check_length(prompt: str, num: int, limit: int) -> None:
    """Raise InputError for a prompt of more tokens than `limit`; pipelines cut in silence."""
    if num > limit:
        raise InputError(
            f"The prompt '{prompt}' has {num} tokens with its end marks and this model takes "
            f"{limit}; shorten it, or use words the model knows."
        )


def dynamic_shift(scheduler: Any, tokens: int) -> float:
    """The scheduler's `mu` for a picture of so many tokens: a line through its two fixed points."""
    facts = scheduler.config
    few, many = facts.get("base_image_seq_len", 256), facts.get("max_image_seq_len", 4096)
    low, high = facts.get("base_shift", 0.5), facts.get("max_shift", 1.15)
    slope = (high - low) / (many - few)
    return float(tokens * slope + (low - slope * few))


def pack(latent: Tensor) -> Tensor:
    """Squares of 2×2 latent pixels as tokens: (B, C, H, W) → (B, HW/4, 4C)."""
    B, C, H, W = latent.shape
    squares = latent.view(B, C, H // 2, 2, W // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return squares.reshape(B, H * W // 4, 4 * C)


def unpack(tokens: Tensor, shape: Sequence[int]) -> Tensor:
    """The inverse of `pack`; `shape` is (C, H, W)."""
    C, H, W = shape
    squares = tokens.view(-1, H // 2, W // 2, C, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return squares.reshape(-1, C, H, W)


class PipelinePolicy(Adapted, Generic[C]):
    """A loaded diffusers pipeline as a `backend.types.Policy`; a family adds what it knows."""

    PIPELINE: ClassVar[str]
    """Name of the class in diffusers."""
    PACKED: ClassVar[bool] = False
    """Whether the network sees tokens of 2×2 latent pixels."""
    PATCH: ClassVar[int] = 2
    """Latent pixels along the side of a token."""
    EXPLICIT_SIGMAS: ClassVar[bool] = False
    """Whether the stock pipeline gives its scheduler sigmas, 1 to 1/T, or a number of steps."""
    CHANNELS_LAST: ClassVar[bool] = True
    """Whether the VAE's convolutions run channels last: on a CPU half as fast again, to 1e-5."""

    @classmethod
    def load(cls, config: C, device: str = "cpu") -> Self:
        """Load a checkpoint; raises PolicyError if it is missing or of another kind."""
        return cls(load_pipeline(cls.PIPELINE, config, device, cls._optional(config)), config)

    def __init__(self, pipeline: Any, config: C) -> None:
        import torch

        super().__init__(pipeline.transformer)
        self.pipeline, self.config = pipeline, config
        self.device: torch.device = next(self.network.parameters()).device
        self._cache: OrderedDict[str, Cond] = OrderedDict()
        self._released = False
        for part in (pipeline.vae, *self._encoders().values()):
            part.requires_grad_(False).eval()
        if self.CHANNELS_LAST:
            pipeline.vae.to(memory_format=torch.channels_last)
        facts, factor = self.network.config, pipeline.vae_scale_factor
        self.side: int = config.sample_side or facts.get("sample_size", 128) * factor
        if self.side % (self.PATCH * factor):
            raise ConfigError(
                f"Pictures of {self.side} pixels do not divide into this model's patches; "
                f"take a multiple of {self.PATCH * factor}.",
                field="sample_side",
            )
        channels = facts.in_channels // 4 if self.PACKED else facts.in_channels
        self.latent_shape = (int(channels), self.side // factor, self.side // factor)

    # --- what a family adds ----------------------------------------------------------------------

    @classmethod
    def _optional(cls, config: C) -> dict[str, bool]:
        """Components that a checkpoint may lack, and whether each is wanted."""
        return {}

    def _ask(self, latent: Tensor, sigma: Tensor, cond: Mapping[str, Tensor]) -> Any:
        """The network's velocity, whatever it calls its inputs; all in the network's precision."""
        raise NotImplementedError

    def _embed_prompt(self, prompt: str) -> Cond:
        """One row; raises InputError for a prompt that does not fit."""
        raise NotImplementedError

    # --- the network -----------------------------------------------------------------------------

    def schedule(self, num_steps: int) -> list[float]:
        """The sigmas of the stock pipeline's own scheduler, T + 1 values."""
        scheduler = self.pipeline.scheduler
        options: dict[str, Any] = {"num_inference_steps": num_steps}
        if self.EXPLICIT_SIGMAS:
            options = {"sigmas": np.linspace(1.0, 1 / num_steps, num_steps)}
        if scheduler.config.get("use_dynamic_shifting"):
            options["mu"] = dynamic_shift(scheduler, (self.latent_shape[1] // self.PATCH) ** 2)
        scheduler.set_timesteps(**options)
        sigmas = [float(sigma) for sigma in scheduler.sigmas]
        check_schedule(sigmas)
        return sigmas

    def velocity(self, latent: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """v(x, σ, c); (B, C, H, W), (B,), B rows → (B, C, H, W) in the latent's precision."""
        dtype = self.network.dtype
        known = {
            name: tensor.to(dtype) if tensor.is_floating_point() else tensor
            for name, tensor in cond.tensors.items()
        }
        seen = pack(latent) if self.PACKED else latent
        answer: Tensor = self._ask(seen.to(dtype), sigma, known)
        if self.PACKED:
            answer = unpack(answer, self.latent_shape)
        return answer.to(latent.dtype)

    def enable_checkpointing(self, on: bool) -> None:
        """Compute activations again in the backward pass instead of keeping them."""
        if on:
            self.network.enable_gradient_checkpointing()
        else:
            self.network.disable_gradient_checkpointing()

    # --- prompts ---------------------------------------------------------------------------------

    def embed(self, prompts: Sequence[str]) -> Cond:
        """Embed prompts one at a time, so that a row never depends on its company; cached."""
        rows = Cond.cat([self._embed_one(prompt) for prompt in prompts])
        return Cond({name: tensor.to(self.device) for name, tensor in rows.tensors.items()})

    def release_encoders(self, prompts: Sequence[str]) -> None:
        """Embed these prompts and the empty one, keep them in main memory, free the encoders."""
        kept = OrderedDict(
            (prompt, Cond({name: tensor.cpu() for name, tensor in cond.tensors.items()}))
            for prompt in dict.fromkeys(["", *prompts])
            for cond in [self._embed_one(prompt)]
        )
        self._cache, self._released = kept, True
        for name in self._encoders():
            setattr(self.pipeline, name, None)

    def _embed_one(self, prompt: str) -> Cond:
        import torch

        if prompt in self._cache:
            self._cache.move_to_end(prompt)
            return self._cache[prompt]
        if self._released:
            raise InputError(
                f"The prompt '{prompt}' was not embedded before the text encoders were released; "
                "name it among the run's prompts, or load the model again."
            )
        with torch.no_grad():
            cond = self._embed_prompt(prompt)
        size = sum(t.numel() * t.element_size() for t in cond.tensors.values())
        while len(self._cache) >= max(CACHE_BYTES // size, 1):
            self._cache.popitem(last=False)
        self._cache[prompt] = cond
        return cond

    def _encoders(self) -> dict[str, Any]:
        """The text encoders that are loaded, by their name in the pipeline."""
        parts = self.pipeline.components.items()
        return {name: part for name, part in parts if name.startswith("text_encoder") and part}

    # --- pictures --------------------------------------------------------------------------------

    def decode(self, latents: Tensor) -> Pictures:
        """z / scale + shift through the decoder, as the stock pipeline does; uint8 (B, h, w, 3)."""
        import torch

        vae = self.pipeline.vae
        with torch.no_grad():
            image = self._decode(self._unscale(latents).to(vae.dtype))
        pictures = self.pipeline.image_processor.postprocess(image.float(), output_type="np")
        return np.asarray((pictures * 255).round().astype(np.uint8))

    def encode(self, images: Pictures) -> Tensor:
        """Pictures uint8 (B, h, w, 3) as latents at sigma 0, float32: the posterior's mean."""
        import torch

        wanted = (self.side, self.side, 3)
        if images.ndim != 4 or images.shape[1:] != wanted or images.dtype != np.uint8:
            raise InputError(
                f"Pictures of {images.dtype} {images.shape} cannot be encoded; this model takes "
                f"uint8 (B, {self.side}, {self.side}, 3)."
            )
        vae = self.pipeline.vae
        image = torch.as_tensor(images, device=self.device).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            return self._scale(self._encode((image / 127.5 - 1).to(vae.dtype)).float())

    def _decode(self, latents: Tensor) -> Tensor:
        """Unscaled latents → pictures in [−1, 1], (B, 3, h, w)."""
        import torch

        if self.CHANNELS_LAST:
            latents = latents.contiguous(memory_format=torch.channels_last)
        image: Tensor = self.pipeline.vae.decode(latents, return_dict=False)[0]
        return image

    def _encode(self, image: Tensor) -> Tensor:
        """Pictures in [−1, 1] → unscaled latents."""
        mean: Tensor = self.pipeline.vae.encode(image).latent_dist.mean
        return mean

    def _unscale(self, latents: Tensor) -> Tensor:
        facts = self.pipeline.vae.config
        return latents / float(facts.scaling_factor) + float(facts.get("shift_factor") or 0)

    def _scale(self, latents: Tensor) -> Tensor:
        facts = self.pipeline.vae.config
        return (latents - float(facts.get("shift_factor") or 0)) * float(facts.scaling_factor)
