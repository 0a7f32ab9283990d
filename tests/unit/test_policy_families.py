"""What every model family keeps, checked against its stock pipeline on a tiny checkpoint."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from backend.errors import CheckpointError, ConfigError, InputError, PolicyError
from backend.policies._pipeline import PipelinePolicy, pack, unpack
from backend.registry import policies
from backend.rl.kernels import Kernel, compile_kernel
from backend.rl.randomness import noise
from backend.rl.sampler import Field, draw, sample
from backend.rl.sigma import check_schedule
from backend.rl.tree import TreePlan, grow
from backend.rl.update import replay
from backend.types import Cond
from tests.tiny_families import TINY, Tiny
from tests.tiny_sd3 import PROMPTS, fill_adapter

SEEDS = [1, 2, 3]


def pictures(policy: PipelinePolicy) -> np.ndarray:
    return draw(Field(policy), PROMPTS[:3], SEEDS, policy.schedule(3)).astype(int)


def stock(tiny: Tiny, policy: PipelinePolicy) -> Any:
    """The stock pipeline with our schedule, which differs for Sana alone."""
    pipeline = tiny.stock()
    pipeline.scheduler = policy.pipeline.scheduler
    return pipeline


def gradient(policy: PipelinePolicy) -> dict[str, torch.Tensor]:
    """Of a fixed loss, on every parameter that has one, by its name in the network."""
    for parameter in policy.network.parameters():
        parameter.grad = None
    latent = torch.stack([noise(seed, policy.latent_shape) for seed in SEEDS[:2]])
    velocity = policy.velocity(latent, torch.tensor([0.9, 0.4]), policy.embed(PROMPTS[1:3]))
    velocity.square().mean().backward()
    parameters = policy.network.named_parameters()
    return {name: p.grad.clone() for name, p in parameters if p.grad is not None}


def test_every_family_has_a_tiny_checkpoint() -> None:
    assert sorted(TINY) == policies.names()


def test_zero_noise_draws_what_the_stock_pipeline_draws(tiny: Tiny) -> None:
    policy = tiny.load()
    theirs = tiny.draw_stock(stock(tiny, policy), SEEDS, policy.latent_shape)
    assert np.abs(pictures(policy) - theirs).max() <= 1
    assert np.abs(theirs[0] - theirs[1]).max() > 20  # the checkpoint is not blind


def test_a_seed_is_the_noise_of_the_stock_pipelines_generator(tiny: Tiny) -> None:
    policy = tiny.load()
    assert np.abs(pictures(policy) - tiny.draw_stock(stock(tiny, policy), SEEDS, None)).max() <= 1


def test_the_network_sees_sigma_and_prompt(tiny: Tiny) -> None:
    policy = tiny.load()
    latent = noise(1, policy.latent_shape)[None]
    red, blue = policy.embed(PROMPTS[:1]), policy.embed(PROMPTS[1:2])
    with torch.no_grad():
        v = policy.velocity(latent, torch.tensor([0.8]), red)
        assert v.shape == latent.shape and v.dtype == latent.dtype
        assert not torch.allclose(v, policy.velocity(latent, torch.tensor([0.3]), red), atol=1e-4)
        assert not torch.allclose(v, policy.velocity(latent, torch.tensor([0.8]), blue), atol=1e-4)


def test_a_row_does_not_depend_on_its_company(tiny: Tiny) -> None:
    policy = tiny.load()
    latent = torch.stack([noise(seed, policy.latent_shape) for seed in SEEDS])
    cond, sigma = policy.embed(["", *PROMPTS[1:3]]), torch.tensor([0.9, 0.5, 0.2])
    with torch.no_grad():
        together = policy.velocity(latent, sigma, cond)
        for row in range(3):
            alone = policy.velocity(latent[row : row + 1], sigma[row : row + 1], cond.take([row]))
            assert torch.allclose(alone, together[row : row + 1], atol=1e-5)


def test_guidance_mixes_in_the_empty_prompt(tiny: Tiny) -> None:
    policy = tiny.load()
    latent, cond = noise(1, policy.latent_shape)[None], policy.embed(PROMPTS[2:3])
    with torch.no_grad():
        with_prompt = policy.velocity(latent, torch.tensor([0.7]), cond)
        without = policy.velocity(latent, torch.tensor([0.7]), policy.embed([""]))
        mixed = Field(policy, guidance=3.0)(latent, 0.7, cond)
    assert torch.allclose(mixed, without + 3 * (with_prompt - without), atol=1e-5)


def test_the_schedule_is_the_stock_pipelines(tiny: Tiny) -> None:
    policy = tiny.load()
    pipeline = stock(tiny, policy)
    tiny.draw_stock(pipeline, SEEDS[:1], policy.latent_shape)
    theirs = pipeline.scheduler.sigmas.tolist()
    assert np.allclose(policy.schedule(3), theirs, atol=1e-6)
    check_schedule(policy.schedule(10))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("bf16", [False, True])
def test_the_first_ratio_is_exactly_one(tiny: Tiny, bf16: bool, dtype: str) -> None:
    policy = tiny.load(dtype=dtype)
    policy.add_lora(2, 4)
    fill_adapter(policy)
    field = Field(policy, bf16=bf16, update_batch_size=4)
    plan = TreePlan(Kernel("flow-sde", 0.7), forks={0: 2, 1: 2}, trunk=True)
    shape = grow([plan] * 3, 3)
    coefficients = compile_kernel(plan.kernel, policy.schedule(3))
    seeds = np.arange(len(shape))
    rollouts = sample(field, shape, coefficients, policy.embed(PROMPTS[:3]), seeds)
    assert rollouts.decisions
    for part in rollouts.decisions:
        _, log_prob = replay(field, rollouts, part)
        assert torch.equal((log_prob - part.log_prob).exp(), torch.ones(len(part.child)))
    assert policy.decode(rollouts.leaves).shape[1:] == (policy.side, policy.side, 3)


def test_the_adapter_gets_gradient_and_nothing_else_does(tiny: Tiny) -> None:
    policy = tiny.load()
    num = policy.add_lora(2, 4)
    fill_adapter(policy)
    found = gradient(policy)
    assert num > 0 and found.keys() <= policy.trainable().keys()
    seeing = [name for name, grad in found.items() if grad.abs().sum() > 0]
    assert len(seeing) > 0.7 * len(policy.trainable())  # the last text layers lead nowhere
    for part in (policy.pipeline.vae, *policy._encoders().values()):
        assert all(parameter.grad is None for parameter in part.parameters())


def test_checkpointed_activations_give_the_same_gradient(tiny: Tiny) -> None:
    policy = tiny.load()
    policy.add_lora(2, 4)
    fill_adapter(policy)
    plain = gradient(policy)
    policy.enable_checkpointing(True)
    assert policy.network.is_gradient_checkpointing
    assert all(torch.equal(plain[name], grad) for name, grad in gradient(policy).items())
    policy.enable_checkpointing(False)
    assert not policy.network.is_gradient_checkpointing


def test_an_adapter_we_save_gives_the_same_picture_in_the_stock_pipeline(
    tiny: Tiny, tmp_path: Path
) -> None:
    policy = tiny.load()
    base = pictures(policy)
    policy.add_lora(2, 4)
    fill_adapter(policy)
    policy.save_adapter(tmp_path / "adapter.safetensors")
    pipeline = stock(tiny, policy)
    pipeline.load_lora_weights(tmp_path, weight_name="adapter.safetensors")
    theirs = tiny.draw_stock(pipeline, SEEDS, policy.latent_shape)
    assert np.abs(pictures(policy) - base).max() > 20
    assert np.abs(pictures(policy) - theirs).max() <= 1


def test_the_whole_network_trains_and_loads_in_the_stock_pipeline(
    tiny: Tiny, tmp_path: Path
) -> None:
    policy, other = tiny.load(), tiny.load()
    base = pictures(policy)
    num = policy.prepare("full", rank=4, alpha=8)
    assert num == sum(p.numel() for p in policy.network.parameters())
    assert gradient(policy).keys() <= policy.trainable().keys()
    with torch.no_grad():
        for parameter in policy.trainable().values():
            parameter.mul_(1.1)
    tuned = pictures(policy)
    assert np.abs(tuned - base).max() > 5
    with policy.reference():
        assert (pictures(policy) == base).all()
    policy.save_adapter(tmp_path / "whole.safetensors")

    pipeline = stock(tiny, policy)
    pipeline.transformer.load_state_dict(load_file(tmp_path / "whole.safetensors"))
    assert np.abs(tiny.draw_stock(pipeline, SEEDS, policy.latent_shape) - tuned).max() <= 1
    other.read_adapter(tmp_path / "whole.safetensors")
    assert (pictures(other) == tuned).all()
    other.drop_adapter()
    assert (pictures(other) == base).all() and not other.trainable()


def test_encoding_is_the_inverse_of_scale_and_shift(tiny: Tiny) -> None:
    policy = tiny.load()
    side = policy.side
    images = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    latents = policy.encode(images)
    assert latents.shape == (2, *policy.latent_shape) and latents.dtype == torch.float32
    assert torch.equal(latents, policy.encode(images))
    assert torch.allclose(policy._scale(policy._unscale(latents)), latents, atol=1e-5)
    assert not torch.allclose(policy._unscale(latents), latents, atol=1e-2)
    decoded = policy.decode(latents)
    assert decoded.shape == images.shape and decoded.dtype == np.uint8
    with pytest.raises(InputError, match=f"takes uint8 \\(B, {side}, {side}, 3\\)"):
        policy.encode(images[:, 1:])


def test_released_encoders_leave_the_prompts_they_embedded(tiny: Tiny) -> None:
    policy = tiny.load()
    before = policy.embed(["", *PROMPTS[:2]])
    policy._cache.clear()
    encoder = weakref.ref(next(iter(policy._encoders().values())))
    with pytest.raises(InputError, match="this model takes"):
        policy.release_encoders(["red " * 100])
    assert policy._encoders()
    policy.release_encoders(PROMPTS[:2])
    gc.collect()
    assert not policy._encoders() and encoder() is None
    after = policy.embed(["", *PROMPTS[:2]])
    assert all(torch.equal(after.tensors[name], tensor) for name, tensor in before.tensors.items())
    with pytest.raises(InputError, match="was not embedded before the text encoders were released"):
        policy.embed(PROMPTS[2:3])


def test_prompts_of_any_length_share_a_batch_and_too_long_ones_are_refused(tiny: Tiny) -> None:
    policy = tiny.load()
    cond = policy.embed(["", "a", PROMPTS[2]])
    assert isinstance(cond, Cond) and len(cond) == 3
    with pytest.raises(InputError, match="tokens with its end marks and this model takes"):
        policy.embed(["red " * 100])


def test_weights_of_another_family_are_refused_with_a_sentence(
    tiny: Tiny, checkpoints: Callable[[str], Tiny]
) -> None:
    other = checkpoints("flux" if tiny.family != "flux" else "sd3")
    module = policies.get(tiny.family)
    with pytest.raises(PolicyError, match=f"belong to a {other.pipeline} and this family loads"):
        module.load(module.Config(weights=str(other.folder)))


def test_an_adapter_of_another_family_is_refused_and_nothing_changes(
    tiny: Tiny, checkpoints: Callable[[str], Tiny], tmp_path: Path
) -> None:
    other = checkpoints("flux" if tiny.family != "flux" else "sd3").load()
    other.add_lora(2, 4)
    other.save_adapter(tmp_path / "theirs.safetensors")
    policy = tiny.load()
    policy.add_lora(3, 6, seed=5)
    mine = policy.adapter_state()
    with pytest.raises(CheckpointError, match=f"was trained on the family '{other.FAMILY}'"):
        policy.read_adapter(tmp_path / "theirs.safetensors")
    assert all(torch.equal(mine[name], now) for name, now in policy.adapter_state().items())


def test_a_picture_size_that_does_not_divide_is_refused(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="take a multiple of"):
        tiny.load(sample_side=17)


def test_packing_is_undone() -> None:
    latent = torch.randn(2, 4, 6, 6)
    assert torch.equal(unpack(pack(latent), (4, 6, 6)), latent)
