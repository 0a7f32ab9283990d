"""Two real processes on gloo train as one does: the same rewards, gradients and weights."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from backend.rl import checkpoint as files
from backend.rl.recipe import RunConfig
from tests import team_program
from tests.processes import wait_until
from tests.tiny_sd3 import tiny_sd3  # noqa: F401
from workers.launch import Crew

METHODS: dict[str, dict[str, Any]] = {
    "one-fork": {"group_size": 3, "fork_steps": [0, 1]},
    "diffusion-nft": {"group_size": 3, "times": 2},
}
TREES = {"two": (2, 1), "four": (4, 1), "uneven": (3, 0)}
"""Trees of an update, and how many grow at once; 0: each process grows its share together."""
RUNS = [
    "one-fork/two",
    "diffusion-nft/two",
    "one-fork/four",
    "diffusion-nft/four",
    "one-fork/uneven",
]
EXACT, CLOSE = RUNS[:2], RUNS[2:]
"""A sum of two gradients is the same in either order; one of more depends on it in its last bit."""


def settings(tiny: Path, name: str) -> dict[str, Any]:
    method, trees = name.split("/")
    num, at_once = TREES[trees]
    sampling = {"num_steps": 5, "prompts_per_step": num, "trees_at_once": at_once, "bf16": False}
    return {
        "method": {"name": method, "settings": METHODS[method]},
        "policy": {"config": {"weights": str(tiny), "dtype": "float32"}},
        "rewards": [
            {"name": "colour", "kind": "saturation"},
            {"name": "light", "kind": "brightness"},
            {"name": "learner", "kind": "brightness", "weight": 0.5},
        ],
        "sampling": sampling,
        "optim": {"lora_rank": 2, "lora_targets": ["to_q", "ff.net.2"], "ema_decay": 0.5},
        "evaluation": {"every": 2, "num_prompts": 4, "fixed_prompts": 1},
        "compose": {"floor": 0.0},
        "num_steps": 3,
        "checkpoint_every": 1,
        "record_groups": 100,
    }


@dataclass(frozen=True)
class Outcome:
    """What one process wrote down."""

    records: dict[str, list[dict[str, Any]]]
    tensors: dict[str, torch.Tensor]

    def iterations(self, name: str) -> list[dict[str, Any]]:
        return [row for row in self.records[name] if "metrics" in row]


@dataclass(frozen=True)
class Both:
    """The same runs by two processes and by one."""

    folder: Path
    ranks: list[Outcome]
    one: Outcome


@pytest.fixture(scope="module")
def both(tiny_sd3: Path, tmp_path_factory: pytest.TempPathFactory) -> Both:  # noqa: F811
    folder = tmp_path_factory.mktemp("team")
    runs = {name: settings(tiny_sd3, name) for name in RUNS}
    (folder / "runs").write_text(json.dumps(runs))
    command = [sys.executable, "-m", "tests.team_program", str(folder / "runs"), str(folder)]
    crew = Crew(command, 2)
    try:
        wait_until(500, lambda: not crew.is_running(), "two processes to train")
    finally:
        crew.kill()
    assert crew.codes() == [0, 0]
    ranks = [
        Outcome(
            json.loads((folder / f"{r}.json").read_text()), load_file(folder / f"{r}.safetensors")
        )
        for r in range(2)
    ]
    rows, tensors = {}, {}
    for name, given in runs.items():
        scribe = team_program.alone(RunConfig.read(given))
        rows[name] = json.loads(json.dumps(scribe.records))
        tensors |= {f"{name}/{key}": tensor for key, tensor in scribe.tensors().items()}
    return Both(folder, ranks, Outcome(rows, tensors))


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    """|a − b| / |b|."""
    return float((a - b).norm() / b.norm().clamp_min(1e-30))


def laid_out(outcome: Outcome, name: str, what: str) -> torch.Tensor:
    """All tensors of one checkpoint or gradient of a run, end to end."""
    found = [t.flatten() for key, t in outcome.tensors.items() if key.startswith(f"{name}/{what}/")]
    return torch.cat(found)


@pytest.mark.parametrize("name", EXACT)
def test_two_trees_give_the_same_bits_on_one_process_and_on_two(both: Both, name: str) -> None:
    for update in range(3):
        what = f"gradient{update}", f"weights{update + 1}"
        for part in what:
            mine, alone = laid_out(both.ranks[0], name, part), laid_out(both.one, name, part)
            assert torch.equal(mine, alone), part
        assert mine.abs().sum() > 0


@pytest.mark.parametrize("name", CLOSE)
def test_more_trees_give_the_same_numbers_but_for_the_order_of_a_sum(both: Both, name: str) -> None:
    """Adam divides by a gradient's size, so a last bit grows: gradients are those of the start."""
    ours, alone = both.ranks[0], both.one
    assert apart(laid_out(ours, name, "gradient0"), laid_out(alone, name, "gradient0")) < 1e-6
    for step in (1, 2, 3):
        what = f"weights{step}"
        assert apart(laid_out(ours, name, what), laid_out(alone, name, what)) < 1e-6
    moved = laid_out(alone, name, "weights3") - laid_out(alone, name, "weights0")
    off = laid_out(ours, name, "weights3") - laid_out(alone, name, "weights3")
    assert off.norm() < 0.01 * moved.norm()


@pytest.mark.parametrize("name", [*EXACT, "one-fork/four", "diffusion-nft/four"])
def test_rewards_and_advantages_are_the_same_bits(both: Both, name: str) -> None:
    """Of every update where gradients are, and of the first one elsewhere."""
    rows = [outcome.iterations(name) for outcome in (*both.ranks, both.one)]
    for first, second, one in list(zip(*rows, strict=True))[: 3 if name in EXACT else 1]:
        assert not first["groups"].keys() & second["groups"].keys()
        assert first["groups"] | second["groups"] == one["groups"] != {}
        assert first["nfe"] == second["nfe"] == one["nfe"]


@pytest.mark.parametrize("name", RUNS)
def test_all_processes_hold_the_same_bits_after_every_update(both: Both, name: str) -> None:
    first, second = both.ranks
    for key, tensor in first.tensors.items():
        assert torch.equal(tensor, second.tensors[key]), key
    for mine, other in zip(first.iterations(name), second.iterations(name), strict=True):
        for record in (mine, other):
            record["metrics"].pop("diversity")  # of its own pictures
        assert mine["metrics"] == other["metrics"]


@pytest.mark.parametrize("name", EXACT)
def test_a_reward_that_learns_sees_what_all_have_drawn(both: Both, name: str) -> None:
    seen = [
        [row["metrics"]["learner/seen"] for row in outcome.iterations(name)]
        for outcome in (*both.ranks, both.one)
    ]
    assert seen[0] == seen[1] == seen[2]


def test_the_first_process_alone_measures(both: Both) -> None:
    evaluated = [
        [r["evaluated"] for r in o.records["one-fork/four"] if "evaluated" in r] for o in both.ranks
    ]
    assert evaluated == [[0, 2, 3], []]


def test_a_checkpoint_of_two_processes_is_gone_on_from_by_one(
    both: Both,
    tiny_sd3: Path,  # noqa: F811
) -> None:
    name = "one-fork/two"
    config = RunConfig.read(settings(tiny_sd3, name) | {"processes": 1})
    parts = ("adapter", "optimiser", "ema", "state")
    content = {part: team_program.stored(both.folder, name, 2, part).read_bytes() for part in parts}
    saved = files.unpack(2, content | {"state": b""}, json.loads(content["state"]))
    scribe = team_program.alone(config, saved)
    (mine,) = [row for row in scribe.records if "metrics" in row]
    last = both.one.iterations(name)[-1]
    assert (mine["step"], mine["groups"]) == (3, last["groups"])
    for key, tensor in scribe.states[-1].adapter.items():
        assert torch.equal(tensor, both.one.tensors[f"{name}/weights3/{key}"])


# --- sharing out the weights ----------------------------------------------------------------------

FSDP = """
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_transformer_layer_cls_to_wrap: JointTransformerBlock
  fsdp_cpu_ram_efficient_loading: false
mixed_precision: 'no'
num_machines: 1
num_processes: 2
use_cpu: false
"""


@pytest.mark.slow
def test_weights_that_are_shared_out_as_accelerate_says_learn_the_same(
    tiny_sd3: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    """FSDP2 on gloo, started by `accelerate launch`; each process draws another number of trees."""
    given = settings(tiny_sd3, "one-fork/uneven")
    given["optim"] = {"train": "full", "lr": 1e-4, "ema_decay": 0.5}
    again = given | {"resume": ["full", 2]}
    (tmp_path / "runs").write_text(json.dumps({"full": given, "again": again}))
    (tmp_path / "fsdp.yaml").write_text(FSDP)
    command = [sys.executable, "-m", "tests.team_program", str(tmp_path / "runs"), str(tmp_path)]
    crew = Crew.through_accelerate(command, 2, tmp_path / "fsdp.yaml")
    try:
        wait_until(500, lambda: not crew.is_running(), "two processes to train")
    finally:
        crew.kill()
    assert crew.codes() == [0]
    ours = load_file(tmp_path / "0.safetensors")
    one = team_program.alone(RunConfig.read(given))
    alone = one.tensors()
    held = [json.loads((tmp_path / f"{r}.json").read_text())["full"][-1]["held"] for r in range(2)]
    assert sum(held) == one.held and max(held) < 0.6 * one.held, "the weights were not shared out"
    for what in ("gradient0", "weights1", "weights2", "weights3"):
        names = [name for name in alone if name.startswith(f"{what}/")]
        mine = torch.cat([ours[f"full/{name}"].flatten() for name in names])
        assert apart(mine, torch.cat([alone[name].flatten() for name in names])) < 1e-6, what
    last = [name for name in alone if name.startswith("weights3/")]
    assert all(torch.equal(ours[f"again/{name}"], ours[f"full/{name}"]) for name in last)
