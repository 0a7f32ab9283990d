"""How far labels can be trusted: agreement, and the pairs on which there is none.

Everything takes `Answers` of a ledger (skips and attention checks left out, one answer per person
and pair) or counts of them, and gives plain numbers with their intervals. Verdicts are a, b, tie
and both bad, as nominal values: any two different ones disagree fully. Marks from 1 to 5 are
ordinal; the best and the worst of four say who of two is better in five of their six pairs, and
these are nominal verdicts.

    alpha          Krippendorff's α with a bootstrap interval over pairs
    matches        each answer held against the majority of the others
    disputed       the pairs people disagree about most

`tallies` has what is counted per person, hour and day.
Letters: M answers, N pairs with two answers or more, V verdicts, P patterns, R resamples.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import krippendorff
import numpy as np
from numpy.typing import NDArray

from backend.preferences._sorted import count
from backend.preferences.ledger import NUM_VERDICTS, Answers, Ints, Mask

Floats = NDArray[np.float64]
Held = tuple[Ints, Mask, Ints]
"""What `matches` gives."""
Level = Literal["nominal", "ordinal"]
Ballot = tuple[int, int]
"""The best and the worst of four, by their places 0 to 3."""

RESAMPLES: Final = 1000
LIBRARY_PAIRS: Final = 20_000
"""Up to so many pairs α is the library's own number; beyond, its formula on the few patterns."""
_CHUNK: Final = 2_000_000
"""Numbers of a block of resamples, to bound memory."""
_BITS: Final = 12
"""Of a pattern's key for each verdict: up to 4,095 people can say the same of a pair."""


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
class Dispute:
    """A pair with what was said of it."""

    pair: int
    """The pair's id."""
    counts: tuple[int, int, int, int]
    """a, b, tie, both bad."""
    disagreement: float
    """Gini impurity 1 − Σ (n_v / n)²: 0 when all agree, ½ for one against one."""


# ---------------------------------------------------------------- Krippendorff's alpha


def counts(answers: Answers) -> Ints:
    """How often each verdict was given to each pair with an answer, (pairs, V)."""
    pair = np.cumsum(starts(answers.pair)) - 1
    size = int(pair[-1]) + 1 if len(pair) else 0
    cell = np.bincount(pair * NUM_VERDICTS + answers.choice, minlength=size * NUM_VERDICTS)
    return np.asarray(cell.reshape(size, NUM_VERDICTS), dtype=np.int64)


def alpha(
    counts_NV: Ints, *, level: Level = "nominal", resamples: int = RESAMPLES, seed: int = 0
) -> Alpha:
    """Krippendorff's α of verdicts by pair, with a percentile bootstrap interval over pairs.

    α = 1 − (n − 1) Σ_{c<k} o_ck δ_ck / Σ_{c<k} n_c n_k δ_ck,  o_ck = Σ_u n_uc n_uk / (n_u − 1)

    u over the pairs with n_u ≥ 2 answers, n_c their answers c, n = Σ n_c (Krippendorff 2011).
    Of nominal values δ is 1; of ordinal ones (Σ_{g=c..k} n_g − (n_c + n_k) / 2)². Each of the
    resamples draws as many pairs with replacement. Pairs with the same counts are alike, so
    it is enough to draw how often each pattern comes: multinomial numbers of a few dozen patterns
    instead of 300,000 pairs. 1 is agreement, 0 what chance would give. α is NaN where nobody
    differs from anybody in any pair: with one value only, agreement can't be told from habit.
    """
    return alpha_of(*_patterns(counts_NV), level=level, resamples=resamples, seed=seed)


def alpha_of(
    patterns: Ints,
    times: Ints,
    *,
    level: Level = "nominal",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Alpha:
    """The same of distinct counts (P, V) and how often each comes (P,); see `Patterns`."""
    some = patterns.sum(axis=1) >= 2
    patterns, times = patterns[some], times[some]
    rows = np.repeat(patterns, times, axis=0) if times.sum() <= LIBRARY_PAIRS else None
    answers = int(times @ patterns.sum(axis=1))
    return _alpha(_coincidences(patterns), times, rows, answers, level, resamples, seed)


def alpha_of_fours(
    items: Iterable[Sequence[Ballot]], *, resamples: int = RESAMPLES, seed: int = 0
) -> Alpha:
    """α of who is better of two, as the best and the worst of four imply it.

    Each ballot orders five of the six pairs of its item and says nothing of the sixth. Which of two
    is called the first means nothing, so each pair counts in both orders: chance is ½. The pairs of
    an item hang together, so whole items are drawn. Items are alike that got the same ballots.
    """
    alike = Counter(tuple(sorted(ballots)) for ballots in items if len(ballots) > 1)
    kinds = sorted(alike)
    times = np.array([alike[kind] for kind in kinds], dtype=np.int64)
    units = np.array([_implied(kind) for kind in kinds], dtype=np.int64).reshape(-1, 12, 2)
    found = _coincidences(units.reshape(-1, 2)).reshape(-1, 12, 2, 2).sum(axis=1)
    rows = None
    if times.sum() <= LIBRARY_PAIRS:
        rows = np.repeat(units, times, axis=0).reshape(-1, 2)
        rows = rows[rows.sum(axis=1) >= 2]
    answers = sum(num * len(kind) for kind, num in alike.items())
    return _alpha(found, times, rows, answers, "nominal", resamples, seed)


class Patterns:
    """How often each combination of verdicts was given to a pair, kept while answers change."""

    def __init__(self) -> None:
        self._keys: Ints = np.zeros(0, dtype=np.int64)
        self._times: Counter[int] = Counter()

    def change(self, pairs: Ints, answers: Answers) -> None:
        """Pairs (slots, ascending) have these answers now, and no others."""
        if not len(pairs):
            return
        if pairs[-1] >= len(self._keys):
            more = np.zeros(int(pairs[-1]) * 5 // 4 + 1 - len(self._keys), dtype=np.int64)
            self._keys = np.concatenate([self._keys, more])
        worth = (np.int64(1) << (_BITS * answers.choice.astype(np.int64))).astype(np.float64)
        place = np.searchsorted(pairs, answers.pair)
        # A key has 48 bits, so that floats hold it to the last one.
        fresh = np.bincount(place, weights=worth, minlength=len(pairs)).astype(np.int64)
        count(self._times, self._keys[pairs], -1)
        count(self._times, fresh, +1)
        self._keys[pairs] = fresh

    def table(self) -> tuple[Ints, Ints]:
        """Distinct counts (P, V) and how often each comes (P,), in a fixed order."""
        found = sorted(key for key, num in self._times.items() if key and num)
        keys = np.array(found, dtype=np.int64)
        shifts = _BITS * np.arange(NUM_VERDICTS)
        times = np.array([self._times[key] for key in found], dtype=np.int64)
        return (keys[:, None] >> shifts) & (2**_BITS - 1), times


def _implied(ballots: Sequence[Ballot]) -> list[list[int]]:
    """How often the first and the second of each two of four is better, in both orders, (12, 2)."""
    found = []
    for i, j in itertools.permutations(range(4), 2):
        first = sum(best == i or worst == j for best, worst in ballots)
        second = sum(best == j or worst == i for best, worst in ballots)
        found.append([first, second])
    return found


def _patterns(counts_NV: Ints) -> tuple[Ints, Ints]:
    """The distinct rows with two answers or more (P, V), and how often each comes (P,)."""
    counts_NV = counts_NV[counts_NV.sum(axis=1) >= 2]
    if not len(counts_NV):
        return counts_NV, np.zeros(0, dtype=np.int64)
    base = int(counts_NV.max()) + 1
    key = counts_NV @ base ** np.arange(counts_NV.shape[1], dtype=np.int64)
    _, first, times = np.unique(key, return_index=True, return_counts=True)
    return counts_NV[first], times.astype(np.int64)


def _coincidences(counts_NV: Ints) -> Floats:
    """Of each row how often two values meet in it, each answer once: n_c n_k / (n − 1), (N, V, V);
    nothing where there is one answer."""
    size = counts_NV.sum(axis=1)
    met = counts_NV[:, :, None] * counts_NV[:, None, :]
    values = np.arange(counts_NV.shape[1])
    met[:, values, values] -= counts_NV
    return np.asarray(met / np.maximum(size - 1, 1)[:, None, None] * (size > 1)[:, None, None])


def _alpha(
    met: Floats,
    times: Ints,
    rows: Ints | None,
    answers: int,
    level: Level,
    resamples: int,
    seed: int,
) -> Alpha:
    """α of patterns' coincidences (P, V, V); `rows`, where there are few, go to the library."""
    units = int(times.sum())
    value = _alphas(met, times[None], level)[0] if units else math.nan
    if rows is not None and not math.isnan(value):
        value = krippendorff.alpha(value_counts=rows, level_of_measurement=level)
    if units < 2 or math.isnan(value):
        return Alpha(float(value), math.nan, math.nan, units, answers)
    rng = np.random.default_rng([seed, 0xA1FA])
    drawn: list[Floats] = []
    block = max(_CHUNK // len(times), 1)
    for start in range(0, resamples, block):
        often = rng.multinomial(units, times / units, size=min(block, resamples - start))
        drawn.append(_alphas(met, often, level))
    known = np.concatenate(drawn)
    known = known[np.isfinite(known)]
    low, high = np.quantile(known, [0.025, 0.975]) if known.size else (math.nan, math.nan)
    return Alpha(float(value), float(low), float(high), units, answers)


def _alphas(met: Floats, times_RP: Ints, level: Level) -> Floats:
    """α of each resample (R,), NaN where no two values differ."""
    values = met.shape[1]
    whole = (times_RP @ met.reshape(len(met), -1)).reshape(-1, values, values)
    n_RV = whole.sum(axis=2)
    n = n_RV.sum(axis=1)
    apart = 1.0 - np.eye(values)[None]
    if level == "ordinal":
        upto = np.cumsum(n_RV, axis=1)
        between = np.abs(upto[:, :, None] - upto[:, None, :])
        # From c to k, both ends by half: |N_k − N_c| + (n_c − n_k) / 2 for c < k.
        lower = np.tril(np.ones((values, values), dtype=np.bool_))
        half = (n_RV[:, :, None] - n_RV[:, None, :]) / 2
        apart = (between + np.where(lower, -half, half)) ** 2
    expected = (n_RV[:, :, None] * n_RV[:, None, :] * apart).sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 1 - (n - 1) * (whole * apart).sum(axis=(1, 2)) / expected
    return np.asarray(np.where(expected > 0, found, np.nan))


# ---------------------------------------------------------------- each against the others


def rest(answers: Answers, trusted: Mask | None = None) -> Ints:
    """What the others said of each answer's pair: votes for a less votes for b, without this one.

    trusted (M,): only these answers are votes. Example: a, a, b on one pair → 0, 0, 2.
    """
    votes = _toward(answers)
    if not len(votes):
        return votes
    votes = votes if trusted is None else votes * trusted
    pair = np.cumsum(starts(answers.pair)) - 1
    return np.asarray(np.bincount(pair, weights=votes)[pair] - votes, dtype=np.int64)


def matches(answers: Answers, trusted: Mask | None = None) -> Held:
    """Answers held against the rest: their indices, whether they agree, and the others' lead.

    Both the answer and the majority of the others must have decided for a or b.
    """
    others, votes = rest(answers, trusted), _toward(answers)
    at = np.flatnonzero((others != 0) & (votes != 0))
    lead = others[at]
    return at, np.asarray(np.sign(lead) == votes[at]), np.abs(lead)


def disputed(answers: Answers, *, limit: int = 50) -> list[Dispute]:
    """The pairs with the highest disagreement first; of equal ones that with more answers."""
    table = counts(answers)
    ids = answers.pair_ids[answers.pair[starts(answers.pair)]]
    num = table.sum(axis=1)
    gini = 1 - ((table / np.maximum(num, 1)[:, None]) ** 2).sum(axis=1)
    some = np.flatnonzero(gini > 0)
    order = some[np.lexsort((ids[some], -num[some], -gini[some]))][:limit]
    return [
        Dispute(int(ids[i]), (*map(int, table[i]),), float(gini[i]))  # type: ignore[arg-type]
        for i in order
    ]


# ---------------------------------------------------------------- parts


def starts(pair: NDArray[np.int32]) -> Mask:
    """True at the first answer of each pair (M,); answers are sorted by pair."""
    return np.append(True, pair[1:] != pair[:-1])[: len(pair)]


def neighbours(pair: NDArray[np.int32]) -> Iterator[tuple[Ints, Ints]]:
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
