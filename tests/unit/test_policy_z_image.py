"""What is Z-Image's alone: it answers data − noise to 1 − σ, and counts guidance from 0."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from backend.policies.z_image import ZImagePolicy
from backend.rl.sampler import Field, draw
from tests.tiny_families import Tiny
from tests.tiny_sd3 import PROMPTS


@pytest.fixture
def tiny(checkpoints: Callable[[str], Tiny]) -> Tiny:
    return checkpoints("z-image")


def test_the_velocity_is_the_negative_of_the_networks_answer_at_one_minus_sigma(tiny: Tiny) -> None:
    policy = tiny.load()
    assert isinstance(policy, ZImagePolicy)
    latent, cond = torch.randn(1, *policy.latent_shape), policy.embed(PROMPTS[:1])
    text = cond.tensors["text"][0, : int(cond.tensors["length"])]
    with torch.no_grad():
        [answer] = policy.network([latent[0, :, None]], torch.tensor([0.3]), [text]).sample
        v = policy.velocity(latent, torch.tensor([0.7]), cond)
    assert torch.allclose(v[0], -answer[:, 0])


def test_our_guidance_is_the_stock_pipelines_and_one(tiny: Tiny) -> None:
    policy = tiny.load()
    ours = draw(Field(policy, 3.0), PROMPTS[:2], [1, 2], policy.schedule(3)).astype(int)
    theirs = tiny.draw_stock(policy.pipeline, [1, 2], policy.latent_shape, guidance_scale=2.0)
    assert np.abs(ours - theirs).max() <= 1
