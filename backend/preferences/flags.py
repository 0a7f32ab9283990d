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
    drifts  agreement with the rest of the newest 100 answers held against it is lower than
        before by 3.3 standard errors; a fixed test, so α = .0005 holds for one look only

Who is found out is no majority: the flags are worked out a second time with those people's votes
left out. Speed alone is no flag: who is quick and agrees is good.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.preferences import agreement
from backend.preferences.intervals import wilson
from backend.preferences.ledger import NONE, TIE, Answers, Codes, Ints, Mask

SIDE_ALPHA: Final = 0.001
RANDOM_ALPHA: Final = 0.02
CHECK_ALPHA: Final = 0.001
ALWAYS: Final = 0.9
LEANING: Final = 0.05
"""How far beyond ½ the whole interval of the share of left must lie."""
PASSING: Final = 0.9
"""How often someone attentive passes a check, at least."""
LEADS: Final = 4
"""Leads of a majority that are told apart; larger ones count as this."""
USUAL: Final = (0.55, 0.98)
"""Bounds of q_m: nothing can be learned from a majority nobody follows."""
NEWEST: Final = 100
DRIFT_Z: Final = 3.3


@dataclass(frozen=True, slots=True)
class Flag:
    """Something about an annotator that a researcher should look at."""

    annotator: int
    kind: str
    """always-left, always-right, leans-left, leans-right, random, fails-checks or drifts."""
    text: str
    """A sentence for the page."""
    evidence: float
    """log₁₀ Λ, or the z of a drift."""


def of(
    answers: Answers,
    checks: Answers | None = None,
    expected: Codes | None = None,
    *,
    held: agreement.Held | None = None,
) -> list[Flag]:
    """The flags of all annotators, by id and strength.

    checks, expected: the attention checks and the right answer of each (`Ledger.expected`).
    held: `agreement.matches` of the answers, where they are known.
    """
    passed = _Checks.of(checks, expected)
    first = list(_flags(answers, held or agreement.matches(answers), passed))
    guilty = [flag.annotator for flag in first if flag.kind != "drifts"]
    if guilty:
        trusted = ~np.isin(answers.annotator_ids[answers.annotator], guilty)
        # A person cleared without the votes of the guilty is cleared; one found earlier stays found
        # only if found again.
        first = list(_flags(answers, agreement.matches(answers, trusted), passed))
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


def _flags(answers: Answers, held: agreement.Held, checks: _Checks) -> Iterator[Flag]:
    slots, who = agreement.compact(answers.annotator)
    decided = answers.choice < TIE
    num = np.bincount(who[decided], minlength=len(slots))
    left = np.bincount(who[decided & answers.on_left], minlength=len(slots))
    at, agrees, lead = held
    random = _random_evidence(who[at], agrees, np.minimum(lead, LEADS), len(slots))
    common = np.bincount(who[at], minlength=len(slots))
    equal = np.bincount(who[at][agrees], minlength=len(slots))
    fallen = _drifts(answers.label[at], who[at], agrees, len(slots))
    known = {int(answers.annotator_ids[slot]): k for k, slot in enumerate(slots)}
    for person in sorted(known.keys() | checks.num.keys()):
        k = known.get(person)
        if k is not None:
            side = list(_side(person, int(left[k]), int(num[k])))
            yield from side
            if not any(flag.kind.startswith("always") for flag in side):
                evidence = float(random[k]) + checks.evidence(person)
                yield from _random(person, evidence, int(equal[k]), int(common[k]))
            yield from _drift(person, *fallen[k])
        yield from _failed(person, checks)


def _random_evidence(who: Ints, agrees: Mask, lead: Ints, people: int) -> NDArray[np.float64]:
    """ln Λ of each annotator (K,); the usual rates are those of all the others."""
    cell = who * (LEADS + 1) + lead
    size = people * (LEADS + 1)
    num = np.bincount(cell, minlength=size).reshape(people, LEADS + 1)
    right = np.bincount(cell[agrees], minlength=size).reshape(people, LEADS + 1)
    usual = (right.sum(axis=0) - right + 1) / (num.sum(axis=0) - num + 2)
    usual = np.clip(usual, *USUAL)
    fits = right * np.log(usual) + (num - right) * np.log(1 - usual)
    return np.asarray((num * math.log(0.5) - fits).sum(axis=1))


def _side(person: int, left: int, num: int) -> Iterator[Flag]:
    evidence = side_evidence(left, num)
    if evidence < -math.log(SIDE_ALPHA):
        return
    share = wilson(left, num)
    side, part = ("left", share.value) if share.value > 0.5 else ("right", 1 - share.value)
    said = f"Chose the {side} one in {round(100 * part)} % of {num} decided answers"
    if part >= ALWAYS:
        yield Flag(person, f"always-{side}", f"{said}.", evidence / math.log(10))
    elif share.low > 0.5 + LEANING or share.high < 0.5 - LEANING:
        text = f"{said}; sides are drawn, so half is expected."
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


def _drift(person: int, before: float, now: float, z: float) -> Iterator[Flag]:
    if z <= -DRIFT_Z:
        text = (
            f"Agreed with the others in {round(100 * before)} % before, and in {round(100 * now)} "
            f"% of the newest {NEWEST} answers that can be compared."
        )
        yield Flag(person, "drifts", text, -z)


def _drifts(label: Ints, who: Ints, agrees: Mask, people: int) -> list[tuple[float, float, float]]:
    """(agreement before, agreement of the newest 100, z of their difference) of each annotator."""
    # Small whole numbers are sorted by radix, and only the newest of each person need be found.
    order = np.argsort(who.astype(np.uint16) if people < 2**16 else who, kind="stable")
    num = np.bincount(who, minlength=people)
    found = []
    for end, size in zip(np.cumsum(num), num, strict=True):
        mine = order[end - size : end]
        if size < 2 * NEWEST:
            found.append((math.nan, math.nan, 0.0))
            continue
        newest = mine[np.argpartition(label[mine], size - NEWEST)[size - NEWEST :]]
        right, recent = int(agrees[mine].sum()), int(agrees[newest].sum())
        both = right / size
        error = math.sqrt(max(both * (1 - both), 1e-9) * (1 / (size - NEWEST) + 1 / NEWEST))
        before, now = (right - recent) / (size - NEWEST), recent / NEWEST
        found.append((before, now, (now - before) / error))
    return found


def _tally(ids: Ints) -> dict[int, int]:
    unique, num = np.unique(ids, return_counts=True)
    return {int(i): int(n) for i, n in zip(unique, num, strict=True)}
