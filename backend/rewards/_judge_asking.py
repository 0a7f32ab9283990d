"""What the pointwise and the pairwise judge on a server share: start check, votes, reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from backend.errors import ConfigError, EnvironmentProblem
from backend.rewards import _judge_formats as formats
from backend.rewards import _judge_looks as looks
from backend.rewards._judge_answers import Reading, answers_of
from backend.rewards._judge_client import Call, Client, Reply
from backend.rewards._judge_formats import Reader, Said
from backend.rewards._judge_purse import purse_of
from backend.rewards._judge_server import Server
from backend.rewards._version import version
from backend.rewards.interface import Files, Floats, Images, Scores

FREE_TEXT: Final = ("point", "rational", "verdict", "think")
"""Questions whose answers are free text, so that a judge may ask for a closer look instead."""
MOST_PARTS: Final = 64


@dataclass(frozen=True)
class Asked:
    """A question, and the pictures that it is about: closer looks are taken of these."""

    call: Call
    pictures: Sequence[Images] = ()
    read: Reader | None = None
    """Reads its answer, where that hangs on the question."""


class Asking:
    """A client that has shown, before its first question, that the server obeys constraints."""

    def __init__(self, settings: Server, kind: str = "", files: Files | None = None) -> None:
        from backend.settings import read_settings

        self.settings = settings
        answers = None
        if getattr(files, "answers", None) is not None:
            criterion = str(settings.plain().get("ask", ""))
            answers = answers_of(files, kind, version(kind, settings), criterion)
        purse = purse_of(files, kind, settings)
        self.client = Client(settings, read_settings().judge_key, answers, purse)
        self.looks = looks.Looks(settings.looks, settings.frames)
        self._fault: str | None = None

    def answers(self, questions: Sequence[Sequence[Asked]], read: Reader) -> list[list[Said]]:
        """What was said of each question, vote by vote."""
        flat = [
            replace(one, call=self.looks.offered(one.call)) for votes in questions for one in votes
        ]
        said = self._checked(flat, read)
        ends = np.cumsum([len(votes) for votes in questions]).tolist()
        return [said[end - len(v) : end] for end, v in zip(ends, questions, strict=True)]

    def _checked(self, asked: list[Asked], read: Reader) -> list[Said]:
        """As `_said`; where the start check fails, what is known is said all the same."""
        known = self.client.knows([one.call for one in asked])
        try:
            if not all(known):
                self._check()
        except EnvironmentProblem as error:
            there = [one for one, is_known in zip(asked, known, strict=True) if is_known]
            old = iter(self._said(there, read))
            return [next(old) if is_known else Said(None, str(error)) for is_known in known]
        return self._said(asked, read)

    def _said(self, asked: list[Asked], read: Reader) -> list[Said]:
        """Ask; whoever wants a closer look gets it, so often, and is asked again."""
        told: list[Said | None] = [None] * len(asked)
        turns = dict(enumerate(asked))
        for turn in range(self.looks.most + 1):
            replies = self.client.ask([one.call for one in turns.values()])
            readings, going = [], {}
            for (at, one), reply in zip(turns.items(), replies, strict=True):
                step = self._step(one, reply, one.read or read, last=turn == self.looks.most)
                if isinstance(step, Asked):
                    going[at] = step
                    reading = Reading(reply.key, None, "n/a", "asked for a closer look")
                else:
                    told[at] = self._counted(step, turn)
                    reading = _reading(reply, step)
                if reply.key:
                    readings.append(reading)
            self.client.read(readings)
            turns = going
            if not turns:
                break
        return [one or Said(None, "The judge said nothing") for one in told]

    def _step(self, one: Asked, reply: Reply, read: Reader, *, last: bool) -> Said | Asked:
        """What an answer says, or how the conversation goes on."""
        if reply.data is None:
            return Said(None, f"The judge {reply.reason}")
        text = formats.text_of(reply.data) if self.looks.most else None
        seen = self.looks.seen(text, one.pictures) if isinstance(text, str) else None
        if seen is None or not isinstance(text, str):
            return read(reply.data)
        if isinstance(seen, str):
            return Said(None, seen)
        if last:
            return Said(None, f"asked for more than {self.looks.most} closer looks")
        return replace(one, call=looks.go_on(one.call, text, seen))

    def _counted(self, said: Said, turn: int) -> Said:
        return (
            replace(said, parts={**said.parts, "looks": float(turn)}) if self.looks.most else said
        )

    def _check(self) -> None:
        """Ask once for what the constraint forbids. A server that says it ignores constraints, and
        answers without an error; so what it says cannot be relied on."""
        if self._fault is None and self.settings.server in ("vllm", "openai"):
            call = formats.chat(self.settings, formats.CANARY_TEXT, [], schema=formats.CANARY)
            reply = self.client.ask([call], recorded=False)[0]
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


def refuse(settings: Server, ask: str) -> None:
    """ConfigError where a question cannot be asked as the settings say."""
    if settings.looks and ask not in FREE_TEXT:
        raise ConfigError(
            f"Closer looks are for questions answered in free text ({', '.join(FREE_TEXT)}); "
            f"'{ask}' is answered in a fixed form. Set looks to 0 or choose another question.",
            field="looks",
        )


def mean_of(votes: Sequence[Said]) -> tuple[float, str, str]:
    """Value, status and reason of several votes: the mean of those that count."""
    values = [vote.value for vote in votes if vote.value is not None]
    if values:
        return float(np.mean(values)), "ok", ""
    abstains = all(vote.abstains for vote in votes)
    return float("nan"), "abstain" if abstains else "error", votes[0].reason


def scores_of(votes: Sequence[Sequence[Said]]) -> Scores:
    """What pictures are worth by their votes, a row each of equal length, with all their parts."""
    known = [mean_of(row) for row in votes]
    return Scores(
        np.array([value for value, _status, _reason in known], dtype=np.float64),
        [status for _value, status, _reason in known],
        parts_of(votes),
        [reason for _value, _status, reason in known],
    )


def parts_of(votes: Sequence[Sequence[Said]]) -> dict[str, Floats]:
    """Parts by name, each the mean over the votes that have it; then each vote by itself."""
    names = sorted({name for row in votes for said in row for name in said.parts})[:MOST_PARTS]
    parts = {
        name: np.array([_mean([said.parts.get(name) for said in row]) for row in votes])
        for name in names
    }
    return parts | by_vote(votes)


def by_vote(votes: Sequence[Sequence[Said]]) -> dict[str, Floats]:
    """Each vote as a part, NaN where it has no value; nothing where there is one alone."""
    if not votes or len(votes[0]) < 2:
        return {}
    table = np.array([[np.nan if s.value is None else s.value for s in row] for row in votes])
    return {f"vote {i + 1}": column for i, column in enumerate(table.T)}


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _reading(reply: Reply, said: Said) -> Reading:
    status = "ok" if said.value is not None else "abstain" if said.abstains else "error"
    return Reading(reply.key, said.value, status, said.reason)
