"""Tiny random checkpoints of every model family, each in its own diffusers layout.

`Tiny` is one of them: how to write it, how we load it, and what the stock pipeline must be told to
draw the same picture. The `tiny` fixture runs a test once for every family.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backend.policies._pipeline import PipelinePolicy, pack
from backend.registry import policies
from backend.rl.randomness import noise
from tests import tiny_sd3
from tests.tiny_sd3 import PROMPTS, open_eyes, picture_vae, word_tokenizer

CHAT = (
    "{% for message in messages %}<|{{ message.role }}|> {{ message.content }} {% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True)
class Tiny:
    """A family's tiny checkpoint."""

    family: str
    pipeline: str
    """Its class in diffusers."""
    save: Callable[[Path], Any]
    config: dict[str, Any] = field(default_factory=dict)
    call: dict[str, Any] = field(default_factory=dict)
    """What the stock pipeline must be told to draw as we do at guidance 1."""
    lacking: dict[str, None] = field(default_factory=dict)
    """Parts of the stock pipeline that this checkpoint goes without."""
    packed: bool = False
    """Whether the stock pipeline takes its start as tokens."""
    folder: Path = Path()

    def load(self, **config: Any) -> PipelinePolicy:
        """The checkpoint as a policy."""
        module = policies.get(self.family)
        settings = {"weights": str(self.folder), "dtype": "float32"} | self.config | config
        policy: PipelinePolicy = module.load(module.Config.read(settings))
        return policy

    def stock(self) -> Any:
        """The checkpoint as diffusers loads it."""
        import diffusers

        kind = getattr(diffusers, self.pipeline)
        return kind.from_pretrained(self.folder, dtype=torch.float32, **self.lacking)

    def draw_stock(
        self, pipeline: Any, seeds: list[int], shape: tuple[int, int, int] | None, **call: Any
    ) -> Any:
        """The first pictures of `PROMPTS` by the stock pipeline in 3 steps; integers.

        It starts from our noise of that shape, or from its own of the same seeds.
        """
        if shape is None:
            start = {"generator": [torch.Generator().manual_seed(seed) for seed in seeds]}
        else:
            latents = torch.stack([noise(seed, shape) for seed in seeds])
            start = {"latents": pack(latents) if self.packed else latents}
        pipeline.set_progress_bar_config(disable=True)
        options = {"num_inference_steps": 3, "output_type": "np"} | self.call | call
        images = pipeline(list(PROMPTS[: len(seeds)]), **start, **options).images
        return np.asarray((images * 255).round().astype(int))


def _save_flux(folder: Path) -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    torch.manual_seed(0)
    tokenizer = tiny_sd3.clip_tokenizer(folder / "words")
    network = FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=16,
        guidance_embeds=True,
        axes_dims_rope=(2, 2, 4),
    )
    open_eyes(network)
    FluxPipeline(
        transformer=network,
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=picture_vae(scaling_factor=0.3611, shift_factor=0.1159),
        text_encoder=tiny_sd3.clip_text_encoder(tokenizer, projection=False),
        tokenizer=tokenizer,
        text_encoder_2=tiny_sd3.t5_encoder(),
        tokenizer_2=word_tokenizer(),
    ).save_pretrained(folder)


def _save_qwen_image(folder: Path) -> None:
    from diffusers import (
        AutoencoderKLQwenImage,
        FlowMatchEulerDiscreteScheduler,
        QwenImagePipeline,
        QwenImageTransformer2DModel,
    )
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(0)
    network = QwenImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=16,
        axes_dims_rope=(2, 2, 4),
    )
    open_eyes(network)
    text = dict(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 2]},
    )
    vision = dict(
        depth=1,
        hidden_size=16,
        intermediate_size=16,
        num_heads=2,
        out_hidden_size=16,
        fullatt_block_indexes=[0],
    )
    QwenImagePipeline(
        transformer=network,
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift_terminal=0.02),
        vae=AutoencoderKLQwenImage(
            base_dim=4,
            z_dim=4,
            dim_mult=[1, 2],
            num_res_blocks=1,
            temperal_downsample=[True],
            latents_mean=[-0.7, 0.1, 0.5, 0.0],
            latents_std=[2.8, 1.5, 0.9, 2.0],
        ),
        text_encoder=Qwen2_5_VLForConditionalGeneration(
            Qwen2_5_VLConfig(text_config=text, vision_config=vision)
        ),
        tokenizer=word_tokenizer(),
    ).save_pretrained(folder)


def _save_z_image(folder: Path) -> None:
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        ZImagePipeline,
        ZImageTransformer2DModel,
    )
    from transformers import Qwen3Config, Qwen3Model

    torch.manual_seed(0)
    network = ZImageTransformer2DModel(
        in_channels=4,
        dim=16,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=16,
        axes_dims=[2, 2, 4],
        axes_lens=[128, 16, 16],
    )
    with torch.no_grad():
        network.x_pad_token.zero_()  # they are made empty: whatever memory held
        network.cap_pad_token.zero_()
    open_eyes(network)
    ZImagePipeline(
        transformer=network,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=picture_vae(scaling_factor=0.3611, shift_factor=0.1159),
        text_encoder=Qwen3Model(
            Qwen3Config(
                vocab_size=64,
                hidden_size=16,
                intermediate_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=2,
                head_dim=8,
            )
        ),
        tokenizer=word_tokenizer(chat_template=CHAT),
    ).save_pretrained(folder)


def _save_sana(folder: Path) -> None:
    from diffusers import (
        AutoencoderDC,
        DPMSolverMultistepScheduler,
        SanaPipeline,
        SanaTransformer2DModel,
    )
    from transformers import Gemma2Config, Gemma2Model

    torch.manual_seed(0)
    network = SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
        cross_attention_dim=16,
        caption_channels=16,
        sample_size=16,
    )
    open_eyes(network)
    SanaPipeline(
        transformer=network,
        scheduler=DPMSolverMultistepScheduler(
            use_flow_sigmas=True, flow_shift=3.0, prediction_type="flow_prediction"
        ),
        vae=AutoencoderDC(
            latent_channels=4,
            attention_head_dim=4,
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1),
            encoder_qkv_multiscales=((), ()),
            decoder_qkv_multiscales=((), ()),
            scaling_factor=0.41407,
        ),
        text_encoder=Gemma2Model(
            Gemma2Config(
                vocab_size=64,
                hidden_size=16,
                intermediate_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                num_key_value_heads=2,
                head_dim=8,
            )
        ),
        tokenizer=word_tokenizer(),
    ).save_pretrained(folder)


SIDE = {"height": 16, "width": 16}
TINY = {
    tiny.family: tiny
    for tiny in (
        Tiny(
            "sd3",
            "StableDiffusion3Pipeline",
            tiny_sd3.save_tiny,
            call={"guidance_scale": 1.0, "max_sequence_length": 0},
            lacking={"text_encoder_3": None, "tokenizer_3": None},
        ),
        Tiny(
            "flux",
            "FluxPipeline",
            _save_flux,
            config={"sample_side": 16, "max_text_tokens": 12},
            call=SIDE | {"guidance_scale": 3.5, "max_sequence_length": 12},
            packed=True,
        ),
        Tiny(
            "qwen-image",
            "QwenImagePipeline",
            _save_qwen_image,
            config={"sample_side": 16, "max_text_tokens": 96},
            call=SIDE | {"true_cfg_scale": 1.0},
            packed=True,
        ),
        Tiny(
            "z-image",
            "ZImagePipeline",
            _save_z_image,
            config={"sample_side": 16, "max_text_tokens": 48},
            call=SIDE | {"guidance_scale": 0.0, "max_sequence_length": 48},
        ),
        Tiny(
            "sana",
            "SanaPipeline",
            _save_sana,
            config={"max_text_tokens": 16},
            call={
                "height": 32,
                "width": 32,
                "guidance_scale": 1.0,
                "max_sequence_length": 16,
                "use_resolution_binning": False,
            },
        ),
    )
}


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Tiny]:
    """The tiny checkpoint of a family, written when it is first asked for."""
    torch.set_num_threads(1)
    root, written = tmp_path_factory.mktemp("families"), {}

    def checkpoint(family: str) -> Tiny:
        if family not in written:
            written[family] = replace(TINY[family], folder=root / family)
            written[family].save(root / family)
        return written[family]

    return checkpoint


@pytest.fixture(params=list(TINY))
def tiny(request: pytest.FixtureRequest, checkpoints: Callable[[str], Tiny]) -> Tiny:
    """Every family's tiny checkpoint in turn."""
    return checkpoints(request.param)
