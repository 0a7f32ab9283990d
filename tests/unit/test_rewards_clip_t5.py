"""VQAScore by CLIP-FlanT5 on a tiny random checkpoint in its authors' layout, against the encoder
and decoder of a T5 written out here: square, patches, projector, positions, cross attention."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn.functional import gelu, linear, softmax

from backend.errors import ConfigError, RewardError
from backend.registry import rewards
from backend.rewards import _clip_t5, _version
from backend.rewards.interface import Checked, checked
from tests.tiny_sd3 import WORDS
from workers import converting

RNG = np.random.default_rng(6)
WIDE = RNG.integers(0, 256, (2, 20, 34, 3), dtype=np.uint8)
PROMPTS = ["a red circle", "a blue square on a white background"]
QUESTION = "USER: <image> is {prompt} Yes ASSISTANT:"
MEAN = np.array([0.48145466, 0.4578275, 0.40821073])
STD = np.array([0.26862954, 0.26130258, 0.27577711])
SIDE, WIDTH, HEADS, KEY, BUCKETS, FAR = 32, 16, 2, 6, 8, 20

Tensors = dict[str, torch.Tensor]


def tokenizer() -> Any:
    """A token a word, and an end mark after each text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "</s>", "<unk>", "Yes", "No", "USER", "ASSISTANT", ":", "is", *WORDS]
    made = Tokenizer(models.WordLevel({n: i for i, n in enumerate(names)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", eos_token="</s>"
    )


@pytest.fixture(scope="module")
def flan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tower and checkpoint; the vocabulary is longer than the tokeniser's, as Flan-T5's is."""
    from transformers import CLIPVisionConfig, CLIPVisionModel, T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("flan")
    sizes = {"hidden_size": 12, "intermediate_size": 24, "num_attention_heads": 2}
    tower = CLIPVisionModel(
        CLIPVisionConfig(**sizes, num_hidden_layers=3, image_size=SIDE, patch_size=16)
    )
    tower.save_pretrained(folder / "tower", safe_serialization=True)
    config = T5Config(
        vocab_size=24, d_model=WIDTH, d_kv=KEY, d_ff=20, num_layers=2, num_heads=HEADS,
        relative_attention_num_buckets=BUCKETS, relative_attention_max_distance=FAR,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, decoder_start_token_id=0,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    held = {name: one + 0.3 * torch.randn_like(one) for name, one in model.state_dict().items()}
    held["embed_tokens.weight"] = held["shared.weight"]  # their module has it twice
    held["encoder.embed_tokens.weight"] = held["decoder.embed_tokens.weight"] = held[
        "shared.weight"
    ]
    for at, (out, inside) in {0: (WIDTH, 12), 2: (WIDTH, WIDTH)}.items():
        held[f"mm_projector.{at}.weight"] = torch.randn(out, inside) / 2
        held[f"mm_projector.{at}.bias"] = torch.randn(out) / 2
    held["vision_tower.vision_tower.vision_model.post_layernorm.weight"] = torch.ones(12)
    save_file({n: t.clone() for n, t in held.items()}, folder / "model.safetensors")
    told = {
        **config.to_dict(), "model_type": "clip_t5", "mm_hidden_size": 12,
        "architectures": ["CLIPT5ForConditionalGeneration"], "mm_projector_type": "mlp2x_gelu",
        "mm_vision_tower": str(folder / "tower"), "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch", "use_mm_proj": True,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(told))
    tokenizer().save_pretrained(folder)
    _clip_t5.share.cache_clear()
    return folder


def load(**config: Any) -> Checked:
    module = rewards.get("vqa-score")
    return checked(module.load(module.Config.read(config)), "vqa-score")  # type: ignore[no-any-return]


def pictured(image: np.ndarray, folder: Path, held: Tensors) -> torch.Tensor:
    """A square of the mean colour, resized; the tower's last layer but one; two layers."""
    from transformers import CLIPVisionModel

    square = np.zeros((34, 34, 3), np.uint8) + np.array([int(255 * m) for m in MEAN], np.uint8)
    square[7:27] = image
    small = np.asarray(Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    pixels = torch.tensor((small / 255 - MEAN) / STD, dtype=torch.float32).permute(2, 0, 1)[None]
    tower = CLIPVisionModel.from_pretrained(folder / "tower").eval()
    with torch.no_grad():
        rows = tower(pixel_values=pixels, output_hidden_states=True).hidden_states[2][0, 1:]
    rows = linear(rows, held["mm_projector.0.weight"], held["mm_projector.0.bias"])
    return linear(gelu(rows), held["mm_projector.2.weight"], held["mm_projector.2.bias"])


def normed(rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return rows * torch.rsqrt((rows**2).mean(-1, keepdim=True) + 1e-6) * weight


def bucket(apart: int, both: bool) -> int:
    """T5's: near places one by one, further ones by logarithms; both sides, or those before."""
    half, start = (BUCKETS // 2, BUCKETS // 2 if apart > 0 else 0) if both else (BUCKETS, 0)
    far = abs(apart) if both else max(-apart, 0)
    if far < half // 2:
        return start + far
    step = math.log(far / (half // 2)) / math.log(FAR / (half // 2)) * (half - half // 2)
    return start + min(half // 2 + int(step), half - 1)


def places(num: int, table: torch.Tensor, both: bool) -> torch.Tensor:
    """(heads, L, L), −∞ for what comes later where only those before are seen."""
    found = torch.zeros(HEADS, num, num)
    for i in range(num):
        for j in range(num):
            found[:, i, j] = table[bucket(j - i, both)]
            if j > i and not both:
                found[:, i, j] = -math.inf
    return found


def attend(rows: torch.Tensor, other: torch.Tensor, at: Tensors, bias: Any) -> torch.Tensor:
    """T5 does not divide by the square root of the width."""
    q, k, v = (linear(x, at[f"{n}.weight"]) for n, x in (("q", rows), ("k", other), ("v", other)))
    out = []
    for head in range(HEADS):
        part = slice(head * KEY, (head + 1) * KEY)
        scores = q[:, part] @ k[:, part].T + (0 if bias is None else bias[head])
        out.append(softmax(scores, dim=-1) @ v[:, part])
    return linear(torch.cat(out, dim=-1), at["o.weight"])


def stack(rows: torch.Tensor, held: Tensors, part: str, seen: torch.Tensor | None) -> torch.Tensor:
    table = held[f"{part}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    bias = places(len(rows), table, seen is None)

    def under(name: str) -> Tensors:
        return {n.removeprefix(f"{name}."): t for n, t in held.items() if n.startswith(f"{name}.")}

    for n in range(2):
        block = f"{part}.block.{n}.layer"
        inner = normed(rows, held[f"{block}.0.layer_norm.weight"])
        rows = rows + attend(inner, inner, under(f"{block}.0.SelfAttention"), bias)
        if seen is not None:
            inner = normed(rows, held[f"{block}.1.layer_norm.weight"])
            rows = rows + attend(inner, seen, under(f"{block}.1.EncDecAttention"), None)
        last = f"{block}.{1 if seen is None else 2}"
        inner, dense = (
            normed(rows, held[f"{last}.layer_norm.weight"]),
            under(f"{last}.DenseReluDense"),
        )
        gate = gelu(linear(inner, dense["wi_0.weight"]), approximate="tanh")
        rows = rows + linear(gate * linear(inner, dense["wi_1.weight"]), dense["wo.weight"])
    return normed(rows, held[f"{part}.final_layer_norm.weight"])


def by_hand(image: np.ndarray, prompt: str, answer: str, folder: Path, held: Tensors) -> float:
    words = tokenizer()
    before, after = (words(text)["input_ids"] for text in ("USER:", f"is {prompt} Yes ASSISTANT:"))
    assert before[-1] == after[-1] == 1  # each part has its end mark
    table = held["shared.weight"]
    rows = torch.cat([table[before], pictured(image, folder, held), table[after]])
    read = stack(rows, held, "encoder", None)
    ids = words(answer)["input_ids"]
    said = stack(table[[0, *ids[:-1]]], held, "decoder", read)
    logits = linear(said, held["lm_head.weight"])[:, : len(words)]
    log = torch.log_softmax(logits, dim=-1)
    return float(np.exp(np.mean([float(log[row, token]) for row, token in enumerate(ids)])))


def test_vqa_score_by_hand(flan: Path) -> None:
    held = load_file(flan / "model.safetensors")
    said = load(model=str(flan), question=QUESTION).score(WIDE, PROMPTS)
    for answer, given in (("Yes", said.values), ("No", said.parts["no"])):
        both = zip(WIDE, PROMPTS, strict=True)
        wanted = [by_hand(image, prompt, answer, flan, held) for image, prompt in both]
        assert given == pytest.approx(wanted, rel=1e-4)
    assert said.values[0] != pytest.approx(said.values[1], rel=1e-2)


def test_a_prompt_is_words_and_a_question_shows_one_picture(flan: Path) -> None:
    said = load(model=str(flan)).score(WIDE, ["<image> red", "red</s>"])
    assert said.status == ["ok", "ok"] and ((said.values > 0) & (said.values < 1)).all()
    assert _clip_t5.plain("a <image> </s> < 3 <extra_id_0>") == "a < image> < /s> < 3 < extra_id_0>"
    assert _clip_t5.framed("{prompt}?") == "USER: <image>\n{prompt}? ASSISTANT: "
    with pytest.raises(ConfigError, match="shows the picture twice"):
        load(model=str(flan), question="<image> {prompt} <image>")


def test_pickled_parts_become_safetensors_with_an_index(flan: Path, tmp_path: Path) -> None:
    """The same values and the same tensors by name; what lacks is told."""
    held = load_file(flan / "model.safetensors")
    names = sorted(held)
    index: dict[str, str] = {}
    for number, some in enumerate((names[::2], names[1::2]), 1):
        file = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({name: held[name] for name in some}, tmp_path / file)
        index |= dict.fromkeys(some, file)
    source = tmp_path / "pytorch_model.bin.index.json"
    source.write_text(json.dumps({"metadata": {}, "weight_map": index}))
    folder = tmp_path / "out"
    done = converting.convert_parts(source, folder)
    assert [one.tensors for one in done] == [len(names[::2]), len(names[1::2])]
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text((flan / name).read_text())
    _clip_t5.share.cache_clear()
    said = load(model=str(folder), question=QUESTION).score(WIDE, PROMPTS)
    assert said.values == pytest.approx(
        load(model=str(flan), question=QUESTION).score(WIDE, PROMPTS).values
    )
    module = rewards.get("vqa-score")
    versions = {_version.version("vqa-score", module.Config(model=str(f))) for f in (flan, folder)}
    assert len(versions) == 2
    lacking = {name: one for name, one in held.items() if "decoder.block.1.layer.2" not in name}
    for file in folder.glob("model*"):
        file.unlink()
    save_file(lacking, folder / "model.safetensors")
    _clip_t5.share.cache_clear()
    with pytest.raises(RewardError, match=r"no decoder\.block\.1\.layer\.2"):
        load(model=str(folder), question=QUESTION)
