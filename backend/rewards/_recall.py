"""What a reward said before is not worked out again: values by picture and prompt.

    @recalled
    def score(self, images, prompts): ...

for rewards that look at one picture at a time, so that a value hangs on the picture, its prompt and
the reward's settings alone. Asked again, nothing runs but a hash of the picture. An answer that
could not be read is remembered too, since the same question gives the same answer; what is raised,
as for want of memory, is not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np

from backend.rewards import _sight
from backend.rewards.interface import Images, Scores

KEPT: Final = 50_000
"""Values that each reward remembers, the newest ones."""
R = TypeVar("R")
Score = Callable[[R, Images, Sequence[str]], Scores]


class _Value(NamedTuple):
    """What was said of one picture under one prompt."""

    value: float
    status: str
    reason: str
    parts: dict[str, float]


def recalled(score: Score[R]) -> Score[R]:
    """`score` asked about each picture and prompt once; of more than it keeps, the oldest anew."""

    @wraps(score)
    def asked_once(self: R, images: Images, prompts: Sequence[str]) -> Scores:
        kept: OrderedDict[Any, _Value] = self.__dict__.setdefault("_recalled", OrderedDict())
        keys = list(zip(_sight.keys_of(images), prompts, strict=True))
        new = list({key: i for i, key in enumerate(keys) if key not in kept}.values())
        if new:
            said = score(self, images[new], [prompts[i] for i in new])
            kept.update(zip([keys[i] for i in new], _values(said), strict=True))
        told = [kept[key] for key in keys]
        while len(kept) > KEPT:
            kept.popitem(last=False)
        return _scores(told)

    return asked_once


def _values(said: Scores) -> list[_Value]:
    """Picture by picture."""
    reasons = said.reasons or [""] * len(said)
    return [
        _Value(
            float(said.values[row]),
            said.status[row],
            reasons[row],
            {name: float(part[row]) for name, part in said.parts.items()},
        )
        for row in range(len(said))
    ]


def _scores(told: Sequence[_Value]) -> Scores:
    """One batch again; a part that a picture has not is NaN there."""
    names = list(dict.fromkeys(name for one in told for name in one.parts))
    return Scores(
        np.array([one.value for one in told], dtype=np.float64),
        [one.status for one in told],
        {name: np.array([one.parts.get(name, np.nan) for one in told]) for name in names},
        [one.reason for one in told],
    )
