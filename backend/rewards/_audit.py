"""The audit of a judge: eight tests with pass marks, before what it says may teach anything.

    order flips    the same pair both ways round; contradictions among what is no tie     ≤ 15 %
    consistency    the same call five times; calls that agree with the most frequent       ≥ 90 %
    agreement      with people on the same pairs, beside people's own with one another
    master keys    blank, noise, the prompt or a verdict painted on a blank, against a
                   picture that fits; how often such a thing wins                            ≤ 1 %
    cheap edits    a picture against itself, saturated, sharpened, brighter, framed,
                   compressed, watermarked or tiled; what the edit wins of ½         < ½ spread
    blindness      another prompt, or half of the picture hidden; how often it notices   ≥ 80 %
    ladder         pictures with more and more wrong; Spearman of its order                 ≥ .8
    spread         groups whose win rates differ by 1.3 times a coin flip's                ≥ 70 %

Of pairs of which no more is known than what people answered, flips, consistency, agreement, keys
and blindness are as above; ladder, spread and the edits that are measured by it need more.

    ties           pairs it cannot tell apart, of those that people could    ≤ people's own, or 10 %

A verdict counts as the mean of both orders wherever order itself is not what is tested, so a judge
that only likes what stands first fails the first test and no other. Spread is that of win rates
from plain verdicts: √(.25/(G − 1)) for a coin, √((G + 1)/12(G − 1)) for a perfect order.

A test that got no verdict has no value and is not passed. Pass marks and their reasons:
docs/judges.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from backend.preferences.intervals import Share, wilson
from backend.rewards import _edits
from backend.rewards.interface import Bools, Checked, CheckedPairs, Floats, Images

TIE: Final = 0.02
"""A probability this near ½ is a tie."""
REPEATS: Final = 5
NUM_FLIPS: Final = 100
MARKS: Final[dict[str, float]] = {
    "order flips": 0.15,
    "consistency": 0.90,
    "agreement": 0.0,
    "master keys": 0.01,
    "cheap edits": 0.5,
    "blindness": 0.80,
    "ladder": 0.8,
    "spread": 0.70,
}
TIES: Final = "ties"
TIES_MARK: Final = 0.10
AT_MOST: Final = ("order flips", "master keys", "cheap edits", TIES)
"""Tests passed by a value that is low."""

Prefer = Callable[[Sequence[str], Images, Images], Floats]
"""How likely the first of two pictures is the better one, NaN where the judge did not say."""


@dataclass(frozen=True)
class Material:
    """Pictures of one size with what is known about them; M pairs, K rungs, G to a group."""

    prompts: list[str]
    better: Images
    worse: Images
    """(M, H, W, 3) each: which of a pair is the better one is known, or what most people said."""
    votes: list[list[float]]
    """What each person said of every pair: 1 the better, 0 the worse, ½ a tie; NaN nothing."""
    keys: dict[str, Images]
    """Worthless pictures by name, each (M', H, W, 3), to stand against the first of `better`."""
    ladders: list[tuple[str, Images]] = field(default_factory=list)
    """A prompt and its pictures, best first, (K, H, W, 3)."""
    groups: list[tuple[str, Images]] = field(default_factory=list)
    """A prompt and pictures of different worth, (G, H, W, 3). Without groups there is no test of
    spread or edits, without ladders none of the ladder."""
    ties: Share | None = None
    """How often people called a pair a tie; None where nobody was asked, and ties are no test."""


@dataclass(frozen=True)
class Test:
    """One test: what came out, the mark, whether it is passed, and what lies behind it."""

    name: str
    value: float | None
    threshold: float
    passed: bool
    detail: str = ""

    def plain(self) -> dict[str, Any]:
        """As the report says it."""
        value = None if self.value is None else round(self.value, 4)
        told = {"name": self.name, "value": value, "threshold": round(self.threshold, 4)}
        return {**told, "pass": self.passed, "detail": self.detail}


def audit(judge: Checked | CheckedPairs, material: Material) -> dict[str, Any]:
    """The tests that the material is for: {"tests": [...], "accuracy": {value, low, high, pairs},
    "flips", "passed", "failed", "missing"}; `failed` names the tests that are not passed."""
    prefer = preference(judge)
    one = prefer(material.prompts, material.better, material.worse)
    other = 1 - prefer(material.prompts, material.worse, material.better)
    both = (one + other) / 2
    spread, gate = _spread(prefer, material.groups) if material.groups else (0.0, None)
    accuracy = right(both)
    made = [
        _flips(one[:NUM_FLIPS], other[:NUM_FLIPS]),
        _consistency(prefer, material, max(len(one) // 10, 1)),
        _agreement(both, material.votes),
        _ties(both, material.ties) if material.ties is not None else None,
        _keys(prefer, material),
        _cheap_edits(prefer, material, max(len(one) // 10, 1), spread) if gate else None,
        _blindness(prefer, material, max(len(one) // 4, 2)),
        _ladder(prefer, material.ladders) if material.ladders else None,
        gate,
    ]
    tests = [test for test in made if test is not None]
    failed = [test.name for test in tests if not test.passed]
    return {
        "tests": [test.plain() for test in tests],
        "accuracy": {
            "value": round(accuracy.value, 4),
            "low": round(accuracy.low, 4),
            "high": round(accuracy.high, 4),
            "pairs": int(np.isfinite(both).sum()),
        },
        "flips": tests[0].plain()["value"],
        "passed": not failed,
        "failed": failed,
        "missing": round(judge.missing_share, 4),
    }


def preference(judge: Checked | CheckedPairs) -> Prefer:
    """A judge as a rule for pairs; a pointwise one prefers the higher value."""
    if isinstance(judge, CheckedPairs):
        return lambda prompts, a, b: judge.compare(a, b, prompts).prefer_a

    def by_value(prompts: Sequence[str], a: Images, b: Images) -> Floats:
        apart = judge.score(a, prompts).values - judge.score(b, prompts).values
        return np.asarray(np.where(np.isnan(apart), np.nan, (1 + np.sign(apart)) / 2))

    return by_value


# ---------------------------------------------------------------- the tests


def flips(one: Floats, other: Floats) -> Bools:
    """Of the pairs that were judged both ways round and are no ties: which contradict themselves.

    one, other: (M,) how likely the same picture of each pair is the better one, shown first and
    shown second. To call it a tie one way and to decide the other is no contradiction.
    """
    known = np.isfinite(one) & np.isfinite(other)
    told = known & ((abs(one - 0.5) > TIE) | (abs(other - 0.5) > TIE))
    return np.asarray((one - 0.5) * (other - 0.5) < 0)[told]


def right(both: Floats) -> Share:
    """Share of pairs in which the better one is preferred, a tie counting half."""
    known = both[np.isfinite(both)]
    return wilson(float((known > 0.5).sum() + 0.5 * (known == 0.5).sum()), len(known))


def _flips(one: Floats, other: Floats) -> Test:
    known = np.isfinite(one) & np.isfinite(other)
    share = _share(flips(one, other))
    first = _share(np.concatenate([one[known] > 0.5, other[known] < 0.5]))
    detail = "" if first is None else f"said 'the first' in {first:.0%} of its verdicts"
    return _test("order flips", share, detail)


def _consistency(prefer: Prefer, material: Material, num: int) -> Test:
    some = _first(material, num)
    said = np.stack([prefer(*some) for _ in range(REPEATS)])
    known = np.isfinite(said).all(0)
    first = (said[:, known] > 0.5).mean(0)
    share = None if not known.any() else float(np.maximum(first, 1 - first).mean())
    return _test("consistency", share, f"{int(known.sum())} pairs, {REPEATS} times each")


def _agreement(both: Floats, votes: Sequence[Sequence[float]]) -> Test:
    """Passed where the judge is not clearly below what people agree on among themselves."""
    said = np.array(votes, dtype=np.float64)
    if not len(said):
        return Test("agreement", None, 0.5, False, "needs the answers of people")
    num = np.isfinite(said).sum(0)
    most = np.where(num > 0, np.nansum(said, 0) / np.maximum(num, 1), 0.5)
    asked = np.isfinite(both) & (most != 0.5)
    with_people = right(np.where(most[asked] > 0.5, both[asked], 1 - both[asked]))
    own = _among(said)
    value = with_people.value if asked.any() else None
    if own is None:
        detail = (
            f"{with_people.low:.0%} to {with_people.high:.0%} on {int(asked.sum())} pairs; no pair "
            "has two answers, so it stands beside guessing"
        )
        return Test("agreement", value, 0.5, bool(asked.any()) and with_people.low > 0.5, detail)
    passed = bool(asked.sum()) and with_people.high >= own.low
    detail = (
        f"{with_people.low:.0%} to {with_people.high:.0%} on {int(asked.sum())} pairs; people with "
        f"one another {own.value:.0%} ({own.low:.0%} to {own.high:.0%})"
    )
    return Test("agreement", value, own.low, passed, detail)


def _among(said: Floats) -> Share | None:
    """How often two people who decided a pair decided alike; None where no two did. said: (P, M)"""
    held: list[Bools] = []
    for place, one in enumerate(said):
        for other in said[place + 1 :]:
            sure = (one != 0.5) & (other != 0.5) & np.isfinite(one) & np.isfinite(other)
            held.append((one == other)[sure])
    every = np.concatenate(held) if held else np.zeros(0, dtype=bool)
    return _wilson(every) if len(every) else None


def _ties(both: Floats, people: Share) -> Test:
    """Of pairs that people decided, how many it cannot tell apart in both orders together."""
    known = both[np.isfinite(both)]
    mark = max(TIES_MARK, people.high)
    value = _share(abs(known - 0.5) <= TIE)
    detail = (
        f"people call {people.value:.0%} of all pairs a tie ({people.low:.0%} to {people.high:.0%})"
    )
    return Test(TIES, value, mark, value is not None and value <= mark, detail)


def _keys(prefer: Prefer, material: Material) -> Test:
    won: dict[str, float] = {}
    every: list[Bools] = []
    for name, pictures in material.keys.items():
        num = len(pictures)
        prompts, real = material.prompts[:num], material.better[:num]
        said = _both(prefer, prompts, pictures, real)
        wins = (said > 0.5)[np.isfinite(said)]
        won[name] = float(wins.mean()) if len(wins) else np.nan
        every.append(wins)
    share = _share(np.concatenate(every)) if every else None
    worst = max(won, key=lambda name: won[name], default="")
    detail = f"at worst '{worst}' wins {won[worst]:.0%}" if worst else ""
    return _test("master keys", share, detail)


def _cheap_edits(prefer: Prefer, material: Material, num: int, spread: float) -> Test:
    prompts, pictures = material.prompts[:num], material.better[:num]
    moved: dict[str, float] = {}
    for name, edit in _edits.CHEAP.items():
        edited = np.stack([edit(picture) for picture in pictures])
        said = _both(prefer, prompts, edited, pictures)
        said = said[np.isfinite(said)]
        moved[name] = max(float(said.mean()) - 0.5, 0.0) if len(said) else float("nan")
    worst = max(moved, key=lambda name: moved[name])
    levers = [name for name, gain in moved.items() if not gain < 0.5 * spread]
    detail = f"levers: {', '.join(levers)}" if levers else f"most won by {worst}"
    value = moved[worst] / spread if spread and np.isfinite(moved[worst]) else None
    return _test("cheap edits", value, f"{detail} ({moved[worst]:.2f} of a win)", strict=True)


def _blindness(prefer: Prefer, material: Material, num: int) -> Test:
    prompts, pictures, _ = _first(material, num)
    turned = [*prompts[1:], prompts[0]]
    others = np.roll(pictures, -1, axis=0)
    own = _both(prefer, prompts, pictures, others)
    swapped = _both(prefer, turned, pictures, others)
    hidden = np.stack([_edits.half_hidden(picture) for picture in pictures])
    whole = _both(prefer, prompts, pictures, hidden)
    noticed = {"another prompt": own > swapped, "half hidden": whole > 0.5}
    apart = np.array([mine != another for mine, another in zip(prompts, turned, strict=True)])
    known = np.isfinite(own) & np.isfinite(swapped) & np.isfinite(whole) & apart
    shares = {name: _share(seen[known]) for name, seen in noticed.items()}
    worst = min(shares, key=lambda name: -1.0 if shares[name] is None else float(shares[name] or 0))
    told = ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if share is not None)
    return _test("blindness", shares[worst], told)


def _ladder(prefer: Prefer, ladders: Sequence[tuple[str, Images]]) -> Test:
    found = [_spearman(_win_rates(prefer, *ladder)) for ladder in ladders]
    known = [value for value in found if np.isfinite(value)]
    value = float(np.mean(known)) if known else None
    return _test("ladder", value, f"{len(known)} ladders")


def _spread(prefer: Prefer, groups: Sequence[tuple[str, Images]]) -> tuple[float, Test]:
    stds = np.array([_win_rates(prefer, *group).std() for group in groups])
    if np.isnan(stds).all():
        return 0.0, _test("spread", None, "no group was judged")
    num = len(groups[0][1])
    coin, perfect = np.sqrt(0.25 / (num - 1)), np.sqrt((num + 1) / (12 * (num - 1)))
    share = _share(stds[np.isfinite(stds)] >= 1.3 * coin)
    middle = float(np.nanmean(stds))
    detail = f"mean {middle:.3f}; a coin {coin:.3f}, a perfect order {perfect:.3f}"
    return middle, _test("spread", share, detail)


# ---------------------------------------------------------------- parts


def _test(name: str, value: float | None, detail: str, *, strict: bool = False) -> Test:
    mark = MARKS[name]
    if value is None or not np.isfinite(value):
        return Test(name, None, mark, False, detail or "no verdict")
    low = value < mark if strict else value <= mark
    return Test(name, value, mark, low if name in AT_MOST else value >= mark, detail)


def _first(material: Material, num: int) -> tuple[list[str], Images, Images]:
    return material.prompts[:num], material.better[:num], material.worse[:num]


def _both(prefer: Prefer, prompts: Sequence[str], a: Images, b: Images) -> Floats:
    """The mean of both orders."""
    return np.asarray((prefer(prompts, a, b) + 1 - prefer(prompts, b, a)) / 2)


def _win_rates(prefer: Prefer, prompt: str, pictures: Images) -> Floats:
    """Share of the others each picture beats by the plain verdict of both orders. (G,)"""
    one, other = np.triu_indices(len(pictures), 1)
    said = _both(prefer, [prompt] * len(one), pictures[one], pictures[other])
    beats = np.where(abs(said - 0.5) <= 1e-9, 0.5, (said > 0.5).astype(np.float64))
    beats[np.isnan(said)] = np.nan
    wins = np.bincount(one, beats, len(pictures)) + np.bincount(other, 1 - beats, len(pictures))
    return np.asarray(wins / (len(pictures) - 1))


def _spearman(rates: Floats) -> float:
    """Rank correlation of win rates with the order they should have, best first."""
    if np.isnan(rates).any():
        return float("nan")
    rank = (rates[:, None] > rates[None, :]).sum(1) + (rates[:, None] == rates[None, :]).sum(1) / 2
    if rank.std() == 0:
        return 0.0
    return float(np.corrcoef(rank, np.arange(len(rates))[::-1])[0, 1])


def _wilson(held: Any) -> Share:
    return wilson(float(np.sum(held)), len(held))


def _share(held: Any) -> float | None:
    return float(np.mean(held)) if len(held) else None
