"""The text reward: quotes, edits and values by hand, and tiny random readers of both layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from backend.errors import RewardError
from backend.registry import rewards
from backend.rewards import _reader, ocr
from backend.rewards.interface import checked
from tests.tiny_sd3 import word_tokenizer

WIDE = np.random.default_rng(4).integers(0, 256, (2, 24, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ('a sign that says "Open now"', ["Open now"]),
        ("a shop called 'Joe's Diner' at night", ["Joe's Diner"]),
        ("the dog's bowl and the cats' food", []),
        ("“Left” and 「右」 over «bas»", ["Left", "右", "bas"]),
        ('nothing: " "', []),
    ],
)
def test_texts_in_quotes(prompt: str, texts: list[str]) -> None:
    assert ocr.quoted(prompt) == texts


def test_nearness_by_hand() -> None:
    """OPEN NOW of 7 letters: OPAN NOW is one edit away, 6/7; whole inside is 1; nothing alike 0."""
    assert ocr.edits("kitten", "sitting") == 3 and ocr.edits("", "ab") == 2
    assert ocr.nearness("opan now", "OPEN NOW") == pytest.approx(6 / 7)
    assert ocr.nearness("we are\nopen  NOW today", "Open now") == 1
    assert ocr.nearness("xxxxxxxxxxxxxxxxxxxxxxxx", "open now") == 0
    assert ocr.nearness("", "open now") == 0


class Reads:
    """A reader that says what it is told, and counts."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)

    def read(self, _image: Any) -> str:
        return self.texts.pop(0)


def test_only_prompts_with_quotes_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reads("open", "cafe bar")
    monkeypatch.setattr(_reader, "share", lambda _name: reader)
    reward = checked(ocr.load(rewards.get("ocr").Config()), "ocr")
    said = reward.score(np.repeat(WIDE[:1], 3, axis=0), ["a dog", "'Open'", "\"Cafe\" over 'Bars'"])
    assert said.status == ["n/a", "ok", "ok"] and reader.texts == []
    assert said.values[1:] == pytest.approx([1, (1 + 0) / 2])
    assert said.parts["read"][1:].tolist() == [4, 7]


def test_trocr_takes_the_likeliest_word_of_a_squashed_picture(tmp_path: Path) -> None:
    import transformers

    torch.manual_seed(2)
    words = word_tokenizer()
    vision = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=16,
    )
    text = transformers.TrOCRConfig(
        vocab_size=len(words),
        d_model=16,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=16,
        max_position_embeddings=300,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
        decoder_start_token_id=1,
    )
    model = transformers.VisionEncoderDecoderModel(
        encoder=transformers.ViTModel(vision, add_pooling_layer=False),
        decoder=transformers.TrOCRForCausalLM(text),
    )
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    model.config.decoder_start_token_id = model.generation_config.decoder_start_token_id = 1
    model.config.pad_token_id = 0
    model.generation_config.eos_token_id = 1
    model.save_pretrained(tmp_path, safe_serialization=True)
    half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": 32, "width": 32}}
    processor = transformers.ViTImageProcessor(**half)
    transformers.TrOCRProcessor(image_processor=processor, tokenizer=words).save_pretrained(
        tmp_path
    )
    reader = _reader.Reader(str(tmp_path), "cpu")
    said = reader.read(WIDE[0])
    small = np.asarray(Image.fromarray(WIDE[0]).resize((32, 32), Image.Resampling.BICUBIC))
    pixels = torch.tensor((small / 255 - 0.5).transpose(2, 0, 1)[None] / 0.5, dtype=torch.float32)
    model.eval()
    told = [1]
    while len(told) <= _reader.MOST_TOKENS:
        with torch.no_grad():
            logits = model(pixel_values=pixels, decoder_input_ids=torch.tensor([told])).logits
        told.append(int(logits[0, -1].argmax()))
        if told[-1] == 1 or len(told) == 12:
            break
    begun = words.decode(told, skip_special_tokens=True)
    assert said == begun if told[-1] == 1 else said.startswith(begun)
    dino = transformers.Dinov2Config(hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    transformers.Dinov2Model(dino).save_pretrained(tmp_path / "other")
    with pytest.raises(RewardError, match="could not be loaded"):
        _reader.Reader(str(tmp_path / "other"), "cpu")


def test_got_reads_a_whole_picture_and_its_answer_ends(tmp_path: Path) -> None:
    """The stock processor puts the words around it; what is read begins after them."""
    import transformers

    torch.manual_seed(3)
    words = word_tokenizer()
    marks = ["<img>", "</img>", "<imgpad>", "<|im_start|>", "<|im_end|>"]
    words.add_tokens(marks, special_tokens=True)
    config = transformers.GotOcr2Config(
        vision_config={
            "hidden_size": 16,
            "output_channels": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 1024,  # what 256 places of the stock processor stand for
            "mlp_dim": 16,
            "global_attn_indexes": [],
        },
        text_config={
            "model_type": "qwen2",
            "vocab_size": len(words),
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
        },
        image_token_index=words.convert_tokens_to_ids("<imgpad>"),
        image_seq_length=256,
    )
    model = transformers.GotOcr2ForConditionalGeneration(config)
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path, safe_serialization=True)
    sizes = transformers.GotOcr2ImageProcessor(size={"height": 1024, "width": 1024})
    transformers.GotOcr2Processor(sizes, words).save_pretrained(tmp_path)
    reader = _reader.Reader(str(tmp_path), "cpu")
    first, again = reader.read(WIDE[0]), reader.read(WIDE[0])
    assert first == again
    ready = reader.processor(
        images=Image.fromarray(WIDE[0]).resize((1024, 1024), Image.Resampling.BICUBIC),
        return_tensors="pt",
    )
    assert words.decode(ready["input_ids"][0]).count("<imgpad>") == 256
    told: list[int] = []
    while len(told) < 8:
        ids = torch.cat([ready["input_ids"], torch.tensor([told], dtype=torch.long)], dim=1)
        with torch.no_grad():
            logits = model.eval()(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                pixel_values=ready["pixel_values"],
            ).logits
        told.append(int(logits[0, -1].argmax()))
        if told[-1] == words.convert_tokens_to_ids("<|im_end|>"):
            break
    assert first.startswith(words.decode(told, skip_special_tokens=True))
