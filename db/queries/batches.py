"""Values for a statement, a part at a time: a database takes only so many in one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

BATCH = 500
"""Values that are asked about in one statement, unless a caller says how many."""
T = TypeVar("T")


def batches(values: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """The values in lists of at most `size`, in their order."""
    every = list(values)
    for start in range(0, len(every), size):
        yield every[start : start + size]
