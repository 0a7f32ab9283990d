"""Trains a list of runs alone, or as one of several processes, and writes down all that came of it.

`python -m tests.team_program <runs.json> <folder>` is what each process of a team runs: the runs'
settings in, `<folder>/<rank>.json` and `<folder>/<rank>.safetensors` out. A run with `resume`
goes on from that checkpoint of an earlier one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from backend.registry import rewards
from backend.rewards.interface import Scores
from backend.rl import checkpoint as files
from backend.rl.collect import Data
from backend.rl.loop import train
from backend.rl.recipe import RunConfig
from backend.rl.shards import whole
from backend.rl.team import Accelerated, Alone, Team, leave
from backend.types import CheckpointState, EvaluationRecord, IterationRecord, Orders
from tests.tiny_sd3 import PROMPTS, load_tiny


@dataclass
class Recorder:
    """Sink, control and scribe of one run."""

    records: list[dict[str, Any]] = field(default_factory=list)
    states: list[CheckpointState] = field(default_factory=list)
    gradients: list[dict[str, torch.Tensor]] = field(default_factory=list)
    held: int = 0
    """Numbers of the trained weights that this process keeps."""

    def iteration(self, record: IterationRecord) -> None:
        groups = {
            str(group.tree): [[n.advantage, n.rewards] for n in group.nodes]
            for group in record.groups
        }
        row = {"step": record.step, "metrics": record.metrics, "nfe": record.nfe, "groups": groups}
        self.records.append(row)

    def evaluation(self, record: EvaluationRecord) -> None:
        self.records.append({"evaluated": record.step})

    def checkpoint(self, state: CheckpointState) -> None:
        self.states.append(state)

    def log(self, level: str, text: str, data: dict[str, Any] | None = None) -> None:
        self.records.append({"said": text})

    def wanted(self) -> str:
        return "run"

    def orders(self, step: int) -> Orders:
        return Orders()

    def progress(self, done: int, total: int, message: str) -> None:
        pass

    def tensors(self) -> dict[str, torch.Tensor]:
        """Every summed gradient and every checkpoint's weights by name."""
        found = {
            f"gradient{i}/{n}": g for i, all_ in enumerate(self.gradients) for n, g in all_.items()
        }
        for state in self.states:
            found |= {f"weights{state.step}/{name}": t for name, t in state.adapter.items()}
        return {name: tensor.contiguous().clone() for name, tensor in found.items()}


class Learner:
    """Learns nothing, but says which pictures it was shown."""

    shape = "pointwise"

    def score(self, images: np.ndarray, prompts: list[str]) -> Scores:
        return Scores.of(images.mean(axis=(1, 2, 3)))

    def observe(self, images: np.ndarray, prompts: list[str], step: int) -> dict[str, float]:
        weights = np.arange(1, len(images) + 1)
        return {"seen": float((images.mean(axis=(1, 2, 3)) * weights).sum())}

    def state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: Any) -> None:
        pass


def trained(config: RunConfig, team: Team, resume: CheckpointState | None = None) -> Recorder:
    """Train the tiny network as `config` says; note every gradient that a step was taken with."""
    scribe, policy = Recorder(), load_tiny(Path(config.policy.config["weights"]))
    summed = team.add_gradients

    def add_gradients(parameters: Iterable[Any]) -> None:
        owned = list(parameters)
        summed(owned)
        found = {name: p.grad for name, p in policy.trainable().items() if p.grad is not None}
        scribe.gradients.append({name: whole(gradient).clone() for name, gradient in found.items()})

    team.add_gradients = add_gradients  # type: ignore[method-assign]
    scorers = {
        term.name: rewards.get(term.kind).load(rewards.get(term.kind).Config(), Path)
        for term in [*config.rewards, *config.watch]
    } | {"learner": Learner()}
    try:
        train(
            config,
            policy=policy,
            rewards=scorers,
            data=Data(PROMPTS, PROMPTS),
            sink=scribe,
            control=scribe,  # type: ignore[arg-type]
            team=team,
            resume=resume,
        )
        scribe.held = sum(shard(p.data).numel() for p in policy.trainable().values())
    finally:
        team.add_gradients = summed  # type: ignore[method-assign]
    return scribe


def shard(tensor: torch.Tensor) -> torch.Tensor:
    """What this process keeps of a tensor."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def alone(config: RunConfig, resume: CheckpointState | None = None) -> Recorder:
    """One process."""
    return trained(config, Alone(), resume)


def stored(folder: Path, name: str, step: int, part: str) -> Path:
    """Where a part of a checkpoint lies."""
    return folder / f"{name.replace('/', '-')}-{step}-{part}"


def main(settings: Path, folder: Path) -> None:
    """As one process of a team."""
    torch.set_num_threads(1)
    team, rows, tensors = Accelerated(), {}, {}
    done: dict[str, Recorder] = {}
    for name, given in json.loads(settings.read_text()).items():
        run, step = given.pop("resume", ("", 0))
        scribe = trained(RunConfig.read(given), team, done[run].states[step] if run else None)
        done[name] = scribe
        rows[name] = [*scribe.records, {"held": scribe.held}]
        tensors |= {f"{name}/{key}": tensor for key, tensor in scribe.tensors().items()}
        if team.rank == 0:
            for state in scribe.states:
                packed = files.pack(state) | {"state": json.dumps(state.state).encode()}
                for part, content in packed.items():
                    stored(folder, name, state.step, part).write_bytes(content)
    (folder / f"{team.rank}.json").write_text(json.dumps(rows))
    save_file(tensors, folder / f"{team.rank}.safetensors")
    team.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    leave(0)
