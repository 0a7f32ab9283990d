"""Pickled weights become safetensors in a child without a network; what is no tensor never runs."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from backend.errors import InputError
from backend.registry import rewards
from backend.rewards import _clip
from backend.rewards.interface import checked
from tests.tiny_sd3 import clip_tokenizer
from workers import converting
from workers.cli import app


class Touches:
    """A pickle that runs a command when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def test_weights_are_converted_and_their_hash_is_published(tmp_path: Path) -> None:
    made = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 6, generator=made)
    tied = {"0.weight": weight, "1.weight": weight[1:], "half": weight.half()}
    source = tmp_path / "head.pth"
    torch.save({"state_dict": {"layers": tied}, "epoch": 3, "lr": [0.1]}, source)
    told = CliRunner().invoke(app, ["convert-weights", str(source), "--out", str(tmp_path / "a")])
    assert told.exit_code == 0, told.output
    file = tmp_path / "a" / "model.safetensors"
    found = load_file(file)
    assert set(found) == {"layers.0.weight", "layers.1.weight", "layers.half"}
    assert torch.equal(found["layers.1.weight"], weight[1:])
    assert found["layers.half"].dtype == torch.float16
    said = json.loads((tmp_path / "a" / "converted.json").read_text())
    assert said["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert said["source_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert said["sha256"] in told.output and said["tensors"] == 3
    assert said["network"] in ("namespace", "refused")
    with pytest.raises(InputError, match="is there already"):
        converting.convert(source, tmp_path / "a")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "converted.json",
        "model.safetensors",
    ]


def test_a_pickle_that_runs_something_does_not(tmp_path: Path) -> None:
    source, mark = tmp_path / "evil.pt", tmp_path / "ran"
    torch.save({"weight": torch.ones(2), "hook": Touches(mark)}, source)
    with pytest.raises(InputError, match="was not converted"):
        converting.convert(source, tmp_path / "out")
    assert not mark.exists() and not list((tmp_path / "out").iterdir())


def test_memory_is_bounded(tmp_path: Path) -> None:
    """A view of one number that claims sixteen thousand million of them."""
    source = tmp_path / "bomb.pt"
    torch.save({"weight": torch.ones(1).expand(1 << 34)}, source)
    assert source.stat().st_size < 10_000
    with pytest.raises(InputError, match="was not converted"):
        converting.convert(source, tmp_path / "out")


def test_the_child_has_no_network() -> None:
    """A server on this machine that its parent can reach and it cannot."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        code = (
            f"import sys, socket; sys.path.insert(0, {str(converting.CHILD.parent)!r})\n"
            "import unpickling\nprint(unpickling.no_network())\n"
            f"try:\n    socket.create_connection(('127.0.0.1', {port}))\n    print('reached')\n"
            "except OSError as error:\n    print(type(error).__name__)\n"
        )
        ran = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    how, got = ran.stdout.split()
    assert how in ("namespace", "refused") and got != "reached", ran.stdout + ran.stderr


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        converting.convert(tmp_path / "nothing.pt", tmp_path / "out")


def test_clip_of_open_clip_scores_as_that_of_transformers(tmp_path: Path) -> None:
    """HPS v2.1's way: one tiny CLIP saved in both layouts has the same values."""
    from transformers import CLIPConfig, CLIPModel

    words = clip_tokenizer(tmp_path / "words", length=8)
    last = len(words) - 1  # open_clip ends a text with the last token of its vocabulary
    assert words.eos_token_id == last
    sizes = {"intermediate_size": 32, "num_hidden_layers": 2, "hidden_act": "gelu"}
    text = {"hidden_size": 128, "vocab_size": last + 1, "max_position_embeddings": 8}
    marks = {"bos_token_id": last - 1, "eos_token_id": last}
    torch.manual_seed(3)
    model = CLIPModel(
        CLIPConfig(
            text_config={**sizes, **text, **marks, "num_attention_heads": 2},
            vision_config={
                **sizes,
                "hidden_size": 64,
                "num_attention_heads": 1,
                "image_size": 32,
                "patch_size": 8,
            },
            projection_dim=12,
        )
    )
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path / "theirs", safe_serialization=True)
    source = tmp_path / "HPS.pt"
    torch.save({"state_dict": as_open_clip(dict(model.state_dict())), "epoch": 1}, source)
    done = converting.convert(source, tmp_path / "ours", "open-clip")
    assert done.layout == "open-clip"
    images = np.random.default_rng(0).integers(0, 256, (2, 20, 34, 3), dtype=np.uint8)
    module, values = rewards.get("hps-v2"), []
    words.save_pretrained(tmp_path / "tokens")
    for name in ("theirs", "ours"):
        _clip.share.cache_clear()
        config = {"model": str(tmp_path / name), "tokenizer": str(tmp_path / "tokens")}
        reward = checked(module.load(module.Config.read(config)), "hps-v2")
        values.append(reward.score(images, ["a red circle", "a blue square"]).values)
    assert values[0] == pytest.approx(values[1], abs=1e-6) and np.ptp(values[0]) > 1e-6


def as_open_clip(held: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors as open_clip names them, written out tower by tower."""
    found = {
        "logit_scale": held["logit_scale"],
        "visual.class_embedding": held["vision_model.embeddings.class_embedding"],
        "visual.positional_embedding": held["vision_model.embeddings.position_embedding.weight"],
        "visual.conv1.weight": held["vision_model.embeddings.patch_embedding.weight"],
        "visual.proj": held["visual_projection.weight"].T.contiguous(),
        "positional_embedding": held["text_model.embeddings.position_embedding.weight"],
        "token_embedding.weight": held["text_model.embeddings.token_embedding.weight"],
        "text_projection": held["text_projection.weight"].T.contiguous(),
        "attn_mask": torch.zeros(8, 8),
    }
    for part in ("weight", "bias"):
        found[f"visual.ln_pre.{part}"] = held[f"vision_model.pre_layrnorm.{part}"]
        found[f"visual.ln_post.{part}"] = held[f"vision_model.post_layernorm.{part}"]
        found[f"ln_final.{part}"] = held[f"text_model.final_layer_norm.{part}"]
        for theirs, ours in (("vision_model", "visual."), ("text_model", "")):
            for n in range(2):
                a, b = f"{theirs}.encoder.layers.{n}", f"{ours}transformer.resblocks.{n}"
                packed = [held[f"{a}.self_attn.{name}_proj.{part}"] for name in "qkv"]
                found[f"{b}.attn.in_proj_{part}"] = torch.cat(packed)
                for mine, yours in (
                    ("attn.out_proj", "self_attn.out_proj"),
                    ("ln_1", "layer_norm1"),
                    ("ln_2", "layer_norm2"),
                    ("mlp.c_fc", "mlp.fc1"),
                    ("mlp.c_proj", "mlp.fc2"),
                ):
                    found[f"{b}.{mine}.{part}"] = held[f"{a}.{yours}.{part}"]
    return found
