"""ImageReward on a tiny random checkpoint in its published layout, against both encoders written
out here in plain matrix products: resize, truncation, cross attention, head."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import conv2d, gelu, layer_norm, linear, softmax

from backend.errors import RewardError
from backend.registry import rewards
from backend.rewards import _blip, _version
from backend.rewards.interface import Checked, checked
from tests.tiny_sd3 import word_tokenizer

RNG = np.random.default_rng(5)
WIDE = RNG.integers(0, 256, (3, 20, 34, 3), dtype=np.uint8)
PROMPTS = ["a red circle", "a white square on a large green background", "a blue square"]
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])
SIDE, PATCH, WIDTH, WORDS, INNER = 32, 16, 128, 64, 32
SIZES = (WORDS, 10, 8, 6, 4, 1)

Tensors = dict[str, torch.Tensor]


def tensors(prefix: str = "blip.") -> Tensors:
    """A checkpoint of two layers each, two heads in the picture encoder and one in the other."""
    made = torch.Generator().manual_seed(3)
    found: Tensors = {}

    def put(name: str, *shape: int, size: float = 0.3) -> None:
        found[name] = size * torch.randn(*shape, generator=made)

    def layer(name: str, out: int, inside: int) -> None:
        put(f"{name}.weight", out, inside)
        put(f"{name}.bias", out)

    def norm(name: str, width: int) -> None:
        found[f"{name}.weight"] = 1 + 0.2 * torch.randn(width, generator=made)
        put(f"{name}.bias", width)

    eye, text = f"{prefix}visual_encoder", f"{prefix}text_encoder"
    put(f"{eye}.cls_token", 1, 1, WIDTH)
    put(f"{eye}.pos_embed", 1, 1 + (SIDE // PATCH) ** 2, WIDTH)
    put(f"{eye}.patch_embed.proj.weight", WIDTH, 3, PATCH, PATCH, size=0.05)
    put(f"{eye}.patch_embed.proj.bias", WIDTH)
    for n in range(2):
        block = f"{eye}.blocks.{n}"
        norm(f"{block}.norm1", WIDTH)
        layer(f"{block}.attn.qkv", 3 * WIDTH, WIDTH)
        layer(f"{block}.attn.proj", WIDTH, WIDTH)
        norm(f"{block}.norm2", WIDTH)
        layer(f"{block}.mlp.fc1", INNER, WIDTH)
        layer(f"{block}.mlp.fc2", WIDTH, INNER)
    norm(f"{eye}.norm", WIDTH)
    put(f"{text}.embeddings.word_embeddings.weight", 16, WORDS)
    put(f"{text}.embeddings.position_embeddings.weight", 40, WORDS)
    found[f"{text}.embeddings.position_ids"] = torch.arange(40)[None]
    norm(f"{text}.embeddings.LayerNorm", WORDS)
    for n in range(2):
        block = f"{text}.encoder.layer.{n}"
        for attention, sees in (("attention", WORDS), ("crossattention", WIDTH)):
            layer(f"{block}.{attention}.self.query", WORDS, WORDS)
            layer(f"{block}.{attention}.self.key", WORDS, sees)
            layer(f"{block}.{attention}.self.value", WORDS, sees)
            layer(f"{block}.{attention}.output.dense", WORDS, WORDS)
            norm(f"{block}.{attention}.output.LayerNorm", WORDS)
        layer(f"{block}.intermediate.dense", INNER, WORDS)
        layer(f"{block}.output.dense", WORDS, INNER)
        norm(f"{block}.output.LayerNorm", WORDS)
    for at, (inside, out) in zip((0, 2, 4, 6, 7), pairwise(SIZES), strict=True):
        layer(f"mlp.layers.{at}", out, inside)
    put(f"{prefix}itm_head.weight", 2, WORDS)  # of its training; nobody reads it
    return found


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("blip")
    save_file(tensors(), folder / "model.safetensors")
    word_tokenizer().save_pretrained(folder)
    _blip.share.cache_clear()
    return str(folder)


def load(kind: str, **config: Any) -> Checked:
    module = rewards.get(kind)
    return checked(module.load(module.Config.read(config)), kind)  # type: ignore[no-any-return]


def attend(query: Any, key: Any, value: Any, heads: int) -> torch.Tensor:
    """Scaled dot products, head by head. (L, D)"""
    size, rows = query.shape[-1] // heads, []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        weight = softmax(query[:, part] @ key[:, part].T / size**0.5, dim=-1)
        rows.append(weight @ value[:, part])
    return torch.cat(rows, dim=-1)


def seen(image: np.ndarray, held: Tensors) -> torch.Tensor:
    """The picture encoder: shortest side to SIDE, the middle, a ViT with norms before. (5, D)"""
    height, width = image.shape[:2]
    large = Image.fromarray(image).resize(
        (int(SIDE * width / height), SIDE), Image.Resampling.BICUBIC
    )
    left = (large.size[0] - SIDE) // 2
    pixels = torch.from_numpy(np.asarray(large)[:, left : left + SIDE].copy()) / 255
    pixels = ((pixels - MEAN) / STD).permute(2, 0, 1)[None]
    at = {name.removeprefix("blip.visual_encoder."): held[name] for name in held}
    rows = (
        conv2d(pixels, at["patch_embed.proj.weight"], at["patch_embed.proj.bias"], stride=PATCH)
        .flatten(2)[0]
        .T
    )
    rows = torch.cat([at["cls_token"][0], rows]) + at["pos_embed"][0]
    for n in range(2):
        block = {k.removeprefix(f"blocks.{n}."): v for k, v in at.items()}
        inner = normed(rows, block, "norm1", 1e-6)
        q, k, v = linear(inner, block["attn.qkv.weight"], block["attn.qkv.bias"]).split(WIDTH, -1)
        rows = rows + dense(attend(q, k, v, WIDTH // 64), block, "attn.proj")
        inner = gelu(dense(normed(rows, block, "norm2", 1e-6), block, "mlp.fc1"))
        rows = rows + dense(inner, block, "mlp.fc2")
    return normed(rows, at, "norm", 1e-6)


def dense(rows: torch.Tensor, at: Tensors, name: str) -> torch.Tensor:
    return linear(rows, at[f"{name}.weight"], at[f"{name}.bias"])


def normed(rows: torch.Tensor, at: Tensors, name: str, eps: float) -> torch.Tensor:
    return layer_norm(rows, rows.shape[-1:], at[f"{name}.weight"], at[f"{name}.bias"], eps)


def by_hand(image: np.ndarray, ids: list[int], held: Tensors) -> float:
    """A BERT with norms after, whose layers look at the picture; head layer by layer; unit."""
    at = {name.removeprefix("blip.text_encoder."): held[name] for name in held}
    rows = at["embeddings.word_embeddings.weight"][ids]
    rows = rows + at["embeddings.position_embeddings.weight"][: len(ids)]
    rows, places = normed(rows, at, "embeddings.LayerNorm", 1e-12), seen(image, held)
    for n in range(2):
        block = {k.removeprefix(f"encoder.layer.{n}."): v for k, v in at.items()}
        for kind, other in (("attention", None), ("crossattention", places)):
            looked = rows if other is None else other
            q = dense(rows, block, f"{kind}.self.query")
            k, v = (dense(looked, block, f"{kind}.self.{part}") for part in ("key", "value"))
            out = dense(attend(q, k, v, 1), block, f"{kind}.output.dense")
            rows = normed(out + rows, block, f"{kind}.output.LayerNorm", 1e-12)
        out = dense(gelu(dense(rows, block, "intermediate.dense")), block, "output.dense")
        rows = normed(out + rows, block, "output.LayerNorm", 1e-12)
    value = rows[0]
    for layer in (0, 2, 4, 6, 7):
        value = dense(value, held, f"mlp.layers.{layer}")
    return (float(value) - 0.16717362830052426) / 1.0333394966054072


def test_image_reward_by_hand(blip: str) -> None:
    """Prompts of three lengths in one batch: what is padded changes nothing."""
    tokenizer, held = word_tokenizer(), tensors()
    said = load("image-reward", model=blip, tokenizer=blip).score(WIDE, PROMPTS)
    wanted = [
        by_hand(image, tokenizer(prompt)["input_ids"], held)
        for image, prompt in zip(WIDE, PROMPTS, strict=True)
    ]
    assert said.values == pytest.approx(wanted, abs=1e-3) and np.ptp(wanted) > 0.05
    swapped = load("image-reward", model=blip, tokenizer=blip).score(WIDE, PROMPTS[::-1])
    assert np.abs(swapped.values - said.values)[[0, 2]].min() > 1e-3
    assert said.values[1] == pytest.approx(swapped.values[1], abs=1e-6)


def test_a_prompt_is_read_up_to_thirty_five_tokens(blip: str) -> None:
    """34 words and the end mark: the fortieth word changes nothing, the thirtieth does."""
    words = ["red"] * 45
    late, early = list(words), list(words)
    late[39], early[29] = "blue", "blue"
    reward = load("image-reward", model=blip, tokenizer=blip)
    said = reward.score(np.repeat(WIDE[:1], 3, axis=0), [" ".join(w) for w in (words, late, early)])
    assert said.values[0] == said.values[1] != said.values[2]
    assert said.parts["cut"] == pytest.approx([11 / 46] * 3)


def test_its_encoder_looks_once_at_a_picture(blip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = _blip.share(blip, blip)
    looked: list[int] = []
    place = shared.places.encode
    monkeypatch.setattr(
        shared.places, "encode", lambda some: (looked.append(len(some)), place(some))[1]
    )
    new = RNG.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    reward = load("image-reward", model=blip, tokenizer=blip)
    reward.score(new, ["a red circle", "a blue square"])
    reward.score(new, ["a blue square", "a red circle"])
    assert looked == [2]


def test_a_checkpoint_may_have_other_prefixes_and_must_be_whole(blip: str, tmp_path: Path) -> None:
    bare = {name.removeprefix("blip."): tensor for name, tensor in tensors().items()}
    save_file({f"model.{name}": t for name, t in bare.items()}, tmp_path / "model.safetensors")
    other = _blip.Blip(str(tmp_path), blip, "cpu")
    mine = _blip.share(blip, blip).first(WIDE, PROMPTS)
    assert np.array_equal(other.first(WIDE, PROMPTS), mine)
    del bare["text_encoder.encoder.layer.1.crossattention.self.key.bias"]
    save_file(bare, tmp_path / "model.safetensors")
    with pytest.raises(RewardError, match=r"no encoder\.layer\.1\.crossattention"):
        _blip.Blip(str(tmp_path), blip, "cpu")
    with pytest.raises(RewardError, match="has no visual_encoder"):
        _blip.split({"mlp.layers.0.weight": torch.ones(1)})
    module = rewards.get("image-reward")
    versions = {
        _version.version("image-reward", module.Config(model=name, tokenizer=blip))
        for name in (blip, str(tmp_path))
    }
    assert len(versions) == 2
