"""What is FLUX.1's alone: guidance as an input, a schedule that knows the picture's size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from backend.policies.flux import Config, FluxPolicy
from backend.rl.sampler import Field, draw
from tests.tiny_families import Tiny
from tests.tiny_sd3 import PROMPTS


@pytest.fixture
def tiny(checkpoints: Callable[[str], Tiny]) -> Tiny:
    return checkpoints("flux")


def test_the_network_is_told_the_strength_of_guidance(tiny: Tiny) -> None:
    for strength in (1.0, 3.5):
        policy = tiny.load(guidance_embedding=strength)
        ours = draw(Field(policy), PROMPTS[:2], [1, 2], policy.schedule(3)).astype(int)
        theirs = tiny.draw_stock(
            policy.pipeline, [1, 2], policy.latent_shape, guidance_scale=strength
        )
        assert np.abs(ours - theirs).max() <= 1
        other = tiny.draw_stock(policy.pipeline, [1, 2], policy.latent_shape, guidance_scale=9.0)
        assert np.abs(other - theirs).max() > 1


def test_a_network_without_guidance_is_told_none(tiny: Tiny) -> None:
    from diffusers import FluxTransformer2DModel

    pipeline = tiny.stock()
    facts = dict(pipeline.transformer.config) | {"guidance_embeds": False}
    pipeline.transformer = FluxTransformer2DModel.from_config(facts)
    schnell = FluxPolicy(pipeline, Config.read(tiny.config))
    v = schnell.velocity(
        torch.zeros(1, *schnell.latent_shape), torch.ones(1), schnell.embed(PROMPTS[:1])
    )
    assert v.shape == (1, *schnell.latent_shape)


def test_guidance_with_the_empty_prompt_is_the_stock_pipelines_true_guidance(tiny: Tiny) -> None:
    policy = tiny.load()
    ours = draw(Field(policy, 3.0), PROMPTS[:2], [1, 2], policy.schedule(3)).astype(int)
    more = {"true_cfg_scale": 3.0, "negative_prompt": ["", ""]}
    theirs = tiny.draw_stock(policy.pipeline, [1, 2], policy.latent_shape, **more)
    assert np.abs(ours - theirs).max() <= 1


def test_larger_pictures_spend_more_steps_on_noise(tiny: Tiny) -> None:
    small, large = tiny.load(sample_side=16), tiny.load(sample_side=64)
    assert large.schedule(4)[1] > small.schedule(4)[1]
