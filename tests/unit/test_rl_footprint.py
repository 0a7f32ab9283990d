"""Memory on paper: counts of a model's files, and a range that holds what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from backend import recipes
from backend.rl.footprint import Model, footprint, read_model
from backend.rl.recipe import RunConfig
from tests.benchmarks import bench_large_model
from tests.tiny_sd3 import load_tiny, save_tiny

GIB = 2**30


def with_model(config: RunConfig, **settings: object) -> RunConfig:
    policy = config.policy.model_copy(update={"config": {**config.policy.config, **settings}})
    return config.model_copy(update={"policy": policy})


def test_numbers_are_counted_whatever_their_precision(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model")
    pipeline = load_tiny(folder).pipeline
    counts = {
        name: sum(tensor.numel() for tensor in part.state_dict().values())
        for name, part in pipeline.components.items()
        if isinstance(part, torch.nn.Module)
    }
    found = read_model(folder, {})
    assert found is not None
    assert found.numbers == counts.pop("transformer")
    assert len(counts) == 3 and found.others == sum(counts.values())

    for path in folder.rglob("*.safetensors"):
        save_file({k: v.to(torch.float16) for k, v in load_file(path).items()}, path)
    assert read_model(folder, {}) == found
    next(folder.rglob("*.safetensors")).write_bytes(b"\xff" * 40)
    assert read_model(folder, {}) is None, "what is no weight file says nothing"


def test_precision_side_and_copies_of_weights_are_in_the_range(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model")
    single, double = read_model(folder, {}), read_model(folder, {"sample_side": 32})
    assert single is not None and double is not None and single.side == 16
    assert (double.side, double.tokens - 77) == (32, 4 * (single.tokens - 77))
    config = recipes.load("pocket-g2rpo")
    full, half = (
        footprint(with_model(config, dtype=dtype), single) for dtype in ("float32", "bfloat16")
    )
    frozen = single.numbers + single.others
    assert full.low - half.low >= 2 * frozen
    average = config.optim.model_copy(update={"ema_decay": 0.9})
    other = footprint(config.model_copy(update={"optim": average}), single)
    plain = config.optim.model_copy(update={"ema_decay": 0.0})
    assert other.low > footprint(config.model_copy(update={"optim": plain}), single).low


@pytest.mark.parametrize("recipe", bench_large_model.RECIPES)
def test_the_range_holds_the_measured_peak_of_a_large_model(recipe: str) -> None:
    # docs/log.md, "On a GPU": SD3.5 medium's shape in bf16 at 512 px took 15.7 to 15.8 GiB.
    config = with_model(bench_large_model.settings(recipe, 4, 24), dtype="bfloat16")
    model = Model(2.24e9, 84e6, 24, 1536, 32 * 32 + 77 + 256, 512, 256)
    found = footprint(config, model)
    assert found.low < 15.7 * GIB and 15.8 * GIB < found.high < 1.3 * 15.8 * GIB
