"""What a judge on a server was asked and said, kept where a restart does not lose it.

A question is known by a hash of all that decides the answer: address, model, revision, template,
decoding and pictures. How the answer is read is no part of it: a better reader costs nothing.

A question is noted before it goes out. One whose asker ended before the answer came may have been
charged: it is given up for a day, as one that ran out of time, and not asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from backend.rewards.interface import Files

GIVEN_UP_S: Final = 86_400.0
"""After so long a question that may have been charged without an answer may be asked anew."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is noted of a call before it goes out."""

    key: str
    """Hash of all that decides the answer."""
    context: str = ""
    """Hash of the prompt."""
    first: str = ""
    """Hash of the pixels shown first."""
    second: str = ""
    """Of those shown second; empty where one picture is judged."""
    vote: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What is on record of a question."""

    data: dict[str, Any] | None
    """The server's answer; None where it was given up, or is still awaited."""
    reason: str = ""
    awaited_s: float | None = None
    """For how long somebody has been waiting for the answer; None where nobody is."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended."""

    key: str
    data: dict[str, Any] | None
    reason: str
    tokens: int
    money: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read from an answer."""

    key: str
    value: float | None
    status: str
    reason: str


class Answers(Protocol):
    """A record of one judge's questions and answers."""

    def known(self, keys: Sequence[str]) -> dict[str, Known]:
        """Those of the questions that are on record."""
        ...

    def begin(self, question: Question) -> Known | None:
        """Note that a question goes out now; or what is known, where somebody was faster."""
        ...

    def end(self, ended: Ended) -> None:
        """Keep the answer, or why there will be none."""
        ...

    def release(self, key: str) -> None:
        """Forget a question that the server cannot have worked on."""
        ...

    def read(self, readings: Sequence[Reading]) -> None:
        """Write down what was read from answers."""
        ...


def answers_of(files: Files | None, kind: str, version: str, criterion: str) -> Answers | None:
    """The record that comes with a studio's files; None outside of a studio."""
    record = getattr(files, "answers", None)
    return record(kind, version, criterion) if record is not None else None
