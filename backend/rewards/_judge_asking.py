"""What the pointwise and the pairwise judge on a server share: start check, votes, reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from backend.errors import EnvironmentProblem
from backend.rewards import _judge_formats as formats
from backend.rewards._judge_client import Call, Client, Reply, Server
from backend.rewards._judge_formats import Said
from backend.rewards.interface import Floats

Reader = Callable[[dict[str, Any]], Said]


class Asking:
    """A client that has shown, before its first question, that the server obeys constraints."""

    def __init__(self, settings: Server) -> None:
        from backend.settings import read_settings

        self.settings = settings
        self.client = Client(settings, read_settings().judge_key)
        self._fault: str | None = None

    def answers(self, questions: Sequence[Sequence[Call]], read: Reader) -> list[list[Said]]:
        """What was said of each question, vote by vote."""
        if questions:
            self._check()
        flat = [call for votes in questions for call in votes]
        said = [_said(reply, read) for reply in self.client.ask(flat)]
        ends = np.cumsum([len(votes) for votes in questions]).tolist()
        return [said[end - len(v) : end] for end, v in zip(ends, questions, strict=True)]

    def _check(self) -> None:
        """Ask once for what the constraint forbids. A server that says it ignores constraints, and
        answers without an error; so what it says cannot be relied on."""
        if self._fault is None and self.settings.server in ("vllm", "openai"):
            call = formats.chat(self.settings, formats.CANARY_TEXT, [], schema=formats.CANARY)
            reply = self.client.ask([call])[0]
            if reply.data is None:
                raise EnvironmentProblem(f"The judge at {self.settings.address} {reply.reason}.")
            text = formats.text_of(reply.data)
            data = formats.read_json(text) if isinstance(text, str) else None
            kept = isinstance(data, dict) and data.get("verdict") in ("north", "south")
            self._fault = "" if kept else (
                f"The judge at {self.settings.address} ignores constraints on its answers; use a "
                "server that has structured outputs, or set its kind to 'plain'."
            )  # fmt: skip
        if self._fault:
            raise EnvironmentProblem(self._fault)


def mean_of(votes: Sequence[Said]) -> tuple[float, str, str]:
    """Value, status and reason of several votes: the mean of those that count."""
    values = [vote.value for vote in votes if vote.value is not None]
    if values:
        return float(np.mean(values)), "ok", ""
    abstains = all(vote.abstains for vote in votes)
    return float("nan"), "abstain" if abstains else "error", votes[0].reason


def by_vote(votes: Sequence[Sequence[Said]]) -> dict[str, Floats]:
    """Each vote as a part, NaN where it has no value; nothing where there is one alone."""
    if not votes or len(votes[0]) < 2:
        return {}
    table = np.array([[np.nan if s.value is None else s.value for s in row] for row in votes])
    return {f"vote {i + 1}": column for i, column in enumerate(table.T)}


def _said(reply: Reply, read: Reader) -> Said:
    return Said(None, f"The judge {reply.reason}") if reply.data is None else read(reply.data)


def by_text(read: Callable[[str], Said]) -> Reader:
    """A reader of a chat answer's text."""

    def reader(data: dict[str, Any]) -> Said:
        text = formats.text_of(data)
        return read(text) if isinstance(text, str) else text

    return reader
