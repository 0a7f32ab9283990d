"""Stable Diffusion 3: any checkpoint in the layout of diffusers' `StableDiffusion3Pipeline`.

The pocket model and SD3.5-M load through the same lines. Only the network and its constants live
here: embedding, velocity, decoding, the schedule, the adapter. The adapter is one peft LoRA named
"current"; the reference is the same network with it switched off, so no second model is held.

torch, diffusers and peft are imported when a model is loaded, never when this file is.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from backend.config import Config as Settings
from backend.errors import CheckpointError, ConfigError, InputError, PolicyError
from backend.rl.sigma import TIMESTEPS, check_schedule
from backend.types import Cond, Pictures

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusion3Pipeline
    from torch import Tensor

TITLE = "Stable Diffusion 3"

ADAPTER = "current"
PREFIX = "transformer."
ATTENTION = (
    "to_q",
    "to_k",
    "to_v",
    "to_out.0",
    "add_q_proj",
    "add_k_proj",
    "add_v_proj",
    "to_add_out",
)
MLP = ("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2")
LORA_TARGETS = (*ATTENTION, *MLP)
"""Both streams' attention and MLP; every name is the end of a layer's name."""

CACHE_BYTES = 2**30
"""Room for prompt embeddings; the oldest leave first."""


class Config(Settings):
    """Which weights, and how they are held."""

    weights: str = "pocket"
    """"pocket", a folder in the diffusers layout, or a hub id such as
    stabilityai/stable-diffusion-3.5-medium."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision in which the frozen weights are held; the adapter is always float32."""
    use_t5: bool = True
    """Load the third text encoder if the checkpoint has one; without it long prompts do not fit."""
    max_t5_tokens: int = Field(256, ge=1, le=512, json_schema_extra={"unit": "tokens"})
    """Text tokens given to the third text encoder; more cost time in every evaluation."""
    sample_side: int | None = Field(None, ge=8, json_schema_extra={"unit": "pixels"})
    """Height and width of pictures; empty takes the checkpoint's own."""


def load(config: Config, device: str = "cpu") -> Sd3Policy:
    """Load a checkpoint; raises PolicyError with a sentence if it is missing or of another kind."""
    import torch
    from diffusers import StableDiffusion3Pipeline
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    source = _source(config.weights)
    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()
    try:
        index = StableDiffusion3Pipeline.load_config(source)
        third = {part: index.get(part) for part in ("text_encoder_3", "tokenizer_3")}
        absent = {
            part: None for part, kind in third.items() if not (config.use_t5 and kind and kind[0])
        }
        pipeline = StableDiffusion3Pipeline.from_pretrained(
            source, dtype=getattr(torch, config.dtype), use_safetensors=True, **absent
        )
    except (OSError, ValueError, AttributeError, TypeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PolicyError(
            f"The weights '{config.weights}' could not be loaded as a Stable Diffusion 3 pipeline "
            f"({reason}); give a folder or hub id in the diffusers layout, with safetensors."
        ) from error
    return Sd3Policy(pipeline.to(device), config)


def _source(weights: str) -> str:
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


class Sd3Policy:
    """A loaded Stable Diffusion 3 pipeline as a `backend.types.Policy`."""

    def __init__(self, pipeline: StableDiffusion3Pipeline, config: Config) -> None:
        import torch

        self.pipeline: Any = pipeline
        self.config = config
        self.network: Any = pipeline.transformer
        self.device: torch.device = next(self.network.parameters()).device
        self._cache: OrderedDict[str, Cond] = OrderedDict()
        for part in (self.network, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2):
            part.requires_grad_(False).eval()
        # Convolutions on a CPU are half as fast again with channels last; values move by 1e-5.
        pipeline.vae.to(memory_format=torch.channels_last)
        side = config.sample_side or self.network.config.sample_size * pipeline.vae_scale_factor
        unit = pipeline.vae_scale_factor * self.network.config.patch_size
        if side % unit:
            raise ConfigError(
                f"Pictures of {side} pixels do not divide into this model's patches; "
                f"take a multiple of {unit}.",
                field="sample_side",
            )
        latent_side = side // pipeline.vae_scale_factor
        self.latent_shape = (int(self.network.config.in_channels), latent_side, latent_side)

    # --- the network -----------------------------------------------------------------------------

    def schedule(self, num_steps: int) -> list[float]:
        """The sigmas of the stock pipeline's own scheduler, T + 1 values."""
        scheduler = self.pipeline.scheduler
        options = {}
        if scheduler.config.get("use_dynamic_shifting"):
            options["mu"] = self._dynamic_shift()
        scheduler.set_timesteps(num_steps, **options)
        sigmas = [float(sigma) for sigma in scheduler.sigmas]
        check_schedule(sigmas)
        return sigmas

    def embed(self, prompts: Sequence[str]) -> Cond:
        """Embed prompts one at a time, so that a row never depends on its company; cached."""
        return Cond.cat([self._embed_one(prompt) for prompt in prompts])

    def velocity(self, latent: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """v(x, σ, c); (B, C, H, W), (B,), B rows → (B, C, H, W) in the latent's precision."""
        out: Tensor = self.network(
            hidden_states=latent.to(self.network.dtype),
            timestep=sigma * TIMESTEPS,
            encoder_hidden_states=cond.tensors["text"],
            pooled_projections=cond.tensors["pooled"],
            return_dict=False,
        )[0]
        return out.to(latent.dtype)

    def decode(self, latents: Tensor) -> Pictures:
        """z / scale + shift through the decoder, as the stock pipeline does; uint8 (B, h, w, 3)."""
        import torch

        vae = self.pipeline.vae
        with torch.no_grad():
            latents = (latents / vae.config.scaling_factor) + vae.config.shift_factor
            latents = latents.to(vae.dtype, memory_format=torch.channels_last)
            image = vae.decode(latents, return_dict=False)[0]
        pictures = self.pipeline.image_processor.postprocess(image.float(), output_type="np")
        return np.asarray((pictures * 255).round().astype(np.uint8))

    # --- the adapter -----------------------------------------------------------------------------

    def add_lora(
        self, rank: int, alpha: float, targets: Sequence[str] | None = None, seed: int = 0
    ) -> int:
        """Replace the adapter by a fresh one that changes nothing; returns its parameter count."""
        import torch
        from peft import LoraConfig

        wanted = list(targets) if targets else self._own_targets()
        self._check_targets(wanted)
        self.drop_adapter()
        lora = LoraConfig(
            r=rank, lora_alpha=alpha, target_modules=wanted, init_lora_weights="gaussian"
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network.add_adapter(lora, adapter_name=ADAPTER)
        for parameter in self.trainable().values():
            parameter.data = parameter.data.float()
        return sum(parameter.numel() for parameter in self.trainable().values())

    def drop_adapter(self) -> None:
        """Back to the bare network."""
        if ADAPTER in getattr(self.network, "peft_config", {}):
            self.network.delete_adapters(ADAPTER)

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """The adapter's parameters by their name in the network, in the network's order."""
        mark = f".{ADAPTER}.weight"
        return {name: p for name, p in self.network.named_parameters() if name.endswith(mark)}

    @contextmanager
    def reference(self) -> Iterator[None]:
        """The network without its adapter."""
        if ADAPTER not in getattr(self.network, "peft_config", {}):
            yield
            return
        self.network.disable_adapters()
        try:
            yield
        finally:
            self.network.enable_adapters()

    @contextmanager
    def merged(self) -> Iterator[None]:
        """The adapter folded into the weights (W + α/r·BA), which saves its small products.

        The frozen weights are put back as they were, not computed back, so nothing drifts.
        """
        from peft.tuners.lora import Linear

        layers = [
            module
            for module in self.network.modules()
            if isinstance(module, Linear) and ADAPTER in module.lora_A
        ]
        frozen = [layer.get_base_layer().weight.data for layer in layers]
        for layer, weight in zip(layers, frozen, strict=True):
            delta = layer.get_delta_weight(ADAPTER).detach()
            layer.get_base_layer().weight.data = (weight + delta).to(weight.dtype)
        try:
            with self.reference():
                yield
        finally:
            for layer, weight in zip(layers, frozen, strict=True):
                layer.get_base_layer().weight.data = weight

    def adapter_state(self) -> dict[str, Tensor]:
        """A copy of the adapter on the CPU under the names of `pipe.load_lora_weights`."""
        return {_stock(n): p.detach().cpu().clone() for n, p in self.trainable().items()}

    def adapter_metadata(self) -> dict[str, str]:
        """The header that tells the stock pipeline rank, alpha and layers."""
        lora = self.network.peft_config[ADAPTER]
        facts = {
            f"{PREFIX}r": lora.r,
            f"{PREFIX}lora_alpha": lora.lora_alpha,
            f"{PREFIX}target_modules": sorted(lora.target_modules),
        }
        return {"format": "pt", "lora_adapter_metadata": json.dumps(facts, sort_keys=True)}

    def load_adapter(self, state: Mapping[str, Tensor]) -> None:
        """Set the adapter's tensors; nothing is touched unless all of them fit."""
        import torch

        mine = {_stock(name): parameter for name, parameter in self.trainable().items()}
        odd = sorted(mine.keys() ^ state.keys()) or [
            name for name, parameter in mine.items() if parameter.shape != state[name].shape
        ]
        if odd:
            raise CheckpointError(
                f"The adapter does not fit this network and rank: '{odd[0]}' and "
                f"{len(odd) - 1} more differ; load it with the settings it was trained with."
            )
        with torch.no_grad():
            for name, parameter in mine.items():
                parameter.copy_(state[name])

    def save_adapter(self, path: Path) -> None:
        """One safetensors file; `pipe.load_lora_weights(folder, weight_name=...)` reads it."""
        from safetensors.torch import save_file

        save_file(self.adapter_state(), path, metadata=self.adapter_metadata())

    def read_adapter(self, path: Path) -> None:
        """Put the adapter of a file on the network, with the rank and layers it names."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                header = (file.metadata() or {}).get("lora_adapter_metadata")
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            facts = json.loads(header or "")
            rank, alpha = facts[f"{PREFIX}r"], facts[f"{PREFIX}lora_alpha"]
            targets = facts[f"{PREFIX}target_modules"]
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"'{path}' is not an adapter that Palate wrote ({error}); choose another file."
            ) from error
        self.add_lora(rank, alpha, targets)
        self.load_adapter(state)

    # --- helpers ---------------------------------------------------------------------------------

    def _dynamic_shift(self) -> float:
        from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import (
            calculate_shift,
        )

        settings = self.pipeline.scheduler.config
        tokens = (self.latent_shape[1] // self.network.config.patch_size) ** 2
        names = ("base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift")
        return float(calculate_shift(tokens, *(settings[name] for name in names)))

    def _embed_one(self, prompt: str) -> Cond:
        import torch

        if prompt in self._cache:
            self._cache.move_to_end(prompt)
            return self._cache[prompt]
        self._check_fits(prompt)
        with torch.no_grad():
            text, _, pooled, _ = self.pipeline.encode_prompt(
                prompt=prompt,
                prompt_2=None,
                prompt_3=None,
                device=self.device,
                do_classifier_free_guidance=False,
                max_sequence_length=self.max_sequence_length,
            )
        cond = Cond({"text": text.to(self.network.dtype), "pooled": pooled.to(self.network.dtype)})
        size = sum(t.numel() * t.element_size() for t in cond.tensors.values())
        while len(self._cache) >= max(CACHE_BYTES // size, 1):
            self._cache.popitem(last=False)
        self._cache[prompt] = cond
        return cond

    @property
    def max_sequence_length(self) -> int:
        """What the stock pipeline must be given to see the same text tokens: 0 without T5."""
        return self.config.max_t5_tokens if self.pipeline.text_encoder_3 is not None else 0

    def _check_fits(self, prompt: str) -> None:
        """The longest-sighted text encoder must see the whole prompt; tokenizers cut in silence."""
        tokenizer, limit = self.pipeline.tokenizer, self.pipeline.tokenizer.model_max_length
        if self.pipeline.text_encoder_3 is not None:
            tokenizer, limit = self.pipeline.tokenizer_3, self.config.max_t5_tokens
        num = len(tokenizer(prompt, truncation=False, verbose=False)["input_ids"])
        if num > limit:
            raise InputError(
                f"The prompt '{prompt}' has {num} tokens with its end marks and this model takes "
                f"{limit}; shorten it, or use words the model knows."
            )

    def _own_targets(self) -> list[str]:
        """The family's list without layers this network does not have."""
        names = [name for name, _ in self.network.named_modules()]
        return [t for t in LORA_TARGETS if any(name.endswith(f".{t}") for name in names)]

    def _check_targets(self, targets: Sequence[str]) -> None:
        import torch

        linear = [n for n, m in self.network.named_modules() if isinstance(m, torch.nn.Linear)]
        linear = [name.removesuffix(".base_layer") for name in linear]
        for target in targets:
            if not any(name == target or name.endswith(f".{target}") for name in linear):
                raise PolicyError(
                    f"The adapter target '{target}' matches no linear layer of this network; "
                    f"use ends of layer names such as {', '.join(ATTENTION[:4])}."
                )


def _stock(name: str) -> str:
    return PREFIX + name.replace(f".{ADAPTER}.", ".")
