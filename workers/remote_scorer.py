"""A reward that workers of the `score` queue are asked about: to the loop, one like any other.

The pictures go into the media, to the bit, and a `judge` job names them; its result comes back
through the store, doubles to the bit. Whoever answers holds the reward to the same contract as it
is held to beside the trainer, so the numbers are the same. A worker that dies only delays: the job
is due again. A job that fails is missing values with its reason.

Pictures and job are removed as soon as they are done with; what a killed trainer left is removed
when its run goes on (`forget_leftovers`).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.errors import ConfigError, PalateError, RewardError
from backend.rewards.interface import Images, Ints, Scores, Shape
from backend.services import jobs, records, workers
from backend.services.studio import Studio
from backend.types import Control
from workers.frame import Interrupted
from workers.sheets import parcel

log = logging.getLogger(__name__)

LOOK_S = 0.05
PATIENCE_S = 4.0
"""Asked to stop, a run still waits this long for an answer, which lets it finish its update."""
LONELY_S = 10.0
"""After this long, people are told if nobody is there to answer."""


@dataclass(frozen=True)
class Desk:
    """On whose behalf is asked: a run's train job, and who may call it off."""

    studio: Studio
    run_id: int
    job_id: int
    control: Control


class RemoteScorer:
    """A reward as the workers have it. Raises what stands against it when it is made."""

    def __init__(self, desk: Desk, name: str, kind: str, config: dict[str, Any]) -> None:
        self.desk, self.name = desk, name
        self._reward = {"run_id": desk.run_id, "name": name, "kind": kind, "config": config}
        self.calls = 0
        facts = self._ask(None, [], None)
        if facts["status"] != "done":
            raise RewardError(f"Reward '{name}' cannot be asked: {_why(facts)}")
        if facts["result"]["learns"]:
            raise ConfigError(
                f"Reward '{name}' learns during the run, so it must stand beside what it learns "
                "from; score inline, or choose a reward that does not learn.",
                field="scoring.where",
            )
        self.shape: Shape = facts["result"]["shape"]
        self.pays: bool = facts["result"]["pays"]

    def judge_calls(self, group_sizes: Ints) -> int:
        """Unknown here; the calls that were made are counted in `calls`."""
        return 0

    def score(
        self, images: Images, prompts: Sequence[str], groups: Sequence[int] | Ints | None = None
    ) -> Scores:
        """One value per picture, in order, as a worker found them; raises nothing but a stop."""
        siblings = None if groups is None else np.asarray(groups).tolist()
        try:
            done = self._order(images, list(prompts), siblings)
        except PalateError as error:  # a full disk, a store that is away
            log.warning("Reward '%s' could not be asked: %s", self.name, error)
            return Scores.missing(len(prompts), "error", str(error))
        if done["status"] != "done":
            return Scores.missing(len(prompts), "error", _why(done))
        self.calls += done["result"]["calls"]
        return from_json(done["result"]["said"])

    def _order(
        self, images: Images, prompts: list[str], groups: list[int] | None
    ) -> dict[str, Any]:
        media = self.desk.studio.media
        pictures = media.put(parcel(images))
        try:
            return self._ask(pictures, prompts, groups)
        finally:
            media.remove(pictures)

    def _ask(
        self, pictures: str | None, prompts: list[str], groups: list[int] | None
    ) -> dict[str, Any]:
        """The job's row at its end."""
        studio, asked = self.desk.studio, {"pictures": pictures, "prompts": prompts}
        job_id = jobs.create(studio, "judge", {**self._reward, **asked, "groups": groups})
        wait = _Wait(self.desk, self.name)
        try:
            while (job := jobs.get(studio, job_id))["status"] not in jobs.OVER:
                wait.a_moment()
            return job
        finally:
            jobs.forget(studio, job_id)


class _Wait:
    """Patience for one answer: broken off when asked to, complained of when nobody is there."""

    def __init__(self, desk: Desk, name: str) -> None:
        self.desk, self.name = desk, name
        self.complains_at = time.monotonic() + LONELY_S
        self.leaves_at = math.inf

    def a_moment(self) -> None:
        """Wait a little; raises Interrupted when the run should have ended by now."""
        now = time.monotonic()
        if self.desk.control.wanted() != "run":
            self.leaves_at = min(self.leaves_at, now + PATIENCE_S)
        if now > self.leaves_at:
            raise Interrupted
        if now > self.complains_at:
            self.complains_at = math.inf if self._is_lonely() else now + LONELY_S
        time.sleep(LOOK_S)

    def _is_lonely(self) -> bool:
        """Tell people if no worker but the run's own is there."""
        studio, job_id = self.desk.studio, self.desk.job_id
        alive = workers.alive(studio, "score")
        if any(row["name"] in alive and row["job_id"] != job_id for row in workers.rows(studio)):
            return False
        text = (
            f"Reward '{self.name}' waits for a worker of the score queue and there is none; start "
            "one with 'palate worker score', or pause the run and score inline."
        )
        records.say(studio, self.desk.run_id, "warning", text, job_id=job_id)
        return True


def forget_leftovers(studio: Studio, run_id: int) -> None:
    """Remove the orders of a trainer that was killed while it waited, and their pictures."""
    for job in jobs.ordered_by(studio, run_id, "judge"):
        if job["args"]["pictures"]:
            studio.media.remove(job["args"]["pictures"])
        jobs.forget(studio, job["id"])


def as_json(said: Scores) -> dict[str, Any]:
    """Scores as JSON keeps them to the bit; what is no number is a string."""
    return {
        "values": _plain(said.values),
        "status": list(said.status),
        "parts": {name: _plain(part) for name, part in said.parts.items()},
        "reasons": list(said.reasons),
        "bouts": [list(bout) for bout in said.bouts],
        "spans": [[list(span) for span in spans] for spans in said.spans],
    }


def from_json(said: dict[str, Any]) -> Scores:
    """The inverse of `as_json`."""
    parts = {name: _floats(part) for name, part in said["parts"].items()}
    bouts = [(one, other, value) for one, other, value in said.get("bouts", [])]
    spans = [[(word, value) for word, value in row] for row in said.get("spans", [])]
    return Scores(_floats(said["values"]), said["status"], parts, said["reasons"], bouts, spans)


def _plain(values: Any) -> list[float | str]:
    return [value if math.isfinite(value) else str(value) for value in values.tolist()]


def _floats(values: Sequence[float | str]) -> Any:
    return np.array([float(value) for value in values], dtype=np.float64)


def _why(job: dict[str, Any]) -> str:
    return str(job["error"] or f"The job that should score them was {job['status']}.")
