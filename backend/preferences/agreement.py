"""How far labels can be trusted: agreement, and what bends it.

Everything takes `Answers` of a ledger (skips and attention checks left out, one answer per person
and pair) and gives plain numbers with their intervals. Verdicts are a, b, tie and both bad, as
nominal values: any two different ones disagree fully.

    alpha          Krippendorff's α with a bootstrap interval over pairs
    matrix         of annotators: share of common pairs with the same verdict
    people         one row an annotator: side bias, agreement with the rest, pace
    by_speed       agreement of quick and slow answers
    by_day         agreement and pace over time: drift
    disputed       the pairs people disagree about most

Letters: M answers, N pairs with two answers or more, K annotators, V verdicts, P patterns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import krippendorff
import numpy as np
from numpy.typing import NDArray

from backend.preferences.intervals import Share, wilson, wilson_of
from backend.preferences.ledger import NUM_VERDICTS, TIE, Answers, Ints, Mask

Floats = NDArray[np.float64]
Held = tuple[Ints, Mask, Ints]
"""What `matches` gives."""

RESAMPLES: Final = 1000
LIBRARY_PAIRS: Final = 20_000
"""Up to so many pairs α is the library's own number; beyond, its formula on the few patterns."""
DAY_S: Final = 86_400
_CHUNK: Final = 2_000_000
"""Numbers of a block of resamples, to bound memory."""


@dataclass(frozen=True, slots=True)
class Alpha:
    """Krippendorff's α with its interval; NaN where it is not defined."""

    value: float
    low: float
    high: float
    pairs: int
    """With two answers or more; the rest say nothing about agreement."""
    answers: int


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
class Dispute:
    """A pair with what was said of it."""

    pair: int
    """The pair's id."""
    counts: tuple[int, int, int, int]
    """a, b, tie, both bad."""
    disagreement: float
    """Gini impurity 1 − Σ (n_v / n)²: 0 when all agree, ½ for one against one."""


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


# ---------------------------------------------------------------- Krippendorff's alpha


def counts(answers: Answers) -> Ints:
    """How often each verdict was given to each pair with an answer, (pairs, V)."""
    pair = np.cumsum(_starts(answers.pair)) - 1
    size = int(pair[-1]) + 1 if len(pair) else 0
    cell = np.bincount(pair * NUM_VERDICTS + answers.choice, minlength=size * NUM_VERDICTS)
    return np.asarray(cell.reshape(size, NUM_VERDICTS), dtype=np.int64)


def alpha(counts_NV: Ints, *, resamples: int = RESAMPLES, seed: int = 0) -> Alpha:
    """Krippendorff's α of nominal values with a percentile bootstrap interval over pairs.

    α = 1 − (n − 1) Σ_u [Σ_{c≠k} n_uc n_uk / (n_u − 1)] / Σ_{c≠k} n_c n_k

    u over the pairs with n_u ≥ 2 answers, n_c their answers c, n = Σ n_c (Krippendorff 2011). Each
    of the resamples draws as many pairs with replacement. Pairs with the same counts are alike, so
    it is enough to draw how often each pattern comes: multinomial numbers of a few dozen patterns
    instead of 300,000 pairs. 1 is agreement, 0 what chance would give. α is NaN where nobody
    differs from anybody in any pair: with one value only, agreement can't be told from habit.
    """
    patterns, times = _patterns(counts_NV)
    answers = int(times @ patterns.sum(axis=1))
    pairs = int(times.sum())
    value = _point(patterns, times)
    if pairs < 2 or math.isnan(value):
        return Alpha(value, math.nan, math.nan, pairs, answers)
    rng = np.random.default_rng([seed, 0xA1FA])
    drawn: list[Floats] = []
    rows = max(_CHUNK // len(times), 1)
    for start in range(0, resamples, rows):
        often = rng.multinomial(pairs, times / pairs, size=min(rows, resamples - start))
        drawn.append(_alphas(patterns, often))
    known = np.concatenate(drawn)
    known = known[np.isfinite(known)]
    low, high = np.quantile(known, [0.025, 0.975]) if known.size else (math.nan, math.nan)
    return Alpha(value, float(low), float(high), pairs, answers)


def _patterns(counts_NV: Ints) -> tuple[Ints, Ints]:
    """The distinct rows with two answers or more (P, V), and how often each comes (P,)."""
    counts_NV = counts_NV[counts_NV.sum(axis=1) >= 2]
    if not len(counts_NV):
        return counts_NV, np.zeros(0, dtype=np.int64)
    base = int(counts_NV.max()) + 1
    key = counts_NV @ base ** np.arange(counts_NV.shape[1], dtype=np.int64)
    _, first, times = np.unique(key, return_index=True, return_counts=True)
    return counts_NV[first], times.astype(np.int64)


def _point(patterns: Ints, times: Ints) -> float:
    if not len(times) or (patterns.sum(axis=0) > 0).sum() < 2:
        return math.nan
    if times.sum() > LIBRARY_PAIRS:
        return float(_alphas(patterns, times[None])[0])
    rows = np.repeat(patterns, times, axis=0)
    return float(krippendorff.alpha(value_counts=rows, level_of_measurement="nominal"))


def _alphas(patterns: Ints, times_RP: Ints) -> Floats:
    """α of each resample (R,), NaN where no two values differ."""
    size = patterns.sum(axis=1)
    unlike = (size * size - (patterns * patterns).sum(axis=1)) / (size - 1)
    total = (times_RP @ patterns).astype(np.float64)
    whole = total.sum(axis=1)
    expected = whole**2 - (total**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 1 - (whole - 1) * (times_RP @ unlike) / expected
    return np.where(expected > 0, found, np.nan)


# ---------------------------------------------------------------- people with people


def matrix(answers: Answers) -> Matrix:
    """Share of the pairs that two annotators both judged on which they said the same."""
    slots, who = compact(answers.annotator)
    size = len(slots)
    same, num = np.zeros(size * size), np.zeros(size * size)
    for one, other in _neighbours(answers.pair):
        cell = who[one] * size + who[other]
        num += np.bincount(cell, minlength=size * size)
        equal = answers.choice[one] == answers.choice[other]
        same += np.bincount(cell[equal], minlength=size * size)
    same, num = (half.reshape(size, size) + half.reshape(size, size).T for half in (same, num))
    share, low, high = wilson_of(same, num)
    ids = [int(i) for i in answers.annotator_ids[slots]]
    return Matrix(ids, share, low, high, num.astype(np.int64))


def rest(answers: Answers, trusted: Mask | None = None) -> Ints:
    """What the others said of each answer's pair: votes for a less votes for b, without this one.

    trusted (M,): only these answers are votes. Example: a, a, b on one pair → 0, 0, 2.
    """
    votes = _toward(answers)
    if not len(votes):
        return votes
    votes = votes if trusted is None else votes * trusted
    pair = np.cumsum(_starts(answers.pair)) - 1
    return np.asarray(np.bincount(pair, weights=votes)[pair] - votes, dtype=np.int64)


def matches(answers: Answers, trusted: Mask | None = None) -> Held:
    """Answers held against the rest: their indices, whether they agree, and the others' lead.

    Both the answer and the majority of the others must have decided for a or b.
    """
    others, votes = rest(answers, trusted), _toward(answers)
    at = np.flatnonzero((others != 0) & (votes != 0))
    lead = others[at]
    return at, np.asarray(np.sign(lead) == votes[at]), np.abs(lead)


def people(answers: Answers, trusted: Mask | None = None, held: Held | None = None) -> list[Person]:
    """One row an annotator, by id; only `trusted` answers (M,) count as those of others.

    held: `matches` of the same, where they are known; here and below.
    """
    slots, who = compact(answers.annotator)
    size = len(slots)
    decided = answers.choice < TIE
    at, agrees, _ = held or matches(answers, trusted)
    num = np.bincount(who, minlength=size)
    sided = np.bincount(who[decided], minlength=size)
    left = np.bincount(who[decided & answers.on_left], minlength=size)
    common = np.bincount(who[at], minlength=size)
    equal = np.bincount(who[at][agrees], minlength=size)
    pace = _medians(answers.seconds, who, size)
    rows = [
        Person(
            annotator=int(answers.annotator_ids[slot]),
            answers=int(num[k]),
            left=wilson(int(left[k]), int(sided[k])),
            agreement=wilson(int(equal[k]), int(common[k])),
            ties=1 - float(sided[k]) / float(num[k]),
            median_s=float(pace[k]),
        )
        for k, slot in enumerate(slots)
    ]
    return sorted(rows, key=lambda row: row.annotator)


def by_speed(answers: Answers, *, bands: int = 6, held: Held | None = None) -> list[Band]:
    """Agreement with the rest by time taken, in bands with equally many answers."""
    if not len(answers):
        return []
    seconds = answers.seconds.astype(np.float64)
    edges = np.unique(np.quantile(seconds, np.linspace(0, 1, bands + 1)))
    which = np.clip(np.searchsorted(edges, seconds, side="right") - 1, 0, len(edges) - 2)
    which = np.maximum(which, 0)
    ends = edges if len(edges) > 1 else np.append(edges, edges)
    return _bands(answers, which, ends, held)


def by_day(answers: Answers, *, held: Held | None = None) -> list[Band]:
    """Agreement with the rest and pace, day after day (UTC) on which anything was answered."""
    day_M = answers.t_answer // DAY_S
    first = int(day_M.min()) if len(answers) else 0
    days, which = compact(day_M - first)
    return [
        Band(
            (first + day) * DAY_S,
            (first + day + 1) * DAY_S,
            band.agreement,
            band.median_s,
            band.answers,
        )
        for day, band in zip(
            days.tolist(),
            _bands(answers, which, np.arange(len(days) + 1.0), held),
            strict=True,
        )
    ]


def disputed(answers: Answers, *, limit: int = 50) -> list[Dispute]:
    """The pairs with the highest disagreement first; of equal ones that with more answers."""
    table = counts(answers)
    ids = answers.pair_ids[answers.pair[_starts(answers.pair)]]
    num = table.sum(axis=1)
    gini = 1 - ((table / np.maximum(num, 1)[:, None]) ** 2).sum(axis=1)
    some = np.flatnonzero(gini > 0)
    order = some[np.lexsort((ids[some], -num[some], -gini[some]))][:limit]
    return [
        Dispute(int(ids[i]), (*map(int, table[i]),), float(gini[i]))  # type: ignore[arg-type]
        for i in order
    ]


# ---------------------------------------------------------------- parts


def compact(values: NDArray[np.integer[Any]]) -> tuple[Ints, Ints]:
    """The distinct values, ascending, and each one's place among them; for small numbers ≥ 0."""
    present = np.bincount(values) > 0 if len(values) else np.zeros(0, dtype=np.bool_)
    place = np.cumsum(present) - 1
    return np.flatnonzero(present), np.asarray(place[values], dtype=np.int64)


def _starts(pair: NDArray[np.int32]) -> Mask:
    """True at the first answer of each pair; answers are sorted by pair."""
    return np.append(True, pair[1:] != pair[:-1])[: len(pair)]


def _neighbours(pair: NDArray[np.int32]) -> Iterator[tuple[Ints, Ints]]:
    """Every two answers about one pair, as indices, in as many blocks as a pair has answers."""
    at = np.arange(len(pair))
    for step in range(1, len(pair)):
        at = at[at + step < len(pair)]
        at = at[pair[at] == pair[at + step]]
        if not len(at):
            return
        yield at, at + step


def _toward(answers: Answers) -> Ints:
    """1 for a, −1 for b, 0 for neither. (M,)"""
    return np.array([1, -1, 0, 0], dtype=np.int64)[answers.choice]


def _medians(values: NDArray[np.float32], group: Ints, size: int) -> Floats:
    """The median of each group, NaN for an empty one."""
    # Small whole numbers are sorted by radix; within a group nothing needs to be sorted at all.
    order = np.argsort(group.astype(np.uint16) if size < 2**16 else group, kind="stable")
    ordered = values[order]
    num = np.bincount(group, minlength=size)
    found = np.full(size, math.nan)
    for k, (end, many) in enumerate(zip(np.cumsum(num), num, strict=True)):
        if many:
            found[k] = np.median(ordered[end - many : end])
    return found


def _bands(answers: Answers, which: Ints, edges: Floats, held: Held | None) -> list[Band]:
    size = len(edges) - 1
    at, agrees, _ = held or matches(answers)
    common = np.bincount(which[at], minlength=size)
    equal = np.bincount(which[at][agrees], minlength=size)
    num = np.bincount(which, minlength=size)
    pace = _medians(answers.seconds, which, size)
    return [
        Band(
            float(edges[i]),
            float(edges[i + 1]),
            wilson(int(equal[i]), int(common[i])),
            float(pace[i]),
            int(num[i]),
        )
        for i in range(size)
    ]
