"""Judgements by columns: pairs that are judged, rows of labels, and the verdicts that stand.

Choices are in the terms of the candidates (`A`, `B`, `TIE`, `BOTH_BAD`, `SKIP`), not of the screen;
`left` says which of the two stood on the left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]
Codes = NDArray[np.int8]
Mask = NDArray[np.bool_]

A, B, TIE, BOTH_BAD, SKIP = range(5)
"""What a judgement says of the two candidates."""
NONE: Final = -1
"""Nothing was said: an aspect that was not asked, a pair that is no attention check."""
CHOICES: Final = ("a", "b", "tie", "both_bad", "skip")
NUM_VERDICTS: Final = 4
"""All but skip, which is no verdict."""
OVERALL: Final = ""
"""The question itself, as against one of its aspects."""

_SHOWN: Final = {"left": (A, B), "right": (B, A), "a": (A, A), "b": (B, B)}
_PLAIN: Final = {"tie": TIE, "both_bad": BOTH_BAD, "skip": SKIP}


def code(choice: str, shown_left: str) -> int:
    """The choice (left, right, a, b, tie, both_bad, skip) in the candidates' terms, else `NONE`.

    Example: "right" with b on the left is `A`.
    """
    if choice in _SHOWN:
        return _SHOWN[choice][shown_left == "b"]
    return _PLAIN.get(choice, NONE)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs by columns: all (P,)."""

    id: Ints
    a: Ints
    """What made the first candidate: a policy's id, say."""
    b: Ints
    group: Ints
    """The study or comparison it belongs to; 0 for none."""
    prompt: Ints
    expected: Ints
    """The one right answer of an attention check; `NONE` where taste is asked."""
    same_as: Ints
    """Of a pair that repeats another one for a check: the other's id; 0 for none."""

    @classmethod
    def of(cls, rows: Iterable[Sequence[int]]) -> Pairs:
        """From rows (id, a, b, group, prompt[, expected[, same_as]])."""
        whole = [(*row, *(NONE, 0)[len(row) - 5 :]) for row in rows]
        columns = np.array(whole, dtype=np.int64).reshape(len(whole), 7).T
        return cls(*columns)


@dataclass(frozen=True, slots=True)
class Labels:
    """Rows of the label table by columns: all (M,)."""

    id: Ints
    pair: Ints
    annotator: Ints
    choice: Codes
    left: Codes
    """0 where a stood on the left, 1 where b did."""
    t_shown: NDArray[np.float64]
    t_answer: NDArray[np.float64]
    propensity: NDArray[np.float64]
    retracts: Ints
    """The label that this row takes back; 0 where it is a judgement."""
    aspects: Mapping[str, Codes]

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any]]) -> Labels:
        """From rows (id, pair, user, choice, shown_left, t_shown, t_answer, propensity, retracts,
        aspects), as the store gives them; aspects is {name: choice} or None."""
        whole = list(rows)
        columns = list(zip(*whole, strict=True)) or [()] * 10
        id_, pair, user, choice, shown, t_shown, t_answer, propensity, retracts, said = columns
        names = {name for each in said if each for name in each}
        codes = {each: code(*each) for each in set(zip(choice, shown, strict=True))}
        return cls(
            id=np.array(id_, dtype=np.int64),
            pair=np.array(pair, dtype=np.int64),
            annotator=np.array(user, dtype=np.int64),
            choice=np.array([codes[each] for each in zip(choice, shown, strict=True)], np.int8),
            left=np.array([side == "b" for side in shown], dtype=np.int8),
            t_shown=np.array(t_shown, dtype=np.float64),
            t_answer=np.array(t_answer, dtype=np.float64),
            propensity=np.array(propensity, dtype=np.float64),
            retracts=np.array([other or 0 for other in retracts], dtype=np.int64),
            aspects={
                name: np.array(
                    [
                        code(str((each or {}).get(name, "")), side)
                        for each, side in zip(said, shown, strict=True)
                    ],
                    dtype=np.int8,
                )
                for name in names
            },
        )


@dataclass(frozen=True, slots=True)
class Answers:
    """Judgements that stand, by columns (M,), pair after pair; one per annotator and pair."""

    label: Ints
    """The label's id."""
    pair: Slots
    annotator: Slots
    choice: Codes
    left: Codes
    a: Slots
    b: Slots
    seconds: NDArray[np.float32]
    """From shown to answered."""
    t_answer: Ints
    """Whole seconds since 1970."""
    weight: NDArray[np.float32]
    """1 / propensity."""
    pair_ids: Ints
    """The id of each slot, here and below."""
    annotator_ids: Ints
    source_ids: Ints

    def __len__(self) -> int:
        return len(self.pair)

    @property
    def on_left(self) -> Mask:
        """Whether the left one was chosen; meaningless for ties."""
        return np.asarray(self.choice == self.left)

    def where(self, mask: Mask) -> Answers:
        """Those of the answers that the mask (M,) keeps."""
        return self.rows(mask)

    def rows(self, at: Mask | Ints) -> Answers:
        """Those of the answers at these places."""
        fixed = ("pair_ids", "annotator_ids", "source_ids")
        names = [f.name for f in fields(self) if f.name not in fixed]
        return replace(self, **{name: getattr(self, name)[at] for name in names})
