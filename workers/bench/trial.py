"""One run of a benchmark: trained in memory for some minutes, its curve against cost and time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from backend.errors import PalateError
from backend.rl.recipe import RunConfig
from backend.types import (
    CheckpointState,
    EvaluationRecord,
    IterationRecord,
    Orders,
    Policy,
    Wanted,
)
from workers import bare
from workers.bench.lab import SATURATION, Lab
from workers.frame import sentence

log = logging.getLogger(__name__)

EVALUATIONS = 8
"""Of a run, besides those before and after it, unless a benchmark asks for fewer."""
QUICK_S = 10.0
FOREVER = 10**6
"""Updates of a run whose end is a time."""


@dataclass
class Notes:
    """What is kept of a run: a sink without pictures, and a control that never interferes."""

    trained: str
    gold: str
    say: Callable[[str], None] = lambda text: None
    curve: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """Of training; evaluations do not count."""
    nfe: dict[str, int] = field(default_factory=dict)
    """Network evaluations of training by purpose."""
    last_seconds: float = 0.0
    """Of the last update."""
    updates: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    evaluations: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """All figures by step, as alarms look at them."""

    def iteration(self, record: IterationRecord) -> None:
        """Count its cost."""
        self.updates.append((record.step, dict(record.metrics)))
        self.last_seconds = record.seconds["total"]
        self.seconds += self.last_seconds
        for name, value in record.metrics.items():
            if name.startswith("nfe/"):
                purpose = name.removeprefix("nfe/")
                self.nfe[purpose] = self.nfe.get(purpose, 0) + int(value)

    def evaluation(self, record: EvaluationRecord) -> None:
        """A point of the curve."""
        said = record.metrics
        self.evaluations.append((record.step, dict(said)))
        point = {
            "step": record.step,
            "seconds": round(self.seconds, 3),
            "nfe": sum(self.nfe.values()),
            "diversity": said.get("diversity"),
            "saturation": said.get(f"heldout/{SATURATION}"),
        }
        for part, name in (("trained", self.trained), ("gold", self.gold)):
            point[part] = 0.0 if record.step == 0 else said.get(f"gain/{name}")
            point[f"{part}_se"] = 0.0 if record.step == 0 else said.get(f"gain_se/{name}")
        self.curve.append(point)
        gains = " · ".join(
            f"{name} {said[f'gain/{name}']:+.3f} ± {said[f'gain_se/{name}']:.3f}"
            for name in (self.trained, self.gold)
            if f"gain/{name}" in said
        )
        if gains:
            self.say(f"  update {record.step:>4}, {self.seconds:>5.0f} s: {gains}")

    def checkpoint(self, state: CheckpointState) -> None:
        """Nothing is kept: the policy itself is what a benchmark measures."""

    def log(self, level: str, text: str, data: dict[str, Any] | None = None) -> None:
        """Warnings are part of the result."""
        if level != "info":
            self.warnings.append(text)

    def wanted(self) -> Wanted:
        """Always to go on."""
        return "run"

    def orders(self, step: int) -> Orders:
        """Nobody asks for anything."""
        return Orders()

    def progress(self, done: int, total: int, message: str) -> None:
        """Told by the evaluations."""


def failed(seed: int, error: str) -> dict[str, Any]:
    """The result of a run that did not come about."""
    return {
        "seed": seed,
        "status": "failed",
        "error": error,
        "curve": [],
        "final": None,
        "seconds": 0.0,
        "wall_seconds": 0.0,
        "nfe": {},
        "warnings": [],
        "config": {},
    }


@dataclass(frozen=True)
class Trial:
    """A run to make: its settings, and which of its watched rewards is the trained one."""

    name: str
    config: RunConfig
    minutes: float
    trained: str
    gold: str
    updates: int = 0
    """So many instead of minutes, on any machine the same; 0 goes by the minutes."""
    whole: bool = False
    """Whether all figures of all updates are part of the result."""
    evaluations: int = EVALUATIONS
    """Besides those before and after it."""

    def run(self, lab: Lab) -> tuple[dict[str, Any], Policy | None]:
        """What came of it as plain data, and the trained policy.

        A run that raises is a result with its sentence; its policy is None.
        """
        notes = Notes(self.trained, self.gold, lab.say)
        started = time.monotonic()
        lab.say(f"{self.name}, seed {self.config.seed}")
        row = failed(self.config.seed, "")
        policy = None
        try:
            policy, row["status"] = self._train(lab, notes)
        except PalateError as error:
            row["error"] = str(error)
        except Exception as error:
            log.exception("%s failed.", self.name)
            row["error"] = sentence(error)
        if row["error"]:
            lab.say(f"  {row['error']}")
        row |= {
            "curve": notes.curve,
            "final": notes.curve[-1] if policy and notes.curve else None,
            "seconds": round(notes.seconds, 3),
            "wall_seconds": round(time.monotonic() - started, 3),
            "nfe": notes.nfe,
            "warnings": notes.warnings,
            "config": self.config.plain(),
        }
        if self.whole:
            row |= {"updates": notes.updates, "evaluations": notes.evaluations}
        return row, policy if not row["error"] else None

    def _train(self, lab: Lab, notes: Notes) -> tuple[Policy, str]:
        from backend.rl.loop import train

        data = lab.data(self.config)
        config = self._timed(lab, data)
        policy = bare.policy(config.policy)
        result = train(
            config,
            policy=policy,
            rewards=lab.scorers(config),
            data=data,
            sink=notes,
            control=notes,
        )
        return policy, result.status

    def _timed(self, lab: Lab, data: Any) -> RunConfig:
        """The config with its end and its evaluations fitted to the minutes.

        Updates on a model that is thrown away say how long one takes; the first also warms the
        machine up, so where it was quick a second one is timed.
        """
        from backend.rl.trainer import Trainer

        if self.updates:
            return self._ended(self.updates, self.updates, None)
        notes = Notes(self.trained, self.gold)
        policy, scorers = bare.policy(self.config.policy), lab.scorers(self.config)
        trainer = Trainer(self.config, policy, scorers, data, notes)
        trainer.iterate()
        if notes.last_seconds < QUICK_S:
            trainer.iterate()
        updates = max(1, round(60 * self.minutes / notes.last_seconds))
        falls = self.config.optim.lr_end < 1
        return self._ended(updates, updates if falls else FOREVER, self.minutes)

    def _ended(self, updates: int, most: int, minutes: float | None) -> RunConfig:
        """The config with its end, and evaluations spread over that many updates."""
        every = max(1, round(updates / self.evaluations))
        evaluation = self.config.evaluation.model_copy(update={"every": every})
        change = {"minutes": minutes, "num_steps": most, "evaluation": evaluation}
        return self.config.model_copy(update=change)
