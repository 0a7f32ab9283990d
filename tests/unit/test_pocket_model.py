"""The pocket model in the stock pipeline, its tokenizer and its encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from backend.errors import PolicyError
from backend.pocket import (
    HELDOUT_PROMPTS_PATH,
    PIPELINE_DIR,
    TRAIN_PROMPTS_PATH,
    encoder,
    models,
    verifier,
    world,
)
from backend.policies._pipeline import num_tokens


@pytest.fixture(scope="module")
def pipeline() -> Any:
    pipeline = models.load_pipeline()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_the_stock_pipeline_draws_what_the_verifier_can_read(pipeline: Any) -> None:
    prompts = HELDOUT_PROMPTS_PATH.read_text("utf-8").splitlines()[:64]
    pictures = pipeline(
        prompts,
        num_inference_steps=10,
        guidance_scale=1.0,
        max_sequence_length=0,
        height=64,
        width=64,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).images
    pictures = (pictures * 255).round().astype(np.uint8)
    assert 0.5 < verifier.score(pictures, prompts)["total"].mean() < 0.9


def test_only_sixteen_text_tokens_go_in(pipeline: Any) -> None:
    tokens, _, pooled, _ = pipeline.encode_prompt(
        "a large red circle on a gray background", None, None,
        do_classifier_free_guidance=False, max_sequence_length=0,
    )  # fmt: skip
    assert tokens.shape == (1, models.NUM_TOKENS, 2 * models.TEXT_WIDTH)
    assert pooled.shape == (1, 2 * models.TEXT_WIDTH)


def test_the_tokenizer_fits_every_prompt(pipeline: Any) -> None:
    for tokenizer in (pipeline.tokenizer, pipeline.tokenizer_2):
        assert tokenizer.model_max_length == models.NUM_TOKENS
        for word in models.vocabulary():
            assert len(tokenizer(word)["input_ids"]) == 3, word
    for prompt in world.draw(100, 0, "any"):
        assert num_tokens(pipeline.tokenizer, prompt) <= models.NUM_TOKENS


def test_the_weights_are_small_and_safe() -> None:
    files = [path for path in PIPELINE_DIR.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 30e6
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".txt"}


def test_a_missing_model_says_how_to_get_it(tmp_path: Any) -> None:
    with pytest.raises(PolicyError, match="--stage model"):
        models.load_pipeline(tmp_path)
    with pytest.raises(PolicyError, match="--stage encoder"):
        encoder.load(tmp_path / "model.safetensors")


def test_sample_prompts_belong_to_their_split() -> None:
    for path, num, split in (
        (TRAIN_PROMPTS_PATH, 512, "train"), (HELDOUT_PROMPTS_PATH, 256, "heldout")
    ):  # fmt: skip
        prompts = path.read_text("utf-8").splitlines()
        assert len(set(prompts)) == num
        assert {world.split_of(world.parse(prompt)) for prompt in prompts} == {split}


def test_the_encoder_puts_a_picture_nearest_its_own_prompt() -> None:
    network = encoder.load()
    prompts = world.draw(64, 1, "heldout")
    images, texts = network.image(world.render_many(prompts, 0)), network.text(prompts)
    assert images.shape == texts.shape == (64, encoder.DIMENSIONS)
    assert torch.allclose(images.norm(dim=1), torch.ones(64), atol=1e-4)
    nearest = (images @ texts.T).argmax(1) == torch.arange(64)
    assert nearest.float().mean() > 0.7
