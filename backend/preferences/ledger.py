"""Labels as columns in memory: what figures of a million judgements are worked out from.

A ledger only grows. The service keeps one warm and adds what is new; reading older labels again
does no harm, so those that were committed late are not lost: a label known already is left alone,
and a retraction may come before what it takes back.

    ledger.add_pairs(Pairs.of(...)); ledger.add(Labels.of(...))       O(new)
    answers = ledger.answers(aspect="", groups=[study], without=[user])

What goes in and comes out is in `backend.preferences.answers`. Ids become slots, small numbers from
0 in the order of arrival. A label takes about 40 bytes, and 12 more once answers were asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backend.errors import InputError
from backend.preferences._columns import Keys, Table
from backend.preferences.answers import BOTH_BAD as BOTH_BAD
from backend.preferences.answers import CHOICES as CHOICES
from backend.preferences.answers import NONE as NONE
from backend.preferences.answers import NUM_VERDICTS as NUM_VERDICTS
from backend.preferences.answers import OVERALL as OVERALL
from backend.preferences.answers import SKIP as SKIP
from backend.preferences.answers import TIE as TIE
from backend.preferences.answers import A as A
from backend.preferences.answers import Answers as Answers
from backend.preferences.answers import B as B
from backend.preferences.answers import Codes as Codes
from backend.preferences.answers import Ints as Ints
from backend.preferences.answers import Labels as Labels
from backend.preferences.answers import Mask as Mask
from backend.preferences.answers import Pairs as Pairs
from backend.preferences.answers import Slots as Slots
from backend.preferences.answers import code as code

_LOGGED: Final = 50_000
"""Pairs that are remembered as changed; who looks less often reads all anew."""
_FEW: Final = 4
"""A quarter of all pairs, or fewer, are looked up."""
_PEOPLE: Final = 2**24
"""More than the annotators of a ledger."""


class Ledger:
    """All labels of a studio as columns. Not safe for two writers at once: lock around it."""

    def __init__(self) -> None:
        self._pairs = Table(
            a=np.int32, b=np.int32, group=np.int32, prompt=np.int32, expected=np.int8, same_as="i8"
        )
        self._labels = Table(
            pair=np.int32,
            annotator=np.int32,
            choice=np.int8,
            left=np.int8,
            stands=np.bool_,
            seconds=np.float32,
            t_answer=np.uint32,
            propensity=np.float32,
        )
        self._pair_keys, self._label_keys = Keys(), Keys()
        self._annotator_keys, self._source_keys = Keys(), Keys()
        self._aspects: list[str] = []
        self._early: set[int] = set()
        self._order: Slots = np.zeros(0, dtype=np.int32)
        self._ordered: Ints = np.zeros(0, dtype=np.int64)
        self._log: list[tuple[int, Ints]] = []
        self.version = 0
        """Grows with every change."""

    def __len__(self) -> int:
        return self._labels.size

    @property
    def pair_ids(self) -> Ints:
        """The pair in each slot."""
        return self._pair_keys.ids

    @property
    def aspects(self) -> list[str]:
        """The aspects that were asked anywhere."""
        return list(self._aspects)

    @property
    def nbytes(self) -> int:
        """Memory taken, unused room included."""
        keys = (self._pair_keys, self._label_keys, self._annotator_keys, self._source_keys)
        return self._pairs.nbytes + self._labels.nbytes + sum(key.nbytes for key in keys)

    def unknown_pairs(self, ids: ArrayLike) -> Ints:
        """Those pair ids that have to be added before labels of them can be."""
        wanted = np.unique(np.asarray(ids, dtype=np.int64))
        return np.asarray(wanted[self._pair_keys.find(wanted) < 0])

    def pairs_of(self, ids: ArrayLike) -> Pairs:
        """Those of the pairs that the ledger has, as they were added."""
        wanted = np.asarray(ids, dtype=np.int64)
        slots = self._pair_keys.find(wanted)
        wanted, slots = wanted[slots >= 0], slots[slots >= 0]
        rest = ("group", "prompt", "expected", "same_as")
        columns = {name: self._pairs[name][slots].astype(np.int64) for name in rest}
        a, b = (self._source_keys.ids[self._pairs[name][slots]] for name in "ab")
        return Pairs(id=wanted, a=a, b=b, **columns)

    def add_pairs(self, pairs: Pairs) -> None:
        """Add those pairs that are new."""
        fresh = _fresh(self._pair_keys, pairs.id)
        self._pair_keys.add(pairs.id[fresh])
        self._pairs.append(
            a=self._source_keys.slots(pairs.a[fresh]),
            b=self._source_keys.slots(pairs.b[fresh]),
            group=pairs.group[fresh],
            prompt=pairs.prompt[fresh],
            expected=pairs.expected[fresh],
            same_as=pairs.same_as[fresh],
        )
        self.version += bool(len(fresh))

    def add(self, labels: Labels) -> None:
        """Add those judgements that are new, and take back those that are retracted."""
        if len(labels.id) == 0:
            return
        is_judgement = labels.retracts == 0
        fresh = _fresh(self._label_keys, labels.id)
        fresh = fresh[is_judgement[fresh]]
        slots = self._pair_keys.find(labels.pair[fresh])
        if (slots < 0).any():
            unknown = int(labels.pair[fresh][slots < 0][0])
            raise InputError(
                f"A label judges pair {unknown}, which the ledger does not have; add it first."
            )
        self._label_keys.add(labels.id[fresh])
        seconds = np.clip(labels.t_answer[fresh] - labels.t_shown[fresh], 0, None)
        aspects = {name: codes[fresh] for name, codes in labels.aspects.items()}
        for name in set(aspects) - set(self._aspects):
            self._aspects = sorted([*self._aspects, name])
            self._labels.add_column(_aspect(name), np.int8, NONE)
        silent = np.full(len(fresh), NONE, dtype=np.int8)
        self._labels.append(
            pair=slots,
            annotator=self._annotator_keys.slots(labels.annotator[fresh]),
            choice=labels.choice[fresh],
            left=labels.left[fresh],
            stands=np.ones(len(fresh), dtype=np.bool_),
            seconds=seconds,
            t_answer=np.clip(labels.t_answer[fresh], 0, 2**32 - 1),
            propensity=np.where(labels.propensity[fresh] > 0, labels.propensity[fresh], 1.0),
            **{_aspect(name): aspects.get(name, silent) for name in self._aspects},
        )
        taken = self._retract(labels.retracts[~is_judgement])
        self.version += 1
        self._log.append((self.version, np.union1d(slots, taken)))
        while len(self._log) > 1 and sum(len(pairs) for _, pairs in self._log) > _LOGGED:
            self._log.pop(0)

    def changed_since(self, version: int) -> Ints | None:
        """Slots of the pairs whose answers may have changed; None where that is not known."""
        missed = [pairs for at, pairs in self._log if at > version]
        if version < self.version and (not self._log or self._log[0][0] > version + 1):
            return None
        return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *missed]))

    def answers(
        self,
        aspect: str = OVERALL,
        *,
        groups: Sequence[int] | None = None,
        annotators: Sequence[int] | None = None,
        without: Sequence[int] = (),
        between: tuple[float, float] | None = None,
        pairs: ArrayLike | None = None,
        facts: bool = False,
        barred: Iterable[tuple[int, int]] = (),
    ) -> Answers:
        """The verdicts that stand about an aspect; skipped pairs are none.

        groups, annotators, pairs: only these ids; without: no answers of these annotators.
        barred: (group, annotator) whose answers about pairs of that group are left out.
        between: only those answered from the first (seconds since 1970) until before the second.
        facts: the attention checks, which are left out otherwise.
        Where someone judged a pair twice the newest answer counts.
        """
        labels = self._labels
        if aspect and aspect not in self._aspects:
            raise InputError(
                f"No label speaks of '{aspect}'; known are {', '.join(self._aspects) or 'none'}."
            )
        wanted = self._wanted_pairs(groups, pairs, facts)
        # Of few pairs the rows are looked up; of many all rows are looked at as they lie.
        few = len(wanted) * _FEW < self._pairs.size
        rows = self._rows_of(wanted) if few else slice(None)
        choice = labels[_aspect(aspect) if aspect else "choice"][rows]
        pick = labels["stands"][rows] & (choice >= 0) & (choice < NUM_VERDICTS)
        if not isinstance(rows, np.ndarray):
            is_wanted = np.zeros(self._pairs.size, dtype=np.bool_)
            is_wanted[wanted] = True
            pick &= is_wanted[labels["pair"]]
        if annotators is not None or without:
            pick &= self._wanted_people(annotators, without)[labels["annotator"][rows]]
        if between is not None:
            t_answer = labels["t_answer"][rows]
            pick &= (t_answer >= between[0]) & (t_answer < between[1])
        for group, annotator in barred:
            pick &= ~self._is_barred(rows, group, annotator)
        at = self._newest(pick, rows)
        pair = labels["pair"][at]
        return Answers(
            label=self._label_keys.ids[at],
            pair=pair,
            annotator=labels["annotator"][at],
            choice=labels[_aspect(aspect) if aspect else "choice"][at],
            left=labels["left"][at],
            a=self._pairs["a"][pair],
            b=self._pairs["b"][pair],
            seconds=labels["seconds"][at],
            t_answer=labels["t_answer"][at].astype(np.int64),
            weight=(1 / labels["propensity"][at]).astype(np.float32),
            pair_ids=self._pair_keys.ids,
            annotator_ids=self._annotator_keys.ids,
            source_ids=self._source_keys.ids,
        )

    def expected(self, checks: Answers) -> Codes:
        """The right answer of each attention check (M,), `NONE` where it is not known.

        A repeated pair asks for what the same person said of the first one.
        """
        right = self._pairs["expected"][checks.pair].copy()
        first = self._pair_keys.find(self._pairs["same_as"][checks.pair])
        repeats = np.flatnonzero((right == NONE) & (first >= 0))
        if len(repeats):
            before = self.answers(pairs=self._pair_keys.ids[np.unique(first[repeats])])
            many = self._annotator_keys.size
            known = before.pair.astype(np.int64) * many + before.annotator
            asked = first[repeats] * many + checks.annotator[repeats]
            at = np.minimum(np.searchsorted(known, asked), max(len(known) - 1, 0))
            if len(known):
                right[repeats] = np.where(known[at] == asked, before.choice[at], NONE)
        return right

    def _retract(self, ids: Ints) -> Ints:
        """Take labels back; returns the pairs they were about."""
        ids = np.union1d(ids, np.fromiter(self._early, np.int64, len(self._early)))
        slots = self._label_keys.find(ids)
        self._early = {int(i) for i in ids[slots < 0]}
        slots = slots[slots >= 0]
        slots = slots[self._labels["stands"][slots]]
        self._labels["stands"][slots] = False
        return np.asarray(self._labels["pair"][slots], dtype=np.int64)

    def _wanted_pairs(
        self, groups: Sequence[int] | None, pairs: ArrayLike | None, facts: bool
    ) -> Ints:
        """Slots of the pairs that are meant, ascending."""
        named: Ints | slice = slice(None)
        if pairs is not None:
            named = np.unique(self._pair_keys.find(np.asarray(pairs, dtype=np.int64)))
            named = named[named >= 0]
        is_fact = (self._pairs["expected"][named] != NONE) | (self._pairs["same_as"][named] != 0)
        wanted = is_fact if facts else ~is_fact
        if groups is not None:
            wanted = wanted & np.isin(self._pairs["group"][named], np.asarray(groups))
        at = np.flatnonzero(wanted)
        return at if isinstance(named, slice) else np.asarray(named[at], dtype=np.int64)

    def _wanted_people(self, only: Sequence[int] | None, without: Sequence[int]) -> Mask:
        ids = self._annotator_keys.ids
        wanted = np.ones(len(ids), np.bool_) if only is None else np.isin(ids, np.asarray(only))
        return np.asarray(wanted & ~np.isin(ids, np.asarray(without, dtype=np.int64)))

    def _is_barred(self, rows: Ints | slice, group: int, annotator: int) -> Mask:
        """Which of the rows are an annotator's about pairs of a group."""
        slot = int(self._annotator_keys.find(np.array([annotator]))[0])
        barred = self._labels["annotator"][rows] == slot
        own = np.flatnonzero(barred)
        barred[own] = self._pairs["group"][self._labels["pair"][rows][own]] == group
        return np.asarray(barred)

    def _newest(self, pick: Mask, rows: Ints | slice) -> Ints:
        """The picked rows sorted by pair and annotator, the last one of each."""
        at: NDArray[Any]
        if isinstance(rows, slice):
            order = self._sorted()
            at = order[pick[order]]
        else:
            at = rows[pick]
        pair, annotator = self._labels["pair"][at], self._labels["annotator"][at]
        is_last = (pair[1:] != pair[:-1]) | (annotator[1:] != annotator[:-1])
        return np.asarray(at[np.append(is_last, True)[: len(at)]], dtype=np.int64)

    def _rows_of(self, pairs: Ints) -> Ints:
        """The rows about pairs (slots, ascending), by pair, annotator and id."""
        order = self._sorted()
        first = np.searchsorted(self._ordered, pairs * _PEOPLE)
        many = np.searchsorted(self._ordered, (pairs + 1) * _PEOPLE) - first
        ends = np.cumsum(many)
        place = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(first - ends + many, many)
        return np.asarray(order[place], dtype=np.int64)

    def _sorted(self) -> Slots:
        """All rows by pair, annotator and id; what is new is put in its place among the others."""
        size, known = self._labels.size, len(self._order)
        if known == size:
            return self._order
        rows = np.arange(known, size)
        if self._label_keys.late:
            rows = rows[np.argsort(self._label_keys.ids[rows])]
        key = self._labels["pair"][rows] * np.int64(_PEOPLE) + self._labels["annotator"][rows]
        by_key = np.argsort(key, kind="stable")
        rows, key = rows[by_key], key[by_key]
        place = np.searchsorted(self._ordered, key, side="right")
        if self._label_keys.late:  # a label with a smaller id may come after one with a greater
            ids = self._label_keys.ids
            for i in np.flatnonzero(np.searchsorted(self._ordered, key) < place):
                while place[i] and self._ordered[place[i] - 1] == key[i]:
                    if ids[self._order[place[i] - 1]] < ids[rows[i]]:
                        break
                    place[i] -= 1
        self._order = np.insert(self._order, place, rows.astype(np.int32))
        self._ordered = np.insert(self._ordered, place, key)
        return self._order


def _aspect(name: str) -> str:
    return f"aspect:{name}"


def _fresh(keys: Keys, ids: Ints) -> Ints:
    """Indices of the ids that are unknown, each id once, in ascending order of the ids."""
    unique, first = np.unique(ids, return_index=True)
    return np.asarray(first[keys.find(unique) < 0])
