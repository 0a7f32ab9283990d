"""What a reward is, and the contract every one of them is held to.

Three shapes:

    pointwise   (image, prompt) → a value, higher is better
    pairwise    (image a, image b, prompt) → how likely a is the better one
    groupwise   all siblings of a group → values that compare inside the group only

The contract, enforced by `checked`: a batch in gives a batch out, same length, same order. What
fails is *missing* with a reason, never 0 and never ½: an exception, NaN or infinity becomes a
missing value and is counted. A wrong length cannot be repaired, because nobody knows which sample a
value belongs to: it is an error. Pure numpy, so pages can list rewards without loading a model.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from backend.errors import RewardError

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Images = NDArray[np.uint8]
"""(B, H, W, 3), red green blue, 0 to 255."""

Shape = Literal["pointwise", "pairwise", "groupwise"]
Status = Literal["ok", "abstain", "n/a", "error"]
Files = Callable[[str], Path]
"""Resolves the hash of a stored file to a local path."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a reward said of a batch. A value is NaN exactly where its status is not "ok"."""

    values: Floats
    """(B,), higher is better."""
    status: list[str]
    """"ok", "abstain" (will not judge this one), "n/a" (does not apply) or "error"."""
    parts: dict[str, Floats] = field(default_factory=dict)
    """Aspects or ingredients by name, each (B,); NaN where an aspect does not apply."""
    reasons: list[str] = field(default_factory=list)
    """Why a value is missing, empty where it is not; the whole list may be empty."""

    @classmethod
    def of(
        cls, values: Any, parts: dict[str, Any] | None = None, why: str = "not a number"
    ) -> Scores:
        """Scores from plain values; what is not finite becomes missing, for the reason `why`."""
        array = np.array(values, dtype=np.float64).reshape(-1)
        good = np.isfinite(array)
        array[~good] = np.nan
        return cls(
            values=array,
            status=["ok" if ok else "error" for ok in good],
            parts={name: np.array(part, dtype=np.float64) for name, part in (parts or {}).items()},
            reasons=["" if ok else why for ok in good],
        )

    @classmethod
    def missing(cls, num: int, status: Status, reason: str) -> Scores:
        """`num` values that are all missing for one reason."""
        return cls(np.full(num, np.nan), [status] * num, {}, [reason] * num)

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a judge said of M pairs."""

    prefer_a: Floats
    """(M,) how likely a is the better one, 0 to 1; ½ is a tie, NaN is missing."""
    status: list[str]
    reasons: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.prefer_a)


@runtime_checkable
class Scorer(Protocol):
    """A pointwise reward."""

    shape: Shape

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """One value per image, in order."""
        ...


@runtime_checkable
class PairScorer(Protocol):
    """A pairwise judge."""

    shape: Shape

    def compare(self, a: Images, b: Images, prompts: Sequence[str]) -> Verdicts:
        """One verdict per pair, in order."""
        ...


@runtime_checkable
class GroupScorer(Protocol):
    """A groupwise reward: its values compare only among equal `groups`."""

    shape: Shape

    def score(
        self, images: Images, prompts: Sequence[str], groups: Sequence[int] | Ints | None = None
    ) -> Scores:
        """One value per image, in order; without `groups`, equal prompts are siblings."""
        ...


class Checked:
    """A pointwise or groupwise scorer behind the contract; counts what it could not judge."""

    def __init__(self, scorer: Scorer | GroupScorer, name: str) -> None:
        self.scorer, self.name, self.shape = scorer, name, scorer.shape
        self.num_judged = self.num_missing = 0

    @property
    def missing_share(self) -> float:
        """Share of all samples so far without a value, 0 to 1."""
        return self.num_missing / self.num_judged if self.num_judged else 0.0

    def score(
        self, images: Images, prompts: Sequence[str], groups: Sequence[int] | Ints | None = None
    ) -> Scores:
        """One value per image, in order; missing where the scorer failed.

        A batch that raises is tried again picture by picture (not for a groupwise reward), so one
        bad prompt costs one value. Raises RewardError on a wrong length.
        """
        _check_batch(self.name, images, prompts)
        if len(prompts) == 0:
            return Scores(np.zeros(0), [])
        scores = self._try(images, prompts, groups)
        if isinstance(scores, str):
            if self.shape == "groupwise" or len(prompts) == 1:
                scores = Scores.missing(len(prompts), "error", scores)
            else:
                scores = self._one_by_one(images, prompts)
        scores = _clean(self.name, scores, len(prompts))
        self.num_judged += len(scores)
        self.num_missing += int(np.isnan(scores.values).sum())
        return scores

    def _try(
        self, images: Images, prompts: Sequence[str], groups: Sequence[int] | Ints | None
    ) -> Scores | str:
        """The scorer's answer, or the sentence of its failure."""
        try:
            if self.shape == "groupwise":
                return self.scorer.score(images, prompts, groups)  # type: ignore[call-arg]
            return self.scorer.score(images, prompts)
        except Exception as error:  # noqa: BLE001  whatever a reward raises is a missing value
            log.warning("Reward '%s' raised %s: %s", self.name, type(error).__name__, error)
            return f"{type(error).__name__}: {error}"

    def _one_by_one(self, images: Images, prompts: Sequence[str]) -> Scores:
        singles = []
        for i, prompt in enumerate(prompts):
            single = self._try(images[i : i + 1], [prompt], None)
            failed = isinstance(single, str)
            singles.append(
                Scores.missing(1, "error", str(single)) if failed else _clean(self.name, single, 1)  # type: ignore[arg-type]
            )
        names = {name for single in singles for name in single.parts}
        nothing = np.full(1, np.nan)
        return Scores(
            values=np.concatenate([single.values for single in singles]),
            status=[single.status[0] for single in singles],
            parts={n: np.concatenate([s.parts.get(n, nothing) for s in singles]) for n in names},
            reasons=[single.reasons[0] for single in singles],
        )


class CheckedPairs:
    """A pairwise judge behind the contract."""

    shape: Shape = "pairwise"

    def __init__(self, judge: PairScorer, name: str) -> None:
        self.judge, self.name = judge, name
        self.num_judged = self.num_missing = 0

    @property
    def missing_share(self) -> float:
        """Share of all pairs so far without a verdict, 0 to 1."""
        return self.num_missing / self.num_judged if self.num_judged else 0.0

    def compare(self, a: Images, b: Images, prompts: Sequence[str]) -> Verdicts:
        """One verdict per pair, in order; a judge that raises judged none of them."""
        _check_batch(self.name, a, prompts)
        _check_batch(self.name, b, prompts)
        try:
            verdicts = self.judge.compare(a, b, prompts)
        except Exception as error:  # noqa: BLE001  whatever a judge raises is a missing verdict
            log.warning("Judge '%s' raised %s: %s", self.name, type(error).__name__, error)
            why = f"{type(error).__name__}: {error}"
            num = len(prompts)
            verdicts = Verdicts(np.full(num, np.nan), ["error"] * num, [why] * num)
        prefer = np.array(verdicts.prefer_a, dtype=np.float64)
        _check_length(self.name, len(prefer), len(prompts), "verdicts", "pairs")
        wrong = ~np.isfinite(prefer) | (prefer < 0) | (prefer > 1)
        prefer[wrong] = np.nan
        status, reasons = _explained(verdicts.status, verdicts.reasons, wrong)
        self.num_judged += len(prefer)
        self.num_missing += int(wrong.sum())
        return Verdicts(prefer, status, reasons)


def checked(scorer: Any, name: str) -> Any:
    """`scorer` held to the contract: `Checked`, or `CheckedPairs` for a pairwise judge."""
    if getattr(scorer, "shape", None) == "pairwise":
        return CheckedPairs(scorer, name)
    return Checked(scorer, name)


def by_prompt(prompts: Sequence[str]) -> Ints:
    """Group ids that make equal prompts siblings. Shape (B,)."""
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(prompt, len(seen)) for prompt in prompts], dtype=np.int64)


# ---------------------------------------------------------------- checks


def _check_batch(name: str, images: Images, prompts: Sequence[str]) -> None:
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


def _check_length(name: str, got: int, asked: int, what: str, of: str) -> None:
    if got != asked:
        raise RewardError(
            f"Reward '{name}' returned {got} {what} for {asked} {of}; a reward must return one "
            f"each, in the same order."
        )


def _clean(name: str, scores: Scores, num: int) -> Scores:
    """Scores with the right length everywhere and NaN exactly where the status is not "ok"."""
    values = np.array(scores.values, dtype=np.float64).reshape(-1)
    _check_length(name, len(values), num, "scores", "samples")
    for part, array in scores.parts.items():
        _check_length(name, len(array), num, f"values of its part '{part}'", "samples")
    status = list(scores.status) or ["ok"] * num
    _check_length(name, len(status), num, "statuses", "samples")
    wrong = ~np.isfinite(values) | (np.array(status) != "ok")
    values[wrong] = np.nan
    status, reasons = _explained(status, scores.reasons, wrong)
    parts = {part: np.array(array, dtype=np.float64) for part, array in scores.parts.items()}
    return Scores(values, status, parts, reasons)


def _explained(
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
