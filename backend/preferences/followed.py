"""Answers of a ledger followed while it grows: what has changed is handed to the figures of them.

    followed = Followed(ledger, ask)         # ask(pair ids or None) → Answers
    followed.tallies(out=..., silent=...)    # up to date, in time that grows with what is new
    followed.patterns()

The answers are kept as they were read at first, and those of pairs that have changed since beside
them; when an eighth of all pairs has changed, all are read again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final

import numpy as np

from backend.preferences import agreement
from backend.preferences.agreement import Patterns
from backend.preferences.ledger import Answers, Ints, Ledger
from backend.preferences.tallies import Tallies

Ask = Callable[[Ints | None], Answers]
"""Answers about pairs named by their ids, or about all; complete for each of these pairs."""

MOST_TALLIES: Final = 8
"""Kept for different people left out; of more, those not asked for longest are let go."""
_AGAIN: Final = 8
_LEAST: Final = 1_000
"""Changed pairs that are never too many."""
_NO_PAIRS: Final = np.zeros(0, dtype=np.int64)


class Followed:
    """The answers to one question of a study."""

    def __init__(self, ledger: Ledger, ask: Ask) -> None:
        self._ledger, self._ask, self._version = ledger, ask, ledger.version
        self._tallies: OrderedDict[tuple[frozenset[int], frozenset[int]], Tallies] = OrderedDict()
        self._patterns: Patterns | None = None
        self._first: Answers | None = None
        """As they were read; kept for tallies alone, which must know what they take out."""
        self._later: Answers | None = None
        """Those about pairs that have changed since."""
        self._changed: Ints = _NO_PAIRS

    def tallies(self, *, out: Collection[int] = (), silent: Collection[int] = ()) -> Tallies:
        """Figures without the answers of `out`, in which `silent` are nobody's majority."""
        self._refresh()
        if self._first is None:
            self._first = self._ask(None)
        key = (frozenset(out), frozenset(silent))
        if key not in self._tallies:
            made = Tallies(out=out, silent=silent)
            made.change(self._first.where(~np.isin(self._first.pair, self._changed)), +1)
            if self._later is not None:
                made.change(self._later, +1)
            self._tallies[key] = made
        self._tallies.move_to_end(key)
        while len(self._tallies) > MOST_TALLIES:
            self._tallies.popitem(last=False)
        return self._tallies[key]

    def patterns(self) -> Patterns:
        """How often each combination of verdicts was given to a pair."""
        self._refresh()
        if self._patterns is None:
            answers = self._ask(None)
            pairs = answers.pair[agreement.starts(answers.pair)].astype(np.int64)
            self._patterns = Patterns()
            self._patterns.change(pairs, answers)
        return self._patterns

    def _refresh(self) -> None:
        """Bring everything up to date with the ledger."""
        if self._version == self._ledger.version:
            return
        fresh = self._ledger.changed_since(self._version)
        self._version = self._ledger.version
        if fresh is None:
            self._patterns = None
            self._forget()
        elif len(fresh):
            came = self._ask(self._ledger.pair_ids[fresh])
            if self._patterns is not None:
                self._patterns.change(fresh, came)
            if self._first is not None:
                self._follow(self._first, fresh, came)

    def _follow(self, first: Answers, fresh: Ints, came: Answers) -> None:
        """Take the answers about these pairs out as they were, and put them in as they came."""
        every = np.union1d(self._changed, fresh)
        if len(every) * _AGAIN > int(agreement.starts(first.pair).sum()) + _LEAST:
            self._forget()
            return
        gone = [_about(first, np.setdiff1d(fresh, self._changed))]
        if self._later is not None:
            gone.append(self._later.where(np.isin(self._later.pair, fresh)))
        for made in self._tallies.values():
            for answers in gone:
                made.change(answers, -1)
            made.change(came, +1)
        self._later, self._changed = self._ask(self._ledger.pair_ids[every]), every

    def _forget(self) -> None:
        """Read all anew when tallies are asked for again."""
        self._first = self._later = None
        self._changed = _NO_PAIRS
        self._tallies.clear()


def _about(answers: Answers, pairs: Ints) -> Answers:
    """Those about pairs (slots, ascending), which are few."""
    first = np.searchsorted(answers.pair, pairs)
    end = np.searchsorted(answers.pair, pairs, side="right")
    some = [np.arange(a, b) for a, b in zip(first.tolist(), end.tolist(), strict=True)]
    return answers.rows(np.concatenate([np.zeros(0, dtype=np.int64), *some]))
