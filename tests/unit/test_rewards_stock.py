"""Stock image rewards on tiny random checkpoints of the same architecture, against formulas that
are written out here: resizing, truncation, heads, and one pass for all that share an encoder."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from backend.errors import RewardError
from backend.pocket import world
from backend.registry import rewards
from backend.rewards import _clip, _hub, _sight, _version, dino, laion_aesthetic
from backend.rewards.interface import Checked, checked
from tests.tiny_sd3 import clip_tokenizer
from workers import doctor

RNG = np.random.default_rng(0)
WIDE = RNG.integers(0, 256, (3, 20, 34, 3), dtype=np.uint8)
TALL = RNG.integers(0, 256, (2, 57, 40, 3), dtype=np.uint8)
PROMPTS = ["a red circle", "a blue square", "a green circle on a blue square"]
MEAN = np.array([0.48145466, 0.4578275, 0.40821073])
STD = np.array([0.26862954, 0.26130258, 0.27577711])
SIDE = 32


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tiny CLIP of this file's tests."""
    return tiny_clip(tmp_path_factory.mktemp("stock") / "clip")


def tiny_clip(folder: Path) -> str:
    """A CLIP of a few thousand parameters in the stock layout, tokeniser and processor with it."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    torch.manual_seed(0)
    torch.set_num_threads(1)
    tokenizer = clip_tokenizer(folder / "words", length=8)
    marks = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2}
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": 8, **marks}
    model = CLIPModel(
        CLIPConfig(
            text_config={**sizes, **heads, **text},
            vision_config={**sizes, **heads, "image_size": SIDE, "patch_size": 8},
            projection_dim=12,
            logit_scale_init_value=4.0,
        )
    )
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    sides = {"height": SIDE, "width": SIDE}
    CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=sides).save_pretrained(folder)
    _clip.share.cache_clear()
    return str(folder)


def load(kind: str, **config: Any) -> Checked:
    module = rewards.get(kind)
    return checked(module.load(module.Config.read(config)), kind)  # type: ignore[no-any-return]


def cropped(image: np.ndarray) -> np.ndarray:
    """Shortest side to SIDE by PIL's bicubic, the middle of the other one."""
    height, width = image.shape[:2]
    if width <= height:
        size = (SIDE, int(SIDE * height / width))
    else:
        size = (int(SIDE * width / height), SIDE)
    large = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    top, left = (size[1] - SIDE) // 2, (size[0] - SIDE) // 2
    return large[top : top + SIDE, left : left + SIDE]


def padded(image: np.ndarray) -> np.ndarray:
    """Longest side to SIDE, black on both sides of the other one."""
    height, width = image.shape[:2]
    share = SIDE / max(height, width)
    size = (round(width * share), round(height * share))
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    found = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    found[top : top + size[1], left : left + size[0]] = small
    return found


def embedded(folder: str, seen: np.ndarray) -> np.ndarray:
    """Unit vectors of pictures that are resized already, the projection done by hand."""
    from transformers import CLIPModel

    model = CLIPModel.from_pretrained(folder).eval()
    pixels = ((seen / 255 - MEAN) / STD).transpose(0, 3, 1, 2).astype(np.float32)
    with torch.no_grad():
        pooled = model.vision_model(pixel_values=torch.from_numpy(pixels)).pooler_output
    weight = load_file(Path(folder) / "model.safetensors")["visual_projection.weight"]
    rows = pooled.numpy() @ weight.numpy().T
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def worded(folder: str, prompts: list[str], length: int = 8) -> np.ndarray:
    """Unit vectors of prompts, cut by hand: begin mark, words, end mark, `length` in all."""
    from transformers import CLIPModel, CLIPTokenizer

    model = CLIPModel.from_pretrained(folder).eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    weight = load_file(Path(folder) / "model.safetensors")["text_projection.weight"].numpy()
    rows = []
    for prompt in prompts:
        inner = tokenizer(prompt, add_special_tokens=False)["input_ids"][: length - 2]
        ids = torch.tensor([[tokenizer.bos_token_id, *inner, tokenizer.eos_token_id]])
        with torch.no_grad():
            row = weight @ model.text_model(input_ids=ids).pooler_output[0].numpy()
        rows.append(row / np.linalg.norm(row))
    return np.stack(rows)


def test_clip_score_by_hand(clip: str) -> None:
    seen = np.stack([cropped(image) for image in WIDE])
    cosine = (embedded(clip, seen) * worded(clip, PROMPTS)).sum(axis=1)
    said = load("clip-score", model=clip).score(WIDE, PROMPTS)
    assert said.values == pytest.approx(cosine, abs=1e-5) and said.values.std() > 1e-3
    paper = load("clip-score", model=clip, formula="paper").score(WIDE, PROMPTS).values
    assert paper == pytest.approx(2.5 * np.maximum(cosine, 0), abs=1e-5)


def test_a_prompt_is_cut_at_what_the_encoder_reads(clip: str) -> None:
    """Eight tokens with their marks: six words. The seventh changes nothing, the fifth does."""
    long = "a green circle on a blue square"
    assert len(long.split()) == 7
    said = load("clip-score", model=clip)
    images = np.repeat(WIDE[:1], 4, axis=0)
    asked = [long, "a green circle on a blue circle", "a green circle on red blue square", "a"]
    got = said.score(images, asked)
    assert got.values[0] == got.values[1] != got.values[2]
    assert got.parts["cut"] == pytest.approx([1 / 9, 1 / 9, 1 / 9, 0])
    assert worded(clip, [long])[0] == pytest.approx(_clip.share(clip).text([long])[0], abs=1e-5)


def test_pick_score_is_the_cosine_times_the_temperature_of_its_checkpoint(clip: str) -> None:
    seen = np.stack([cropped(image) for image in TALL])
    cosine = (embedded(clip, seen) * worded(clip, PROMPTS[:2])).sum(axis=1)
    said = load("pick-score", model=clip, tokenizer=clip).score(TALL, PROMPTS[:2]).values
    assert said == pytest.approx(np.exp(4.0) * cosine, abs=1e-4)
    flow = load("pick-score", model=clip, tokenizer=clip, divide_by=26).score(TALL, PROMPTS[:2])
    assert flow.values == pytest.approx(np.exp(4.0) * cosine / 26, abs=1e-5)


@pytest.mark.parametrize("images", [WIDE, TALL])
def test_hps_sees_the_whole_picture_and_black_around_it(clip: str, images: np.ndarray) -> None:
    seen = np.stack([padded(image) for image in images])
    asked = PROMPTS[: len(images)]
    cosine = (embedded(clip, seen) * worded(clip, asked)).sum(axis=1)
    said = load("hps-v2", model=clip, tokenizer=clip).score(images, asked).values
    assert said == pytest.approx(cosine, abs=1e-5)
    edge = WIDE.copy()
    edge[:, :, :3] = 0  # beyond the crop of a wide picture, so CLIPScore never knows
    assert load("clip-score", model=clip).score(edge, PROMPTS).values == pytest.approx(
        load("clip-score", model=clip).score(WIDE, PROMPTS).values
    )
    hps = load("hps-v2", model=clip, tokenizer=clip)
    assert np.abs(hps.score(edge, PROMPTS).values - hps.score(WIDE, PROMPTS).values).max() > 1e-5


@pytest.mark.parametrize("images", [WIDE, TALL, world.render_many(world.draw(2, 0), 0)])
def test_our_crop_is_that_of_the_stock_processor(clip: str, images: np.ndarray) -> None:
    from transformers import AutoImageProcessor

    stock = AutoImageProcessor.from_pretrained(clip)
    theirs = stock(images=list(images), return_tensors="np")["pixel_values"]
    ours = _sight.of(clip, SIDE)(images)
    assert np.abs(ours - theirs).max() < 0.02  # a step of 1/255 is .015


def test_the_laion_head_is_one_vector(clip: str, tmp_path: Path) -> None:
    """Five layers applied one after the other in the test, folded in the reward."""
    rng = np.random.default_rng(1)
    sizes, layers = (12, 10, 8, 6, 4, 1), {}
    for number, (inside, out) in zip((0, 2, 4, 6, 7), pairwise(sizes), strict=True):
        layers[f"layers.{number}.weight"] = rng.normal(size=(out, inside)).astype(np.float32)
        layers[f"layers.{number}.bias"] = rng.normal(size=out).astype(np.float32)
    save_file({n: torch.from_numpy(a) for n, a in layers.items()}, tmp_path / "model.safetensors")
    row = embedded(clip, np.stack([cropped(image) for image in WIDE])).astype(np.float64)
    for number in (0, 2, 4, 6, 7):
        row = row @ layers[f"layers.{number}.weight"].T + layers[f"layers.{number}.bias"]
    reward = load("laion-aesthetic", model=clip, head=str(tmp_path))
    assert reward.score(WIDE, PROMPTS).values == pytest.approx(row[:, 0], abs=1e-3)
    assert reward.score(WIDE, ["b", "c", "d"]).values.tolist() == (
        reward.score(WIDE, PROMPTS).values.tolist()
    )
    with pytest.raises(RewardError, match="does not fit the one before"):
        laion_aesthetic.folded({"0.weight": np.ones((3, 4)), "2.weight": np.ones((1, 5))})
    with pytest.raises(RewardError, match="ends in 2 values"):
        laion_aesthetic.folded({"0.weight": np.ones((2, 4))})


def test_heads_of_one_encoder_share_its_pass(clip: str, tmp_path: Path) -> None:
    save_file({"0.weight": torch.ones(1, 12)}, tmp_path / "model.safetensors")
    eye, new = _clip.share(clip), RNG.integers(0, 256, (5, 20, 20, 3), dtype=np.uint8)
    before = eye.passes
    load("clip-score", model=clip).score(new, ["a"] * 5)
    load("laion-aesthetic", model=clip, head=str(tmp_path)).score(new, ["a"] * 5)
    load("clip-score", model=clip, formula="paper").score(new[::-1], ["a"] * 5)
    assert eye.passes == before + 5
    load("clip-score", model=clip).score(np.concatenate([new[:1], new[:1] // 2]), ["a", "a"])
    assert eye.passes == before + 6


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A DINOv2 of a few thousand parameters."""
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("stock") / "dino"
    config = Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=224, patch_size=56
    )
    Dinov2Model(config).save_pretrained(folder, safe_serialization=True)
    dino.share.cache_clear()
    return str(folder)


def classed(folder: str, images: np.ndarray) -> np.ndarray:
    """[CLS] at unit length: shortest side to 256, the middle 224, ImageNet's scale."""
    from transformers import Dinov2Model

    model = Dinov2Model.from_pretrained(folder).eval()
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    seen = []
    for image in images:
        large = Image.fromarray(image).resize((256, 256), Image.Resampling.BICUBIC)
        seen.append((np.asarray(large)[16:240, 16:240] / 255 - mean) / std)
    pixels = np.stack(seen).transpose(0, 3, 1, 2).astype(np.float32)
    with torch.no_grad():
        rows = model(pixel_values=torch.from_numpy(pixels)).last_hidden_state[:, 0].numpy()
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def test_dino_says_how_much_siblings_differ(backbone: str) -> None:
    images = RNG.integers(0, 256, (4, 24, 24, 3), dtype=np.uint8)
    row = classed(backbone, images)
    cos = row @ row.T
    said = load("dino", model=backbone).score(images, list("aaab"), [7, 7, 7, 8])
    by_hand = [1 - (cos[i].sum() - 1 - cos[i, 3]) / 2 for i in range(3)]
    assert said.values[:3] == pytest.approx(by_hand, abs=1e-5)
    assert said.status[3] == "n/a" and np.isnan(said.values[3])


def test_dino_says_how_like_the_references_a_picture_is(backbone: str) -> None:
    prompts = world.draw(2, 3)
    images = world.render_many(prompts, 1)
    reward = load("dino", model=backbone, against="references")
    said = reward.score(images, prompts).values
    drawn = reward.scorer.references.draw([prompts[1]], dino.DRAWN, [0])  # type: ignore[union-attr]
    row = classed(backbone, np.concatenate([images[1:], drawn]))
    assert said[1] == pytest.approx((row[1:] @ row[0]).mean(), abs=1e-5)


def test_weights_that_are_not_here_are_named_with_the_command(clip: str, tmp_path: Path) -> None:
    for kind in _hub.STOCK:
        assert rewards.get(kind).TITLE and _hub.STOCK[kind]
    with pytest.raises(RewardError, match="hf download nobody/nothing --include"):
        load("clip-score", model="nobody/nothing")
    with pytest.raises(RewardError, match="not a CLIP"):
        load("clip-score", model=dino_in(tmp_path))
    with pytest.raises(RewardError, match=r"no model\.safetensors here"):
        load("laion-aesthetic", model=clip, head=str(tmp_path / "empty"))
    assert _hub.absent("clip-score") == [(_hub.CLIP_L, "model.safetensors")]
    assert "safetensors" not in _hub.fetch(_hub.CLIP_H, "tokenizer_config.json")
    for kind in _hub.STOCK:
        found = doctor._stock(kind)
        assert found.status == "optional" and "hf download" in found.remedy


def test_weights_in_parts_are_here_when_every_part_is(tmp_path: Path) -> None:
    parts = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": parts}))
    (tmp_path / "model-1.safetensors").write_bytes(b"one")
    assert _hub.weight_files(str(tmp_path)) == []
    assert _hub.fingerprint(str(tmp_path)) == str(tmp_path)
    last = tmp_path / "model-2.safetensors"
    last.write_bytes(b"two")
    assert [path.name for path in _hub.weight_files(str(tmp_path))][1:] == list(parts.values())
    before = _hub.fingerprint(str(tmp_path))
    last.write_bytes(b"three")
    assert before != _hub.fingerprint(str(tmp_path)) != str(tmp_path)


def dino_in(folder: Path) -> str:
    from transformers import Dinov2Config, Dinov2Model

    small = Dinov2Config(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=28)
    Dinov2Model(small).save_pretrained(folder / "other", safe_serialization=True)
    return str(folder / "other")


def test_other_weights_are_another_version(clip: str, tmp_path: Path) -> None:
    module = rewards.get("clip-score")
    here = _version.version("clip-score", module.Config(model=clip))
    assert here == _version.version("clip-score", module.Config(model=clip))
    named = _version.version("clip-score", module.Config())
    assert here != named != _version.version("clip-score", module.Config(formula="paper"))
