"""The SD3 family against the stock pipeline, on a tiny checkpoint of the same layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from backend.errors import CheckpointError, ConfigError, InputError, PolicyError
from backend.policies import sd3
from backend.policies.sd3 import Sd3Policy
from backend.rl.randomness import noise
from backend.rl.sampler import Field, draw
from backend.rl.sigma import stock_schedule
from tests.tiny_sd3 import PROMPTS, fill_adapter, load_tiny, save_tiny


def stock_pictures(
    pipeline: object, seeds: list[int], shape: tuple[int, int, int], **more: object
) -> np.ndarray:
    start = torch.stack([noise(seed, shape) for seed in seeds])
    pipeline.set_progress_bar_config(disable=True)  # type: ignore[attr-defined]
    options = {"num_inference_steps": 3, "guidance_scale": 1.0, "output_type": "np"} | more
    images = pipeline(PROMPTS[: len(seeds)], latents=start, **options).images  # type: ignore[operator]
    return np.asarray((images * 255).round().astype(int))


def test_the_schedule_is_the_schedulers(tiny_policy: Sd3Policy) -> None:
    assert np.allclose(tiny_policy.schedule(10), stock_schedule(10, 3.0), atol=1e-6)


def test_decoding_applies_scale_and_shift(tiny_policy: Sd3Policy) -> None:
    latents = torch.randn(2, *tiny_policy.latent_shape)
    vae = tiny_policy.pipeline.vae
    with torch.no_grad():
        image = vae.decode(latents / 1.5305 + 0.0609, return_dict=False)[0]
    expected = ((image / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1) * 255).round().int()
    assert np.abs(tiny_policy.decode(latents).astype(int) - expected.numpy()).max() <= 1


def test_a_prompts_embedding_does_not_depend_on_its_company(tiny_policy: Sd3Policy) -> None:
    together = tiny_policy.embed(PROMPTS)
    tiny_policy._cache.clear()
    alone = tiny_policy.embed(PROMPTS[2:3])
    for name, tensor in alone.tensors.items():
        assert torch.equal(tensor, together.tensors[name][2:3])


def test_a_prompt_that_does_not_fit_is_refused_with_a_sentence(tiny_policy: Sd3Policy) -> None:
    long = "a red circle on a blue square on a green circle on a white square on a red square"
    with pytest.raises(
        InputError, match="has 21 tokens with its end marks and this model takes 16"
    ):
        tiny_policy.embed([long])


def test_a_checkpoint_with_t5_loads_and_draws_what_the_stock_pipeline_draws(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "t5", t5=True)
    policy = load_tiny(folder, max_t5_tokens=12)
    ours = draw(Field(policy), PROMPTS[:2], [1, 2], policy.schedule(3)).astype(int)
    theirs = stock_pictures(policy.pipeline, [1, 2], policy.latent_shape, max_sequence_length=12)
    assert np.abs(ours - theirs).max() <= 1
    assert policy.embed(PROMPTS[:1]).tensors["text"].shape[1] == 16 + 12
    with pytest.raises(InputError, match="this model takes 12"):
        policy.embed(["a red circle on a blue square on a green circle on a white square"])
    without = load_tiny(folder, use_t5=False)
    assert without.embed(PROMPTS[:1]).tensors["text"].shape[1] == 16


def test_an_adapter_we_save_gives_the_same_picture_in_the_stock_pipeline(
    tiny_sd3: Path, tmp_path: Path
) -> None:
    from diffusers import StableDiffusion3Pipeline

    policy = load_tiny(tiny_sd3)
    base = draw(Field(policy), PROMPTS[:2], [1, 2], policy.schedule(3)).astype(int)
    policy.add_lora(4, 8)
    fill_adapter(policy)
    policy.save_adapter(tmp_path / "adapter.safetensors")
    ours = draw(Field(policy), PROMPTS[:2], [1, 2], policy.schedule(3)).astype(int)
    stock = StableDiffusion3Pipeline.from_pretrained(
        tiny_sd3, text_encoder_3=None, tokenizer_3=None
    )
    stock.load_lora_weights(tmp_path, weight_name="adapter.safetensors")
    theirs = stock_pictures(stock, [1, 2], policy.latent_shape, max_sequence_length=0)
    assert np.abs(ours - base).max() > 20
    assert np.abs(ours - theirs).max() <= 1


def test_an_adapter_file_can_be_put_on_and_taken_off(tiny_sd3: Path, tmp_path: Path) -> None:
    policy, other = load_tiny(tiny_sd3), load_tiny(tiny_sd3)
    base = draw(Field(policy), PROMPTS[:1], [1], policy.schedule(3))
    policy.add_lora(4, 8)
    fill_adapter(policy)
    policy.save_adapter(tmp_path / "a.safetensors")
    other.add_lora(2, 2)
    other.read_adapter(tmp_path / "a.safetensors")
    tuned = draw(Field(other), PROMPTS[:1], [1], policy.schedule(3))
    assert (tuned == draw(Field(policy), PROMPTS[:1], [1], policy.schedule(3))).all()
    other.drop_adapter()
    assert (draw(Field(other), PROMPTS[:1], [1], policy.schedule(3)) == base).all()
    assert not other.trainable()


def test_a_fresh_adapter_changes_nothing_and_depends_on_its_seed_alone(
    tiny_policy: Sd3Policy,
) -> None:
    base = draw(Field(tiny_policy), PROMPTS[:1], [1], tiny_policy.schedule(3))
    num = tiny_policy.add_lora(4, 8, seed=1)
    first = tiny_policy.adapter_state()
    assert num == sum(tensor.numel() for tensor in first.values())
    assert (draw(Field(tiny_policy), PROMPTS[:1], [1], tiny_policy.schedule(3)) == base).all()
    torch.rand(7)
    tiny_policy.add_lora(4, 8, seed=1)
    assert all(
        torch.equal(first[name], tensor) for name, tensor in tiny_policy.adapter_state().items()
    )


def test_the_reference_is_the_network_without_its_adapter(tiny_policy: Sd3Policy) -> None:
    x, sigma, cond = (
        torch.randn(1, *tiny_policy.latent_shape),
        torch.ones(1),
        tiny_policy.embed(PROMPTS[:1]),
    )
    with torch.no_grad():
        base = tiny_policy.velocity(x, sigma, cond)
        tiny_policy.add_lora(4, 8)
        fill_adapter(tiny_policy)
        with tiny_policy.reference():
            assert torch.equal(tiny_policy.velocity(x, sigma, cond), base)
        assert not torch.equal(tiny_policy.velocity(x, sigma, cond), base)
    assert all(parameter.requires_grad for parameter in tiny_policy.trainable().values())


def test_a_target_that_matches_nothing_is_a_sentence(tiny_policy: Sd3Policy) -> None:
    with pytest.raises(PolicyError, match="'to_quux' matches no linear layer"):
        tiny_policy.add_lora(4, 8, ["to_q", "to_quux"])
    assert not tiny_policy.trainable()


def test_an_adapter_of_another_rank_is_refused_whole(
    tiny_policy: Sd3Policy, tmp_path: Path
) -> None:
    tiny_policy.add_lora(4, 8)
    state = tiny_policy.adapter_state()
    tiny_policy.add_lora(2, 4)
    with pytest.raises(CheckpointError, match="does not fit"):
        tiny_policy.load_adapter(state)
    (tmp_path / "x.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(CheckpointError, match="not an adapter that Palate wrote"):
        tiny_policy.read_adapter(tmp_path / "x.safetensors")


def test_missing_or_foreign_weights_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="There is no folder"):
        load_tiny(tmp_path / "nowhere")
    with pytest.raises(PolicyError, match="could not be loaded"):
        load_tiny(tmp_path)


def test_a_picture_size_that_does_not_divide_is_refused(tiny_sd3: Path) -> None:
    with pytest.raises(ConfigError, match="multiple of 4"):
        sd3.load(sd3.Config(weights=str(tiny_sd3), sample_side=18))
