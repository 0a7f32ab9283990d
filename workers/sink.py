"""Where a training loop's records go: pictures to the media, everything else to the store."""

from __future__ import annotations

from typing import Any

from backend.services import records
from backend.services.records import Fence, Sheets, StoredCheckpoint
from backend.services.studio import Studio
from backend.types import CheckpointState, EvaluationRecord, GroupRecord, IterationRecord, Pictures
from workers.sheets import latents, png, strip


class StoreSink:
    """One run's sink. Each record is one transaction, refused once the job belongs to another
    worker.
    """

    def __init__(self, studio: Studio, run_id: int, fence: Fence) -> None:
        self.studio, self.run_id, self.fence = studio, run_id, fence

    @property
    def delivered(self) -> str:
        """Media hash of the last checkpoint's adapter, averaged where the run averages."""
        saved = records.latest_checkpoint(self.studio, self.run_id)
        return (saved.ema or saved.adapter) if saved else ""

    def iteration(self, record: IterationRecord) -> None:
        """Metrics, groups and nodes; a group's leaves are one strip of tiles."""
        sheets = [self._sheets(group) for group in record.groups]
        records.iteration(self.studio, self.run_id, record, sheets, fence=self.fence)

    def evaluation(self, record: EvaluationRecord) -> None:
        """Held-out figures, and the pictures of the fixed prompts."""
        samples = []
        for sample in record.samples:
            media = self.studio.media.put(png(sample["image"]))
            samples.append({**{k: v for k, v in sample.items() if k != "image"}, "media": media})
        records.evaluation(self.studio, self.run_id, record, samples, fence=self.fence)

    def checkpoint(self, state: CheckpointState) -> None:
        """Files first, then the row that names them: a row never names a file that is not there."""
        from backend.rl.checkpoint import pack

        names = {part: self.studio.media.put(data) for part, data in pack(state).items()}
        saved = StoredCheckpoint(
            state.step, names["adapter"], names["optimiser"], names.get("ema"), state.state
        )
        records.checkpoint(self.studio, self.run_id, saved, fence=self.fence)

    def log(self, level: str, text: str, data: dict[str, Any] | None = None) -> None:
        """A line that people read."""
        job_id = self.fence.job_id
        records.say(self.studio, self.run_id, level, text, data, job_id=job_id)

    def _sheets(self, group: GroupRecord) -> Sheets:
        kept = self.studio.media.put(latents(group.latents)) if group.latents else None
        return Sheets(self._strip(group.images), self._strip(group.trunk), kept)

    def _strip(self, pictures: Pictures | None) -> str | None:
        if pictures is None or not len(pictures):
            return None
        return self.studio.media.put(strip(pictures))
