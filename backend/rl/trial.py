"""A trial of a run: a few updates with everything loaded, to measure what no formula knows.

It is the run itself, shorter: the same batches, with sampling, decoding and every reward, one held-
out evaluation and one checkpoint; its records are thrown away. Memory is the peak of the process
(resident, on a CPU) or of its GPU (reserved by torch), time is that of the updates after the first,
which alone fills caches and compiles.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from backend.rl.cost import predict
from backend.rl.peak import Peak
from backend.rl.recipe import RunConfig

if TYPE_CHECKING:
    from backend.rl.collect import Data
    from backend.types import (
        CheckpointState,
        Control,
        EvaluationRecord,
        IterationRecord,
        Policy,
        Scorer,
    )

UPDATES = 2
"""The first is left out of the times."""


@dataclass(frozen=True)
class Trial:
    """What a trial measured."""

    device: str
    """"cpu", or the name of the GPU."""
    peak_bytes: int
    total_bytes: int
    """Memory of that device."""
    seconds_per_step: float
    seconds_evaluation: float
    nfe_per_step: float
    judge_calls: float
    """In one update."""
    disk_bytes: int
    """Of one checkpoint."""

    def plain(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def short(config: RunConfig) -> RunConfig:
    """The same run with `UPDATES` updates and an evaluation of one batch."""
    held = min(config.evaluation.num_prompts, config.sampling.batch_size)
    return config.model_copy(
        update={
            "num_steps": UPDATES,
            "minutes": None,
            "checkpoint_every": UPDATES,
            "evaluation": config.evaluation.model_copy(
                update={"every": UPDATES, "num_prompts": max(held, 2)}
            ),
        }
    )


def measure(
    config: RunConfig,
    policy: Policy,
    rewards: Mapping[str, Scorer],
    data: Data,
    control: Control,
) -> Trial | None:
    """Train the short run; None when `control` ended it early. The policy is changed by it."""
    from backend.rl.loop import train

    sink = _Thrown()
    with Peak(policy.device) as peak:
        ended = train(
            short(config), policy=policy, rewards=rewards, data=data, sink=sink, control=control
        )
    if ended.status != "done" or len(sink.iterations) < 2:
        return None
    later = sink.iterations[1:]
    seconds = [sum(s for name, s in it.seconds.items() if name != "total") for it in later]
    calls = [sum(v for k, v in it.metrics.items() if k.startswith("judge_calls/")) for it in later]
    whole, part = (predict(one).nfe_evaluation for one in (config, short(config)))
    return Trial(
        device=peak.device,
        peak_bytes=peak.bytes,
        total_bytes=peak.total,
        seconds_per_step=_mean(seconds),
        seconds_evaluation=sink.evaluation_s * whole / part,
        nfe_per_step=_mean([it.nfe for it in later]),
        judge_calls=_mean(calls),
        disk_bytes=sink.checkpoint_bytes,
    )


class _Thrown:
    """A sink that keeps figures and throws everything else away."""

    def __init__(self) -> None:
        self.iterations: list[IterationRecord] = []
        self.checkpoint_bytes = 0
        self.evaluation_s = 0.0
        self._since = time.perf_counter()

    def iteration(self, record: IterationRecord) -> None:
        """Keep the figures, not the pictures."""
        record.groups = []
        self.iterations.append(record)
        self._since = time.perf_counter()

    def evaluation(self, record: EvaluationRecord) -> None:
        """The last one counts: the first has loaded what was not loaded yet."""
        self.evaluation_s = time.perf_counter() - self._since
        self._since = time.perf_counter()

    def checkpoint(self, state: CheckpointState) -> None:
        """Packed as a run would, so that its size and its memory are known."""
        from backend.rl.checkpoint import pack

        self.checkpoint_bytes = sum(len(data) for data in pack(state).values())
        self._since = time.perf_counter()

    def log(self, level: str, text: str, data: dict[str, Any] | None = None) -> None:
        """Nobody reads it."""


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
