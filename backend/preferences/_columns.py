"""Columns and ids that only grow: what the ledger is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class Table:
    """Columns that grow by doubling."""

    def __init__(self, **dtypes: Any) -> None:
        self._data: dict[str, NDArray[Any]] = {
            name: np.empty(0, dtype=dtype) for name, dtype in dtypes.items()
        }
        self.size = 0

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._data[name][: self.size]

    @property
    def nbytes(self) -> int:
        """Memory taken, unused room included."""
        return sum(column.nbytes for column in self._data.values())

    def add_column(self, name: str, dtype: Any, fill: int) -> None:
        """One more column, `fill` in every row so far."""
        room = len(next(iter(self._data.values())))
        self._data[name] = np.full(room, fill, dtype=dtype)

    def append(self, **columns: NDArray[Any]) -> None:
        """Add rows; every column must be given."""
        end = self.size + len(next(iter(columns.values())))
        for name, column in self._data.items():
            self._data[name] = _grown(column, self.size, end)
            self._data[name][self.size : end] = columns[name]
        self.size = end


class Keys:
    """Ids and their slots: numbers from 0 in the order of arrival."""

    def __init__(self) -> None:
        self._ids = np.empty(0, dtype=np.int64)
        self._order: Ints | None = None
        self.size = 0

    @property
    def ids(self) -> Ints:
        """All ids in the order of their slots."""
        return self._ids[: self.size]

    @property
    def late(self) -> bool:
        """Whether ids have come out of order."""
        return self._order is not None

    @property
    def nbytes(self) -> int:
        """Memory taken, unused room included."""
        return self._ids.nbytes + (0 if self._order is None else self._order.nbytes)

    def find(self, wanted: Ints) -> Ints:
        """The slot of each id, −1 where there is none."""
        if not self.size:
            return np.full(len(wanted), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.ids, wanted, sorter=self._order), self.size - 1)
        slots = at if self._order is None else self._order[at]
        return np.where(self.ids[slots] == wanted, slots, -1)

    def add(self, fresh: Ints) -> None:
        """Give slots to ids that have none yet, each named once and in ascending order."""
        if not len(fresh):
            return
        is_late = self.size > 0 and fresh[0] < self.ids.max()
        end = self.size + len(fresh)
        self._ids = _grown(self._ids, self.size, end)
        self._ids[self.size : end] = fresh
        self.size = end
        if is_late or self.late:
            self._order = np.argsort(self.ids, kind="stable")

    def slots(self, ids: Ints) -> Ints:
        """The slot of each id; new ones are given one."""
        unique, back = np.unique(ids, return_inverse=True)
        self.add(unique[self.find(unique) < 0])
        return self.find(unique)[back]


def _grown(column: NDArray[Any], used: int, needed: int) -> NDArray[Any]:
    """The column itself, or a copy with more room where it is too small."""
    if needed <= len(column):
        return column
    larger = np.empty(max(needed, 64, used + used // 2), dtype=column.dtype)
    larger[:used] = column[:used]
    return larger
