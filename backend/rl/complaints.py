"""Why a reward fails, in a run's log: the figures show how much is missing, and not the cause."""

from __future__ import annotations

from collections.abc import Mapping

from backend.rewards.interface import FAILED, Scores
from backend.types import Sink


class Complaints:
    """Tells the log of every reward that fails, once each, with the first reason it gives."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.told: set[str] = set()

    def __call__(self, scores: Mapping[str, Scores]) -> None:
        """Hear what the rewards said of some pictures."""
        for name, said in scores.items():
            if said.share_failed and name not in self.told:
                self.told.add(name)
                share = f"{said.share_failed:.0%}"
                text = f"Reward '{name}' failed on {share} of the pictures: {_why(said)}"
                self.sink.log("warning", text, {})


def _why(said: Scores) -> str:
    at = next(i for i, status in enumerate(said.status) if status in FAILED)
    return (said.reasons[at] if said.reasons else "") or said.status[at]
