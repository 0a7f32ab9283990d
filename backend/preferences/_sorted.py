"""Sorted lists and counters to which a few numbers are added, and from which a few are taken."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Sorted:
    """Numbers in ascending order."""

    def __init__(self, dtype: Any) -> None:
        self.values: Array = np.zeros(0, dtype=dtype)

    def __len__(self) -> int:
        return len(self.values)

    def add(self, fresh: Array) -> None:
        """Put numbers in, in any order."""
        fresh = np.sort(fresh)
        if not len(self.values):
            self.values = fresh.astype(self.values.dtype)
        elif len(fresh):
            self.values = np.insert(self.values, np.searchsorted(self.values, fresh), fresh)

    def take(self, gone: Array) -> None:
        """Take numbers out that are in, each as often as it is named."""
        if len(gone):
            gone = np.sort(gone)
            twin = np.arange(len(gone)) - np.searchsorted(gone, gone)
            self.values = np.delete(self.values, np.searchsorted(self.values, gone) + twin)

    def change(self, values: Array, sign: int) -> None:
        """Add the values, or take them out where the sign is −1."""
        self.add(values) if sign > 0 else self.take(values)

    def median(self, start: int = 0, end: int | None = None) -> float:
        """The median of a stretch of places; NaN of an empty one."""
        part = self.values[start:end]
        if not len(part):
            return math.nan
        return float(part[(len(part) - 1) // 2 : len(part) // 2 + 1].mean())

    def quantiles(self, shares: Array) -> NDArray[np.float64]:
        """Quantiles, linear between two numbers; there is at least one number."""
        place = shares * (len(self.values) - 1)
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, len(self.values) - 1)
        one, other = self.values[low].astype(np.float64), self.values[high].astype(np.float64)
        return np.asarray(one + (other - one) * (place - low))

    def below(self, edges: Array) -> NDArray[np.int64]:
        """How many numbers are smaller than each edge."""
        return np.asarray(np.searchsorted(self.values, edges), dtype=np.int64)


class Grouped(dict[int, Sorted]):
    """A sorted list for each group that has numbers."""

    def __init__(self, dtype: Any) -> None:
        self._dtype = dtype

    def change(self, groups: Array, values: Array, sign: int) -> None:
        """Add (or take, where the sign is −1) each value to the list of its group."""
        order = np.argsort(groups, kind="stable")
        names, first = np.unique(groups[order], return_index=True)
        for name, some in zip(names.tolist(), np.split(values[order], first[1:]), strict=False):
            its = self.setdefault(name, Sorted(self._dtype))
            its.change(some, sign)
            if not len(its):
                del self[name]


def count(counter: Counter[int], values: Array, sign: int) -> None:
    """Count each value, or take it back where the sign is −1."""
    for value, num in zip(
        *(part.tolist() for part in np.unique(values, return_counts=True)), strict=True
    ):
        counter[value] += sign * num
