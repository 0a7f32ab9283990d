"""What is Sana's alone: an Euler schedule for its solver's, and an instruction before prompts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from backend.policies.sana import SanaPolicy
from backend.rl.sampler import Field, draw
from tests.tiny_families import Tiny
from tests.tiny_sd3 import PROMPTS


@pytest.fixture
def tiny(checkpoints: Callable[[str], Tiny]) -> Tiny:
    return checkpoints("sana")


def test_the_solver_is_exchanged_for_euler_with_the_same_shift(tiny: Tiny) -> None:
    shipped, policy = tiny.stock().scheduler, tiny.load()
    ours = policy.pipeline.scheduler
    assert type(shipped).__name__ == "DPMSolverMultistepScheduler"
    assert type(ours).__name__ == "FlowMatchEulerDiscreteScheduler"
    assert ours.config.shift == shipped.config.flow_shift == 3.0


def test_guidance_with_the_empty_prompt_is_the_stock_pipelines(tiny: Tiny) -> None:
    policy = tiny.load()
    ours = draw(Field(policy, 3.0), PROMPTS[:2], [1, 2], policy.schedule(3)).astype(int)
    theirs = tiny.draw_stock(policy.pipeline, [1, 2], policy.latent_shape, guidance_scale=3.0)
    assert np.abs(ours - theirs).max() <= 1


def test_the_instruction_precedes_every_prompt_but_the_empty_one(tiny: Tiny) -> None:
    told, untold = tiny.load(), tiny.load(use_instruction=False)
    assert isinstance(told, SanaPolicy) and told.instruction and untold.instruction is None
    with_it, without = (policy.embed(["", PROMPTS[0]]).tensors["text"] for policy in (told, untold))
    assert torch.equal(with_it[0], without[0])
    assert not torch.equal(with_it[1], without[1])
