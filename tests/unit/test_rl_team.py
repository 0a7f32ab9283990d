"""What can be said of a team without starting one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from backend.errors import ConfigError, EnvironmentProblem
from backend.rewards import brightness
from backend.rl import team as teams
from backend.rl.collect import Data
from backend.rl.loop import train
from backend.rl.recipe import RunConfig
from backend.rl.shards import like, whole
from backend.rl.team import Accelerated, Alone
from tests.tiny_sd3 import PROMPTS, load_tiny


def test_gradients_are_added_up_in_runs_that_keep_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(teams, "BUCKET", 10)
    sizes = [4, 4, 4, 30, 1, 9, 1]
    cut = [[len(t) for t in run] for run in teams._buckets([torch.zeros(n) for n in sizes])]
    assert cut == [[4, 4], [4], [30], [1, 9], [1]]
    assert list(teams._buckets([])) == []


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(EnvironmentProblem, match="4 processes and this machine has 1 GPU;"):
        Accelerated()


def test_what_is_not_shared_out_is_left_as_it_is() -> None:
    tensor = torch.arange(3.0)
    assert whole(tensor) is tensor and like(tensor, torch.zeros(3)) is tensor


@pytest.mark.parametrize(
    ("method", "optim"), [("one-fork", {"train": "lora"}), ("diffusion-nft", {"train": "full"})]
)
def test_weights_are_not_shared_out_where_a_loss_needs_others(
    tiny_sd3: Path, method: str, optim: dict[str, str]
) -> None:
    team = Alone()
    team.shares_out = True
    config = RunConfig.read(
        {
            "method": {"name": method},
            "policy": {"config": {"weights": str(tiny_sd3)}},
            "rewards": [{"name": "light", "kind": "brightness"}],
            "optim": optim,
        }
    )
    with pytest.raises(ConfigError, match="FSDP"):
        train(
            config,
            policy=load_tiny(tiny_sd3),
            rewards={"light": brightness.load(brightness.Config())},
            data=Data(PROMPTS, PROMPTS),
            sink=None,  # type: ignore[arg-type]
            control=None,  # type: ignore[arg-type]
            team=team,
        )
