"""What people's answers are like, kept while answers come and go: nothing is counted anew.

    tallies = Tallies.of(answers)                    # or
    tallies.change(gone, -1); tallies.change(came, +1)         O(changed · log M)

All figures are sums over pairs, or places in sorted lists, so the answers about the pairs that have
changed are taken out as they were and put in as they are.

    people         one row an annotator: side bias, agreement with the rest, pace
    matrix         of annotators: share of common pairs with the same verdict
    by_speed       agreement of quick and slow answers
    by_day         agreement and pace over time: drift

Answers are held against the majority of the others about their pair (`agreement.matches`).
Letters: M answers, K annotator slots, H how an answer was held: 0 not at all, 1 to 4 it agrees with
a majority that leads by so many, 5 to 8 it does not.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.preferences import agreement
from backend.preferences._sorted import Grouped, Sorted, count
from backend.preferences.intervals import Share, wilson, wilson_of
from backend.preferences.ledger import NUM_VERDICTS, TIE, Answers, Ints

Floats = NDArray[np.float64]

LEADS: Final = 4
"""Leads of a majority that are told apart; larger ones count as this."""
DAY_S: Final = 86_400
_HELD: Final = 1 + 2 * LEADS
_SHIFT: Final = 2**31


@dataclass(frozen=True, slots=True)
class Person:
    """What one annotator's answers are like."""

    annotator: int
    """The annotator's id."""
    answers: int
    left: Share
    """Of the answers left or right."""
    agreement: Share
    """With the majority of the others, where both decided."""
    ties: float
    """Share of ties and both bad."""
    median_s: float


@dataclass(frozen=True, slots=True)
class Matrix:
    """Agreement of each two annotators, all (K, K); the diagonal is empty."""

    annotators: list[int]
    """Ids in the order of rows and columns."""
    share: Floats
    low: Floats
    high: Floats
    num: Ints


@dataclass(frozen=True, slots=True)
class Band:
    """Agreement with the rest within a range of seconds or days."""

    start: float
    end: float
    agreement: Share
    median_s: float
    answers: int


class Tallies:
    """Figures of answers; those of `out` are left out, those of `silent` are no votes of others."""

    def __init__(self, *, out: Collection[int] = (), silent: Collection[int] = ()) -> None:
        self._out, self._silent = sorted(out), sorted({*out, *silent})
        self.ids: Ints = np.zeros(0, dtype=np.int64)
        """The annotator in each slot, (K,)."""
        self.pairs = 0
        """With an answer."""
        self._cells: Ints = np.zeros((0, NUM_VERDICTS, 2, _HELD), dtype=np.int64)
        self._seconds = {name: Sorted(np.float32) for name in ("all", "held", "agree")}
        self._pace, self._days = Grouped(np.float32), Grouped(np.float32)
        self._day_held: Counter[int] = Counter()
        self._day_agree: Counter[int] = Counter()
        self._held, self._agree = Grouped(np.int64), Grouped(np.int64)
        self._common: Counter[int] = Counter()
        self._same: Counter[int] = Counter()

    @classmethod
    def of(cls, answers: Answers, *, silent: Collection[int] = ()) -> Tallies:
        """From answers alone."""
        made = cls(silent=silent)
        made.change(answers, +1)
        return made

    def change(self, answers: Answers, sign: int) -> None:
        """Put in (+1) or take out (−1) all answers about some pairs."""
        self._grow(answers.annotator_ids)
        if self._out:
            answers = answers.where(~np.isin(self.ids[answers.annotator], self._out))
        if not len(answers):
            return
        trusted = None
        if self._silent:
            trusted = ~np.isin(self.ids[answers.annotator], self._silent)
        at, agrees, lead = agreement.matches(answers, trusted)
        who = answers.annotator.astype(np.int64)
        held = np.zeros(len(answers), dtype=np.int64)
        held[at] = np.minimum(lead, LEADS) + np.where(agrees, 0, LEADS)
        side = (who * NUM_VERDICTS + answers.choice) * 2 + answers.on_left
        cells = np.bincount(side * _HELD + held, minlength=self._cells.size)
        self._cells += sign * cells.reshape(self._cells.shape)
        self.pairs += sign * int(agreement.starts(answers.pair).sum())
        day = answers.t_answer // DAY_S
        agreed = at[agrees]
        for name, rows in (("all", slice(None)), ("held", at), ("agree", agreed)):
            self._seconds[name].change(answers.seconds[rows], sign)
        self._pace.change(who, answers.seconds, sign)
        self._days.change(day, answers.seconds, sign)
        count(self._day_held, day[at], sign)
        count(self._day_agree, day[agreed], sign)
        self._held.change(who[at], answers.label[at], sign)
        self._agree.change(who[agreed], answers.label[agreed], sign)
        for one, other in agreement.neighbours(answers.pair):
            cell = who[one] * _SHIFT + who[other]
            count(self._common, cell, sign)
            count(self._same, cell[answers.choice[one] == answers.choice[other]], sign)

    @property
    def answers(self) -> int:
        """How many answers there are."""
        return len(self._seconds["all"])

    @property
    def slots(self) -> list[int]:
        """Annotators with an answer, by slot."""
        return sorted(self._pace)

    # ---------------------------------------------------------------- figures

    def people(self) -> list[Person]:
        """One row an annotator, by id."""
        num = self._cells.sum(axis=(1, 2, 3))
        sided, left = self.sides()
        right, common = (part.sum(axis=1) for part in self.leads())
        rows = [
            Person(
                annotator=int(self.ids[k]),
                answers=int(num[k]),
                left=wilson(int(left[k]), int(sided[k])),
                agreement=wilson(int(right[k]), int(common[k])),
                ties=1 - float(sided[k]) / float(num[k]),
                median_s=self._pace[k].median(),
            )
            for k in self.slots
        ]
        return sorted(rows, key=lambda row: row.annotator)

    def sides(self) -> tuple[Ints, Ints]:
        """(answers left or right, answers left) of each slot, (K,) each."""
        decided = self._cells[:, :TIE].sum(axis=(1, 3))
        return decided.sum(axis=1), decided[:, 1]

    def leads(self) -> tuple[Ints, Ints]:
        """(answers that agree, answers held) by how far the others' majority leads, (K, LEADS)."""
        held = self._cells.sum(axis=(1, 2))
        agree, differ = held[:, 1 : LEADS + 1], held[:, LEADS + 1 :]
        return agree, agree + differ

    def newest(self, slot: int, size: int, step: int) -> tuple[int, int, int, int]:
        """The newest `size` answers that were held, as they were at the last multiple of `step`:
        (which multiple, from 1 where as many came before, else 0; how many of them agree; how many
        were held before them; how many of those agree)."""
        held, agree = self._held.get(slot, _EMPTY).values, self._agree.get(slot, _EMPTY)
        end = len(held) // step * step
        if end < 2 * size:
            return 0, 0, 0, 0
        before = end - size
        old = int(agree.below(held[before]))
        upto = int(agree.below(held[end])) if end < len(held) else len(agree)
        return (end - 2 * size) // step + 1, upto - old, before, old

    def matrix(self, *, most: int | None = None) -> Matrix:
        """Share of the pairs that two annotators both judged on which they said the same; of more
        than `most`, of those with the most answers."""
        slots = sorted(sorted(self.slots, key=lambda slot: -len(self._pace[slot]))[:most])
        size = len(slots)
        num, same = np.zeros((size, size), dtype=np.int64), np.zeros((size, size))
        for i, one in enumerate(slots):
            for j in range(i + 1, size):
                cell = one * _SHIFT + slots[j]
                num[i, j] = num[j, i] = self._common[cell]
                same[i, j] = same[j, i] = self._same[cell]
        share, low, high = wilson_of(same, num.astype(np.float64))
        return Matrix([int(self.ids[k]) for k in slots], share, low, high, num)

    def by_speed(self, *, bands: int = 6) -> list[Band]:
        """Agreement with the rest by time taken, in bands with equally many answers."""
        if not self.answers:
            return []
        edges = np.unique(self._seconds["all"].quantiles(np.linspace(0, 1, bands + 1)))
        cuts = {name: list(_stretches(its, edges)) for name, its in self._seconds.items()}
        ends = edges if len(edges) > 1 else np.append(edges, edges)
        return [
            Band(
                float(ends[i]),
                float(ends[i + 1]),
                wilson(
                    *(int(np.subtract(*cuts[name][i][::-1])) for name in ("agree", "held")),
                ),
                self._seconds["all"].median(*cuts["all"][i]),
                int(np.subtract(*cuts["all"][i][::-1])),
            )
            for i in range(len(cuts["all"]))
        ]

    def by_day(self) -> list[Band]:
        """Agreement with the rest and pace, day after day (UTC) on which anything was answered."""
        return [
            Band(
                day * DAY_S,
                (day + 1) * DAY_S,
                wilson(self._day_agree[day], self._day_held[day]),
                self._days[day].median(),
                len(self._days[day]),
            )
            for day in sorted(self._days)
        ]

    def _grow(self, ids: Ints) -> None:
        """Room for annotators that are new."""
        if len(ids) > len(self.ids):
            more = np.zeros((len(ids) - len(self.ids), *self._cells.shape[1:]), dtype=np.int64)
            self._cells, self.ids = np.concatenate([self._cells, more]), ids


_EMPTY: Final = Sorted(np.int64)


def _stretches(seconds: Sorted, edges: Floats) -> Iterator[tuple[int, int]]:
    """From which place to which the numbers of each band lie; the last band has its end too."""
    inner = seconds.below(edges[1:-1])
    places = [0, *inner.tolist(), len(seconds)]
    yield from itertools.pairwise(places)
