"""What a preflight foretells of a pocket run beside what the run then takes: time and memory.

Three processes, one after the other, so that each one's peak is its own: the trial of a step as New
run makes it (*Measure it with a step of this run*), the run itself for some updates, and the trial
again, whose distance from the first is the machine's own noise. Printed: seconds an update and peak
memory of each, the estimate from the model's files, and the ratios foretold over measured; wanted
are time within 20 % and memory within 15 %.

    python -m tests.benchmarks.bench_preflight [--updates 6] [--recipe pocket-g2rpo]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

from backend import recipes
from backend.pocket import HELDOUT_PROMPTS_PATH, TRAIN_PROMPTS_PATH
from backend.rl.collect import Data
from backend.rl.footprint import PROCESS, footprint
from backend.rl.loop import train
from backend.rl.peak import Peak
from backend.rl.recipe import RunConfig
from backend.rl.trial import _Thrown, measure
from backend.services.preflight import machine
from backend.types import Orders, Wanted
from workers import bare

WITHIN = {"seconds": 0.20, "bytes": 0.15}


def main() -> None:
    """Measure, print figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=6)
    parser.add_argument("--recipe", default="pocket-g2rpo")
    parser.add_argument("--part", choices=("trial", "run"), default="")
    asked = parser.parse_args()
    if asked.part:
        part = trial if asked.part == "trial" else run
        print(json.dumps(part(settings(asked.recipe, asked.updates))))
        return
    first, real, again = (
        _elsewhere(part, asked.recipe, asked.updates) for part in ("trial", "run", "trial")
    )
    over = {key: round(first[key] / real[key], 3) for key in WITHIN}
    found = {
        "trial": first,
        "run": real,
        "trial_again": again,
        "estimate_bytes": estimate(settings(asked.recipe, asked.updates)),
        "trial_over_run": over,
        "trial_over_trial": {key: round(again[key] / first[key], 3) for key in WITHIN},
        "within": {key: abs(over[key] - 1) <= most for key, most in WITHIN.items()},
    }
    print(json.dumps(found, indent=1))


class Idle:
    """A control that asks for nothing."""

    def wanted(self) -> Wanted:
        return "run"

    def orders(self, step: int) -> Orders:
        return Orders()

    def progress(self, done: int, total: int, message: str) -> None:
        pass


def settings(recipe: str, updates: int) -> RunConfig:
    """The recipe for some updates, with one evaluation and one checkpoint at the end."""
    config = recipes.load(recipe)
    evaluation = config.evaluation.model_copy(update={"every": updates})
    changes = {"num_steps": updates, "checkpoint_every": updates, "evaluation": evaluation}
    return config.model_copy(update=changes)


def estimate(config: RunConfig) -> list[int]:
    """[least, most] bytes as the preflight says them before anything is tried."""
    model = machine.read_files(config)
    assert model is not None
    found = footprint(config, model)
    return [int(found.low + PROCESS), int(found.high + PROCESS)]


def trial(config: RunConfig) -> dict[str, float]:
    """As the probe's job does it."""
    found = measure(config, *_loaded(config), Idle())
    assert found is not None
    return {"seconds": round(found.seconds_per_step, 3), "bytes": found.peak_bytes}


def run(config: RunConfig) -> dict[str, float]:
    """The run itself; its first update is left out of the time, as it is in a trial."""
    policy, rewards, data = _loaded(config)
    sink = _Thrown()
    with Peak(policy.device) as peak:
        train(config, policy=policy, rewards=rewards, data=data, sink=sink, control=Idle())
    later = [
        sum(s for name, s in it.seconds.items() if name != "total") for it in sink.iterations[1:]
    ]
    return {"seconds": round(sum(later) / len(later), 3), "bytes": peak.bytes}


def _loaded(config: RunConfig) -> tuple[Any, Any, Data]:
    data = Data(bare.lines(TRAIN_PROMPTS_PATH), bare.lines(HELDOUT_PROMPTS_PATH))
    return bare.policy(config.policy), bare.scorers([*config.rewards, *config.watch]), data


def _elsewhere(part: str, recipe: str, updates: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.bench_preflight", "--part", part]
    command += ["--recipe", recipe, "--updates", str(updates)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
