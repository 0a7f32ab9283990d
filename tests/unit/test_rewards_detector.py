"""The GenEval kind: its language and rules by hand, and tiny random detectors of both layouts
against boxes worked out here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from backend.errors import RewardError
from backend.registry import rewards
from backend.rewards import _clip, _detector, _scene, gen_eval
from backend.rewards._scene import Box, Place, Thing
from backend.rewards.interface import Checked, checked
from tests.tiny_sd3 import clip_tokenizer

WIDE = np.random.default_rng(3).integers(0, 256, (40, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("prompt", "things", "places"),
    [
        ("a photo of a bench", [Thing(1, "bench")], []),
        ("a photo of three benches", [Thing(3, "bench")], []),
        ("A photo of a purple wine glass.", [Thing(1, "wine glass", "purple")], []),
        (
            "a photo of a red car and two white sheep",
            [Thing(1, "car", "red"), Thing(2, "sheep", "white")],
            [],
        ),
        (
            "a dog to the left of a tie",
            [Thing(1, "dog"), Thing(1, "tie")],
            [Place(0, "left", 1)],
        ),
        (
            "a cup below two knives, and an orange",
            [Thing(1, "cup"), Thing(2, "knife"), Thing(1, "orange")],
            [Place(0, "below", 1)],
        ),
    ],
)
def test_plain_prompts_are_read(prompt: str, things: list[Thing], places: list[Place]) -> None:
    read = _scene.read(prompt)
    assert read is not None
    assert list(read.things) == things and list(read.places) == places


@pytest.mark.parametrize("prompt", ["", "sunset over the sea", "a very old man with a grey beard"])
def test_other_prompts_are_not(prompt: str) -> None:
    assert _scene.read(prompt) is None


def at(left: float, top: float, size: float = 10, colour: str = "", score: float = 1.0) -> Box:
    return Box(left, top, left + size, top + size, score, colour)


def test_rules_of_number_colour_and_place() -> None:
    def said(prompt: str, **found: list[Box]) -> dict[str, list[bool]]:
        read = _scene.read(prompt)
        assert read is not None
        return _scene.checks(read, found)

    assert said("a dog", dog=[at(0, 0), at(50, 0)]) == {"presence": [True]}
    assert said("two dogs", dog=[at(0, 0), at(50, 0)]) == {"count": [True]}
    assert said("two dogs", dog=[at(0, 0), at(30, 0), at(60, 0)]) == {"count": [False]}
    red, blue = at(0, 0, colour="red"), at(50, 0, colour="blue")
    assert said("a red cup and a blue cup", cup=[red, blue])["colour"] == [True, True]
    assert said("two red cups", cup=[red, blue]) == {"count": [True], "colour": [False]}
    assert said("two red cups and a blue cup", cup=[red, blue])["count"] == [False]
    left = "a cat left of a dog"
    assert said(left, cat=[at(0, 0)], dog=[at(40, 0)])["place"] == [True]
    assert said(left, cat=[at(40, 0)], dog=[at(0, 0)])["place"] == [False]
    assert said(left, cat=[at(0, 0)], dog=[at(2, 0)])["place"] == [False]  # within a tenth of both
    assert said(left, cat=[at(0, 0)], dog=[at(8, 60)])["place"] == [False]  # it is above
    assert said("a cat above a dog", cat=[at(0, 0)], dog=[at(8, 60)])["place"] == [True]
    assert said(left, cat=[at(0, 0)], dog=[])["place"] == [False]


def test_of_boxes_that_overlap_the_best_one_stays() -> None:
    """Moved by 2 of 10: 80 of 120 in common, .67; by 6: 40 of 160, .25."""
    boxes = [at(0, 0, score=0.5), at(2, 0, score=0.9), at(8, 0, score=0.3)]
    assert [box.score for box in _scene.apart(boxes, 0.5)] == [0.9, 0.3]
    assert [box.score for box in _scene.apart(boxes, 0.2)] == [0.9]
    assert [box.score for box in _scene.apart(boxes, 0.7)] == [0.9, 0.5, 0.3]


@pytest.fixture(scope="module")
def owl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OWLv2 of a few thousand parameters; its tokeniser pads with the first token, as CLIP's."""
    from transformers import Owlv2Config, Owlv2ForObjectDetection

    folder = tmp_path_factory.mktemp("detector") / "owl"
    words = clip_tokenizer(folder / "words", length=8)
    words.pad_token = words.convert_ids_to_tokens(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    torch.manual_seed(0)
    config = Owlv2Config(
        text_config={
            **sizes,
            "num_attention_heads": 2,
            "vocab_size": len(words),
            "max_position_embeddings": 8,
            "eos_token_id": words.eos_token_id,
        },
        vision_config={**sizes, "num_attention_heads": 2, "image_size": 48, "patch_size": 16},
        projection_dim=16,
    )
    model = Owlv2ForObjectDetection(config)
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder, safe_serialization=True)
    words.save_pretrained(folder)
    size = {"size": {"height": 48, "width": 48}}
    (folder / "preprocessor_config.json").write_text(json.dumps(size))
    return folder


def test_owl_looks_for_any_name_in_a_square_with_black_below(owl: Path) -> None:
    from transformers import AutoTokenizer, Owlv2ForObjectDetection

    names = ["red circle", "blue square"]
    found = _detector.Detector(str(owl), "cpu").find(WIDE, names, 0.0)
    square = np.zeros((64, 64, 3), dtype=np.uint8)
    square[:40] = WIDE
    small = np.asarray(Image.fromarray(square).resize((48, 48), Image.Resampling.BILINEAR)) / 255
    mean = np.array([0.48145466, 0.4578275, 0.40821073])
    std = np.array([0.26862954, 0.26130258, 0.27577711])
    pixels = torch.tensor(((small - mean) / std).transpose(2, 0, 1)[None], dtype=torch.float32)
    words = AutoTokenizer.from_pretrained(owl)
    rows = []
    for name in names:
        ids = words(f"a photo of a {name}")["input_ids"][:8]
        rows.append([*ids[:7], words.eos_token_id] if len(ids) == 8 else ids)
    ids = torch.tensor([row + [0] * (8 - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (8 - len(row)) for row in rows])
    with torch.no_grad():
        said = Owlv2ForObjectDetection.from_pretrained(owl).eval()(
            pixel_values=pixels, input_ids=ids, attention_mask=mask
        )
    scores, boxes = torch.sigmoid(said.logits[0]), 64 * said.pred_boxes[0]
    for column, name in enumerate(names):
        mine = [row for row in range(9) if int(scores[row].argmax()) == column]
        assert len(found[name]) <= len(mine)
        if not mine:
            continue
        best = max(mine, key=lambda row: float(scores[row, column]))
        x, y, wide, high = boxes[best].tolist()
        got = found[name][0]
        assert got.score == pytest.approx(float(scores[best, column]), abs=1e-5)
        assert [got.left, got.top, got.right, got.bottom] == pytest.approx(
            [x - wide / 2, y - high / 2, x + wide / 2, y + high / 2], abs=1e-3
        )
    assert sum(map(len, found.values())) > 0


def test_a_detector_of_a_closed_list_knows_its_labels_alone(tmp_path: Path) -> None:
    from transformers import RTDetrConfig, RTDetrForObjectDetection, RTDetrResNetConfig

    torch.manual_seed(1)
    backbone = RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 8, 8],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = RTDetrConfig(
        backbone_config=backbone,
        encoder_hidden_dim=16,
        encoder_in_channels=[8, 8, 8],
        encoder_attention_heads=2,
        encoder_ffn_dim=16,
        d_model=16,
        num_queries=6,
        decoder_in_channels=[16, 16, 16],
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=16,
        id2label={0: "dog", 1: "Cat"},
        label2id={"dog": 0, "Cat": 1},
    )
    RTDetrForObjectDetection(config).save_pretrained(tmp_path, safe_serialization=True)
    sizes = {"size": {"height": 64, "width": 64}, "do_normalize": False}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(sizes))
    detector = _detector.Detector(str(tmp_path), "cpu")
    assert detector.knows("cat") and not detector.knows("bench")
    found = detector.find(WIDE, ["cat", "dog"], 0.0)
    small = np.asarray(Image.fromarray(WIDE).resize((64, 64), Image.Resampling.BILINEAR)) / 255
    pixels = torch.tensor(small.transpose(2, 0, 1)[None], dtype=torch.float32)
    with torch.no_grad():
        said = RTDetrForObjectDetection.from_pretrained(tmp_path).eval()(pixel_values=pixels)
    scores = torch.sigmoid(said.logits[0])
    row, column = divmod(int(scores.argmax()), 2)
    got = found[("dog", "cat")[column]][0]
    x, y, wide, high = said.pred_boxes[0, row].tolist()
    assert got.score == pytest.approx(float(scores.max()), abs=1e-5)
    assert [got.left, got.bottom] == pytest.approx(
        [64 * (x - wide / 2), 40 * (y + high / 2)], abs=1e-3
    )
    with pytest.raises(RewardError, match="no label 'bench'"):
        detector.find(WIDE, ["bench"], 0.1)


class Finds:
    """A detector whose boxes are known, so that colours and parts can be followed."""

    def __init__(self, **found: list[Box]) -> None:
        self.found = found

    def knows(self, name: str) -> bool:
        return name in self.found

    def find(self, image: Any, names: list[str], least: float) -> dict[str, list[Box]]:
        return {name: [b for b in self.found[name] if b.score > least] for name in names}


def load(monkeypatch: pytest.MonkeyPatch, detector: Finds, **config: Any) -> Checked:
    monkeypatch.setattr(_detector, "share", lambda _name: detector)
    return checked(gen_eval.load(rewards.get("gen-eval").Config.read(config)), "gen-eval")


def test_values_parts_and_what_does_not_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Finds(cat=[at(0, 0), at(20, 0, score=0.1)], dog=[at(40, 0)], cup=[])
    prompts = ["a cat left of a dog", "a cat and a cup", "sunset", "a bench", "two cats"]
    images = np.repeat(WIDE[None], len(prompts), axis=0)
    said = load(monkeypatch, detector).score(images, prompts)
    assert said.values[[0, 1, 4]].tolist() == [1, 0, 0]
    assert said.status == ["ok", "ok", "n/a", "n/a", "ok"]
    assert "not plain enough" in said.reasons[2] and "no label 'bench'" in said.reasons[3]
    assert said.parts["share"][:2].tolist() == [1, 0.5] and said.parts["place"][0] == 1
    assert np.isnan(said.parts["count"][0])
    share = load(monkeypatch, detector, value="share", least=0.05).score(images, prompts)
    assert share.values[[0, 1, 4]].tolist() == [1, 0.5, 1]


def test_a_colour_is_the_one_whose_words_fit_the_crop_best(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tests.unit.test_rewards_stock import tiny_clip

    folder = tiny_clip(tmp_path / "clip")
    eye = _clip.share(folder)
    crop = WIDE[5:25, 10:40]
    means = [
        np.mean(
            [
                eye.text([text])[0]
                for text in (
                    f"a photo of a {colour} circle",
                    f"a photo of a {colour}-colored circle",
                    f"a photo of a {colour} object",
                )
            ],
            axis=0,
        )
        for colour in _scene.COLOURS
    ]
    best = _scene.COLOURS[int(np.argmax([mean @ eye.image(crop[None])[0] for mean in means]))]
    other = next(colour for colour in _scene.COLOURS if colour != best)
    detector = Finds(circle=[Box(10, 5, 40, 25), Box(70, 50, 90, 60)])
    reward = load(monkeypatch, detector, colours=folder)
    said = reward.score(np.repeat(WIDE[None], 2, 0), [f"a {best} circle", f"a {other} circle"])
    assert said.values.tolist() == [1, 0]
