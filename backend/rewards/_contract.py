"""What every reward is held to: checks of what goes in and of what comes out, and what a failure
is. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backend.errors import RewardError

if TYPE_CHECKING:
    from backend.rewards.interface import Images, Scores, Span, Status


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a scorer gave nothing."""

    status: Status
    text: str

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """By the kind of what was raised."""
        text = f"{type(error).__name__}: {error}"
        if isinstance(error, TimeoutError):
            return cls("timeout", text)
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return cls("oom", text)
        return cls("error", text)


def check_batch(name: str, images: Images, prompts: Sequence[str]) -> None:
    """One prompt per picture, and pictures as they are handed to every reward."""
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise RewardError(
            f"Reward '{name}' was given {images.dtype} pictures of shape {images.shape}; "
            f"it takes uint8 of shape (samples, height, width, 3)."
        )
    if len(images) != len(prompts):
        raise RewardError(
            f"Reward '{name}' was given {len(images)} pictures and {len(prompts)} prompts; "
            f"give one prompt per picture."
        )


def check_length(name: str, got: int, asked: int, what: str, of: str) -> None:
    """As many answers as questions."""
    if got != asked:
        raise RewardError(
            f"Reward '{name}' returned {got} {what} for {asked} {of}; a reward must return one "
            f"each, in the same order."
        )


def clean(name: str, scores: Scores, num: int) -> Scores:
    """Scores with the right length everywhere and NaN exactly where the status is not "ok"."""
    values = np.array(scores.values, dtype=np.float64).reshape(-1)
    check_length(name, len(values), num, "scores", "samples")
    for part, array in scores.parts.items():
        check_length(name, len(array), num, f"values of its part '{part}'", "samples")
    if scores.spans:
        check_length(name, len(scores.spans), num, "lists of words", "samples")
    status = list(scores.status) or ["ok"] * num
    check_length(name, len(status), num, "statuses", "samples")
    wrong = ~np.isfinite(values) | (np.array(status) != "ok")
    values[wrong] = np.nan
    status, reasons = explained(status, scores.reasons, wrong)
    parts = {part: np.array(array, dtype=np.float64) for part, array in scores.parts.items()}
    return replace(scores, values=values, status=status, parts=parts, reasons=reasons)


def explained(
    status: Sequence[str], reasons: Sequence[str], wrong: NDArray[np.bool_]
) -> tuple[list[str], list[str]]:
    """Status and reason of each value, filled in where the scorer gave none."""
    new_status, new_reasons = [], []
    for i, bad in enumerate(wrong):
        said = status[i] if i < len(status) else "ok"
        reason = reasons[i] if i < len(reasons) else ""
        new_status.append(("error" if said == "ok" else said) if bad else "ok")
        new_reasons.append((reason or "not a number") if bad else "")
    return new_status, new_reasons


def spans_of(parts: Sequence[Scores]) -> list[list[Span]]:
    """The spans of several batches one after the other; empty where none of them has any."""
    if not any(part.spans for part in parts):
        return []
    return [spans for part in parts for spans in part.spans or [[] for _ in range(len(part))]]


def spans_at(said: Scores, rows: Sequence[int], num: int) -> list[list[Span]]:
    """The spans of some rows of a batch of `num`, at their places."""
    told = dict(zip(rows, said.spans, strict=True)) if said.spans else {}
    return [told.get(row, []) for row in range(num)] if told else []
