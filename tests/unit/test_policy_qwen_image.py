"""What is Qwen-Image's alone: masked padding, and a video VAE with a spread for every channel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from backend.policies.qwen_image import QwenImagePolicy
from backend.rl.sampler import Field, draw
from tests.tiny_families import Tiny
from tests.tiny_sd3 import PROMPTS


@pytest.fixture
def tiny(checkpoints: Callable[[str], Tiny]) -> Tiny:
    return checkpoints("qwen-image")


def test_padding_is_masked_and_changes_no_picture(tiny: Tiny) -> None:
    short, long = tiny.load(max_text_tokens=64), tiny.load(max_text_tokens=96)
    pictures = [
        draw(Field(policy), PROMPTS[:2], [1, 2], policy.schedule(3)).astype(int)
        for policy in (short, long)
    ]
    assert long.embed(PROMPTS[:1]).tensors["text"].shape[1] == 96
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_latents_have_the_mean_and_spread_of_each_channel(tiny: Tiny) -> None:
    policy = tiny.load()
    assert isinstance(policy, QwenImagePolicy)
    mean, std = torch.tensor([-0.7, 0.1, 0.5, 0.0]), torch.tensor([2.8, 1.5, 0.9, 2.0])
    latents = torch.zeros(1, *policy.latent_shape)
    assert torch.allclose(policy._unscale(latents)[0, :, 0, 0], mean)
    assert torch.allclose(policy._unscale(latents + 1)[0, :, 0, 0], mean + std)
