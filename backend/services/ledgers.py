"""The ledger of a project, kept warm in this process and brought up to date with every look.

    with ledgers.opened(studio, project_id) as warm:
        answers = warm.ledger.answers(groups=[study_id], annotators=warm.ids(PEOPLE))

The first look reads all pairs and labels, each later one only what is new. A label can be committed
after one with a greater id (PostgreSQL gives ids before transactions end), so ids a little below
the newest are looked at again. Groups of the ledger are studies by their id, comparisons by the
negative of theirs, and 0 the project's queue; sources are policies.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import numpy as np
from sqlalchemy.orm import Session

from backend.preferences.followed import Ask, Followed
from backend.preferences.ledger import (
    NONE,
    TIE,
    A,
    Answers,
    B,
    Codes,
    Ints,
    Labels,
    Ledger,
    Pairs,
    code,
)
from backend.rewards._prompt_kinds import kinds_of
from backend.services.studio import Studio
from db import ledgers as queries
from db.queries import prompt_texts
from db.session import Store

BEHIND: Final = 5000
"""How far below the newest id a label may turn up late: more than the labels that all imports at
work keep in open transactions (500 each) and everybody gives in the meantime."""
CHUNK: Final = 50_000
"""Rows that become columns at a time."""
MOST_LEDGERS: Final = 8
"""Projects kept warm in a process; of more, the one not asked for longest is let go."""
MOST_FIGURES: Final = 64
MOST_FOLLOWED: Final = 16
"""Questions of studies whose answers are followed: 50 bytes for each answer."""
PEOPLE: Final = "person"
SIMULATED: Final = "simulated"


@dataclass
class Warm:
    """A project's ledger with what the store alone knows of its pairs and annotators.

    Everything here is to be used within `opened`.
    """

    project_id: int
    ledger: Ledger = field(default_factory=Ledger)
    pairs: Ints = field(default_factory=lambda: np.zeros((0, 6), dtype=np.int64))
    """(P, 6) id, sample a, sample b, policy a, policy b, prompt; by rising id."""
    names: dict[int, str] = field(default_factory=dict)
    kinds: dict[int, str] = field(default_factory=dict)
    """Of each annotator: person, simulated or implicit."""
    barred: list[tuple[int, int]] = field(default_factory=list)
    """(study, annotator) who is excluded from it."""
    prompt_kinds: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Of each prompt that was looked at, by `prompts_of_kind`."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    _seen: set[int] = field(default_factory=set)
    _top: int = 0
    _figures: OrderedDict[Any, tuple[Any, Any]] = field(default_factory=OrderedDict)
    _followed: OrderedDict[Any, Followed] = field(default_factory=OrderedDict)
    _votes: OrderedDict[int, tuple[Any, Ledger]] = field(default_factory=OrderedDict)

    def ids(self, kind: str) -> list[int]:
        """All annotators of a kind."""
        return [user for user, its in self.kinds.items() if its == kind]

    def barred_from(self, study_id: int) -> list[tuple[int, int]]:
        """Those of `barred` who are excluded from one study."""
        return [one for one in self.barred if one[0] == study_id]

    def prompts_of_kind(self, session: Session, kind: str) -> list[int]:
        """Prompts of the pairs that are of a kind by their words; each is looked at once."""
        fresh = [i for i in np.unique(self.pairs[:, 5]).tolist() if i not in self.prompt_kinds]
        texts = prompt_texts(session, fresh)
        self.prompt_kinds |= {prompt: kinds_of(text) for prompt, text in texts.items()}
        return [prompt for prompt, kinds in self.prompt_kinds.items() if kind in kinds]

    def figures(self, key: Any, work_out: Callable[[], Any]) -> Any:
        """What was worked out for the key, or anew if anything has changed since."""
        mark = (self.ledger.version, tuple(self.barred), len(self.kinds))
        known = self._figures.get(key)
        if known is None or known[0] != mark:
            known = (mark, work_out())
            self._figures[key] = known
        self._figures.move_to_end(key)
        while len(self._figures) > MOST_FIGURES:
            self._figures.popitem(last=False)
        return known[1]

    def followed(self, key: Any, ask: Ask) -> Followed:
        """The answers that `ask` gives, kept under the key and followed while the ledger grows."""
        if key not in self._followed:
            self._followed[key] = Followed(self.ledger, ask)
        self._followed.move_to_end(key)
        while len(self._followed) > MOST_FOLLOWED:
            self._followed.popitem(last=False)
        return self._followed[key]

    def votes_of(self, session: Session, reward_id: int) -> Ledger:
        """A ledger of what a reward says of every pair whose two samples it has scored.

        It has one annotator, the reward, and prefers the greater value; equal ones are a tie.
        """
        mark = (queries.totals_mark(session, reward_id), len(self.pairs))
        known = self._votes.get(reward_id)
        if known is not None and known[0] == mark:
            return known[1]
        found = list(queries.totals(session, reward_id))
        samples = np.array([sample for sample, _value in found], dtype=np.int64)
        values = np.array([value for _sample, value in found], dtype=np.float64)
        made = Ledger()
        made.add_pairs(self.ledger.pairs_of(self.pairs[:, 0]))
        order = np.argsort(samples)
        samples, values = samples[order], values[order]
        (a, has_a), (b, has_b) = (_look(samples, values, self.pairs[:, i]) for i in (1, 2))
        scored = has_a & has_b
        choice = np.select([a > b, a < b], [A, B], TIE)[scored].astype(np.int8)
        made.add(_said(self.pairs[scored, 0], reward_id, choice))
        self._votes[reward_id] = (mark, made)
        while len(self._votes) > MOST_LEDGERS:
            self._votes.popitem(last=False)
        return made

    def refresh(self, session: Session) -> None:
        """Add what is new in the store."""
        self._add_pairs(session, int(self.pairs[-1, 0]) if len(self.pairs) else 0)
        fresh = self._fresh(session)
        if fresh:
            first = min(fresh) if self._top else 0
            rows = queries.labels(session, self.project_id, first, max(fresh))
            while chunk := list(islice(rows, CHUNK)):
                self._add_labels(session, chunk)
            self._top = max(self._top, *fresh)
            self._seen = {label for label in self._seen.union(fresh) if label > self._top - BEHIND}
        known = queries.annotators(session)
        self.names = {user: name for user, name, _kind in known}
        self.kinds = {user: kind for user, _name, kind in known}
        self.barred = [(row.study_id, row.user_id) for row in queries.exclusions(session)]

    def _fresh(self, session: Session) -> list[int]:
        """Ids of labels that are new, those that came late among them; the first time the newest
        few alone."""
        if not self._top:
            return queries.label_ids(session, queries.newest_label(session) - BEHIND)
        fresh, behind = queries.label_ids(session, self._top), self._top - BEHIND
        # Labels are never deleted: as many as before are the same as before.
        if queries.num_labels(session, behind, self._top) != len(self._seen):
            late = queries.label_ids(session, behind, self._top)
            fresh += [label for label in late if label not in self._seen]
        return fresh

    def _add_pairs(self, session: Session, beyond: int) -> None:
        rows = queries.pairs(session, self.project_id, beyond)
        parts = [self.pairs]
        while chunk := list(islice(rows, CHUNK)):
            fresh = set(self.ledger.unknown_pairs([row.id for row in chunk]).tolist())
            new = [row for row in chunk if row.id in fresh]
            self.ledger.add_pairs(Pairs.of([_pair(row) for row in new]))
            parts.append(
                np.array(
                    [(r.id, r.sample_a, r.sample_b, r.policy_a, r.policy_b, r.prompt) for r in new],
                    dtype=np.int64,
                ).reshape(-1, 6)
            )
        if any(len(part) for part in parts[1:]):
            whole = np.concatenate(parts)
            self.pairs = whole[np.argsort(whole[:, 0], kind="stable")]

    def _add_labels(self, session: Session, chunk: Sequence[Sequence[Any]]) -> None:
        unknown = self.ledger.unknown_pairs([row[1] for row in chunk])
        if len(unknown):
            self._add_pairs(session, int(unknown.min()) - 1)
        self.ledger.add(Labels.of(chunk))


_warm: weakref.WeakKeyDictionary[Store, OrderedDict[int, Warm]] = weakref.WeakKeyDictionary()
_door = threading.Lock()


@contextmanager
def opened(studio: Studio, project_id: int) -> Iterator[Warm]:
    """The project's ledger as the store has it now, for one thread at a time."""
    with _door:
        of_store = _warm.setdefault(studio.store, OrderedDict())
        warm = of_store.setdefault(project_id, Warm(project_id))
        of_store.move_to_end(project_id)
        while len(of_store) > MOST_LEDGERS:
            of_store.popitem(last=False)
    with warm.lock:
        with studio.read() as session:
            warm.refresh(session)
        yield warm


def group_of(study_id: int | None, comparison_id: int | None) -> int:
    """The ledger's group of a pair."""
    if study_id is not None:
        return study_id
    return -comparison_id if comparison_id is not None else 0


def _pair(row: queries.PairRow) -> tuple[int, ...]:
    fact = row.fact or {}
    expected = code(str(fact["expected"]), "a") if "expected" in fact else NONE
    group = group_of(row.study, row.comparison)
    same_as = int(fact.get("of", 0))
    return (row.id, row.policy_a, row.policy_b, group, row.prompt, expected, same_as)


def _look(keys: Ints, values: Any, wanted: Ints) -> tuple[Any, Any]:
    """The value of each wanted key, and whether there is one; keys ascend."""
    if not len(keys):
        return np.zeros(len(wanted)), np.zeros(len(wanted), dtype=np.bool_)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return values[at], keys[at] == wanted


def _said(pair_ids: Ints, reward_id: int, choice: Codes) -> Labels:
    """Verdicts as labels of one annotator, each with the id of its pair."""
    size = len(pair_ids)
    none, whole = np.zeros(size, dtype=np.int64), np.zeros(size)
    return Labels(
        id=pair_ids,
        pair=pair_ids,
        annotator=np.full(size, reward_id, dtype=np.int64),
        choice=choice,
        left=np.zeros(size, dtype=np.int8),
        t_shown=whole,
        t_answer=whole,
        propensity=np.ones(size),
        retracts=none,
        aspects={},
    )


def answers_of(warm: Warm, aspect: str, study_id: int | None, simulated: bool) -> Answers:
    """What stands of people's answers to one question, of one study or of all."""
    kinds = [PEOPLE, SIMULATED] if simulated else [PEOPLE]
    who = [user for kind in kinds for user in warm.ids(kind)]
    groups = None if study_id is None else [group_of(study_id, None)]
    return warm.ledger.answers(aspect, groups=groups, annotators=who, barred=warm.barred)


def toward(answers: Answers) -> Ints:
    """1 for the first picture, −1 for the second, 0 for neither. (M,)"""
    chose = answers.choice
    return np.asarray((chose == A).astype(np.int64) - (chose == B).astype(np.int64))
