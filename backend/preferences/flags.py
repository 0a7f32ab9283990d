"""Flags: annotators whose answers say little, found early and seldom by mistake.

Each flag is a test that may be looked at after every answer: the evidence is a ratio of
likelihoods, Λ, whose mean is at most 1 while nothing is wrong, so that it ever reaches 1/α with a
chance of at most α (Ville 1939; Wald 1945 for two simple hypotheses).

    always-left, leans-left ...  whether left is chosen as often as right, among answers left or
        right. Sides are drawn, so ½ is what anyone with eyes open comes to:
        Λ = ∫ p^k (1 − p)^{n−k} dp / ½^n = B(k + 1, n − k + 1) · 2^n                  α = .001
        "always" from nine in ten; "leans" if Wilson's interval also lies beyond .55.
    random  whether answers have anything to do with the pictures. Against the majority of the
        others someone random is right half the time, whatever the majority; a usual person with
        the rate q_m of all others at that lead m of the majority. Attention checks join in with
        q = .9:  Λ = Π ½ / (q if right, else 1 − q)                                   α = .02
    fails-checks  the same over attention checks alone                                α = .001
    drifts  the newest 100 answers held against the rest agree less than all before them. Tested at
        every 50th such answer, whenever one looks; the k-th test has α_k = α · 6 / (π² k²), all
        of them together α (alpha spending, Lan and DeMets 1983). The test is Fisher's: as if
        which of the answers agree were drawn without order, P(X ≤ x) hypergeometric.  α = .002

Who is found out is no majority: the flags are worked out a second time with those people's votes
left out. Speed alone is no flag: who is quick and agrees is good.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.preferences.intervals import wilson
from backend.preferences.ledger import NONE, Answers, Codes, Ints
from backend.preferences.tallies import Tallies

SIDE_ALPHA: Final = 0.001
RANDOM_ALPHA: Final = 0.02
CHECK_ALPHA: Final = 0.001
ALWAYS: Final = 0.9
LEANING: Final = 0.05
"""How far beyond ½ the whole interval of the share of left must lie."""
PASSING: Final = 0.9
"""How often someone attentive passes a check, at least."""
USUAL: Final = (0.55, 0.98)
"""Bounds of q_m: nothing can be learned from a majority nobody follows."""
HUNDRED: Final = 100
"""The newest answers, which are held against all before them."""
STEP: Final = 50
"""At every so many answers a drift is looked for."""
DRIFT_ALPHA: Final = 0.002


@dataclass(frozen=True, slots=True)
class Flag:
    """Something about an annotator that a researcher should look at."""

    annotator: int
    kind: str
    """always-left, always-right, leans-left, leans-right, random, fails-checks or drifts."""
    text: str
    """A sentence for the page."""
    evidence: float
    """log₁₀ Λ, or −log₁₀ of the chance of a drift."""


def of(
    answers: Answers, checks: Answers | None = None, expected: Codes | None = None
) -> list[Flag]:
    """The flags of all annotators, by id and strength.

    checks, expected: the attention checks and the right answer of each (`Ledger.expected`).
    """

    def without(guilty: list[int]) -> Tallies:
        return Tallies.of(answers, silent=guilty)

    return raised(Tallies.of(answers), without, checks, expected)


def raised(
    tallies: Tallies,
    without: Callable[[list[int]], Tallies],
    checks: Answers | None = None,
    expected: Codes | None = None,
) -> list[Flag]:
    """The same of tallies; `without` gives those in which some annotators are nobody's majority."""
    passed = _Checks.of(checks, expected)
    first = list(_flags(tallies, passed))
    guilty = sorted({flag.annotator for flag in first if flag.kind != "drifts"})
    if guilty:
        # A person cleared without the votes of the guilty is cleared; one found earlier stays found
        # only if found again.
        first = list(_flags(without(guilty), passed))
    return sorted(first, key=lambda flag: (flag.annotator, -flag.evidence))


def side_evidence(left: int, num: int) -> float:
    """ln Λ that left is not chosen half the time: `left` of `num` answers.

    Example: 14 of 14: ln(2¹⁴ / 15) = 6.996, over 1,000 to 1.
    """
    beta = math.lgamma(left + 1) + math.lgamma(num - left + 1) - math.lgamma(num + 2)
    return beta + num * math.log(2)


@dataclass(frozen=True, slots=True)
class _Checks:
    """Attention checks by annotator id: how many, how many passed."""

    num: dict[int, int]
    passed: dict[int, int]

    @classmethod
    def of(cls, checks: Answers | None, expected: Codes | None) -> _Checks:
        if checks is None or expected is None:
            return cls({}, {})
        known = expected != NONE
        who = checks.annotator_ids[checks.annotator[known]]
        right = checks.choice[known] == expected[known]
        return cls(_tally(who), _tally(who[right]))

    def evidence(self, annotator: int) -> float:
        """ln Λ of answering checks at random against passing nine in ten."""
        num, passed = self.num.get(annotator, 0), self.passed.get(annotator, 0)
        return num * math.log(0.5) - (
            passed * math.log(PASSING) + (num - passed) * math.log(1 - PASSING)
        )


def pass_rates(checks: Answers, expected: Codes) -> dict[int, tuple[int, int]]:
    """(passed, asked) of the attention checks of each annotator's id."""
    tally = _Checks.of(checks, expected)
    return {who: (tally.passed.get(who, 0), num) for who, num in sorted(tally.num.items())}


def _flags(tallies: Tallies, checks: _Checks) -> Iterator[Flag]:
    num, left = tallies.sides()
    right, common = tallies.leads()
    random = _random_evidence(right, common)
    known = {int(tallies.ids[slot]): slot for slot in tallies.slots}
    for person in sorted(known.keys() | checks.num.keys()):
        k = known.get(person)
        if k is not None:
            side = list(_side(person, int(left[k]), int(num[k])))
            yield from side
            if not any(flag.kind.startswith("always") for flag in side):
                evidence = float(random[k]) + checks.evidence(person)
                yield from _random(person, evidence, int(right[k].sum()), int(common[k].sum()))
            yield from _drift(person, *tallies.newest(k, HUNDRED, STEP))
        yield from _failed(person, checks)


def _random_evidence(right: Ints, num: Ints) -> NDArray[np.float64]:
    """ln Λ of each annotator (K,), of answers that agree and all held, by lead (K, LEADS); the
    usual rates are those of all the others."""
    usual = (right.sum(axis=0) - right + 1) / (num.sum(axis=0) - num + 2)
    usual = np.clip(usual, *USUAL)
    fits = right * np.log(usual) + (num - right) * np.log(1 - usual)
    return np.asarray((num * math.log(0.5) - fits).sum(axis=1))


def _side(person: int, left: int, num: int) -> Iterator[Flag]:
    evidence = side_evidence(left, num)
    if evidence < -math.log(SIDE_ALPHA):
        return
    share = wilson(left, num)
    is_left = share.value > 0.5
    side, part = ("left", share.value) if is_left else ("right", 1 - share.value)
    percent = round(100 * part)
    if part >= ALWAYS:
        text = (
            f"Chose the {'left' if is_left else 'right'} one in {percent} % of {num} decided "
            "answers."
        )
        yield Flag(person, f"always-{side}", text, evidence / math.log(10))
    elif share.low > 0.5 + LEANING or share.high < 0.5 - LEANING:
        text = (
            f"Chose the {'left' if is_left else 'right'} one in {percent} % of {num} decided "
            "answers; sides are drawn, so half is expected."
        )
        yield Flag(person, f"leans-{side}", text, evidence / math.log(10))


def _random(person: int, evidence: float, equal: int, common: int) -> Iterator[Flag]:
    if evidence >= -math.log(RANDOM_ALPHA):
        text = f"Agrees with the majority of the others on {equal} of {common} pairs, as by chance."
        yield Flag(person, "random", text, evidence / math.log(10))


def _failed(person: int, checks: _Checks) -> Iterator[Flag]:
    evidence = checks.evidence(person)
    if evidence >= -math.log(CHECK_ALPHA):
        text = f"Passed {checks.passed.get(person, 0)} of {checks.num[person]} attention checks."
        yield Flag(person, "fails-checks", text, evidence / math.log(10))


def _drift(person: int, look: int, now: int, many: int, before: int) -> Iterator[Flag]:
    """`look`: which test it is, 0 for none; of the newest hundred `now` agree, of the `many` before
    it `before`."""
    if not look or now * many >= before * HUNDRED:
        return
    p = falls_by_chance(now, before, many)
    if p <= DRIFT_ALPHA * 6 / (math.pi * look) ** 2:
        text = (
            f"Agreed with the others in {round(100 * before / many)} % before, and in {now} % of "
            f"{HUNDRED} newer answers that can be compared."
        )
        yield Flag(person, "drifts", text, -math.log10(max(p, 1e-300)))


def falls_by_chance(now: int, before: int, many: int) -> float:
    """The chance that of `before` + `now` answers that agree so few, or fewer, fall among the last
    hundred of all `many` + 100, if order meant nothing: Fisher's one-sided test.

    Example: 60 of the last 100 after 180 of 200: 4e-9.
    """
    agree = before + now
    whole = _choose(many + HUNDRED, HUNDRED)
    least = max(0, agree - many)
    return min(
        1.0,
        sum(
            math.exp(_choose(agree, k) + _choose(many + HUNDRED - agree, HUNDRED - k) - whole)
            for k in range(least, now + 1)
            if HUNDRED - k <= many + HUNDRED - agree
        ),
    )


def _choose(num: int, of: int) -> float:
    """ln of the binomial coefficient."""
    return math.lgamma(num + 1) - math.lgamma(of + 1) - math.lgamma(num - of + 1)


def _tally(ids: Ints) -> dict[int, int]:
    unique, num = np.unique(ids, return_counts=True)
    return {int(i): int(n) for i, n in zip(unique, num, strict=True)}
