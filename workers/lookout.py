"""Looks after a run while it trains: what the alarms' rules find is remembered, told and heeded.

After every record the rules look at the run's story, which is kept in memory. A new alarm becomes a
row of the store and a line of the log; if the run has a webhook, a job tells it; if the run is to
stop on that alarm, it ends after the update it is at, as if somebody had asked.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from backend.services import alarms, jobs, records, runs
from backend.services.studio import Studio
from backend.types import CheckpointState, EvaluationRecord, IterationRecord
from workers.sink import StoreSink
from workers.steering import Steering

if TYPE_CHECKING:
    from backend.rl.recipe import RunConfig

log = logging.getLogger(__name__)


class Lookout:
    """The rules over one run."""

    def __init__(
        self, studio: Studio, run_id: int, config: RunConfig, steering: Steering | None = None
    ) -> None:
        self.studio, self.run_id, self.settings = studio, run_id, config.alarms
        self.steering = steering
        self.story = alarms.story_of(studio, run_id)

    def updated(self, record: IterationRecord) -> None:
        """Look again after an update."""
        self.story.update(record.step, record.metrics)
        self._look()

    def evaluated(self, record: EvaluationRecord) -> None:
        """Look again after an evaluation."""
        self.story.evaluation(record.step, record.metrics)
        self._look()

    def _look(self) -> None:
        for alarm in alarms.look(self.studio, self.run_id, self.story):
            if self.settings.webhook:
                jobs.create(self.studio, "notify", {"alarm_id": alarm["id"]})
            if alarm["rule"] in self.settings.stop_on:
                self._stop(alarm)

    def _stop(self, alarm: dict[str, Any]) -> None:
        """The run ends after this update, with a checkpoint and a policy."""
        text = f"Stopping after update {alarm['step']}: {alarm['title'].lower()}."
        records.say(self.studio, self.run_id, "warning", text)
        runs.want(self.studio, self.run_id, "stop")
        if self.steering is not None:
            self.steering.ends = True


class Watched:
    """A sink whose records are looked at once they are stored."""

    def __init__(self, store: StoreSink, lookout: Lookout) -> None:
        self.store, self.lookout = store, lookout

    def iteration(self, record: IterationRecord) -> None:
        """Store, then look."""
        self.store.iteration(record)
        self.lookout.updated(record)

    def evaluation(self, record: EvaluationRecord) -> None:
        """Store, then look."""
        self.store.evaluation(record)
        self.lookout.evaluated(record)

    def checkpoint(self, state: CheckpointState) -> None:
        """Store."""
        self.store.checkpoint(state)

    def log(self, level: str, text: str, data: dict[str, Any] | None = None) -> None:
        """Store."""
        self.store.log(level, text, data)
