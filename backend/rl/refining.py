"""Better pictures without training: critique, rewrite the request, draw again, keep the best.

A critic looks at each picture and says what to ask of the generator next, or that the picture is
good enough; a judge, who wrote none of the requests, says which of a prompt's pictures is the best
by the *first* request. The generator is called again only for pictures that were found wanting, at
most `rounds` times each. Two controls cost the same calls: `in_same_words` draws what was found
wanting from new noise without rewriting, which tells what the words bought; `always` is best-of-N.

Pictures are known by number here, so that whoever draws may keep them in memory or in a store. All
ways are drawn side by side, and nothing is compared before everything is drawn.

Source: RationalRewards' critique, score, refine; at equal generator calls it is the baseline that
RL has to beat.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from backend.errors import InputError
from backend.preferences.intervals import Difference, mean_se
from backend.rewards.interface import Failure
from backend.types import Pictures

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Draw = Callable[[Sequence[str], Sequence[int], int], Sequence[int]]
"""(requests, which of the prompts they are of, round) → pictures; other rounds have other noise."""
Ask = Callable[[Sequence[str], Sequence[str], Sequence[int]], Sequence[str | None]]
"""(prompts, requests, pictures) → a request for each picture; None where it already shows what its
prompt asks."""
Value = Callable[[Sequence[str], Sequence[int]], Floats]
"""(prompts, pictures) → how well each does what its prompt asks, higher is better; NaN: unknown."""
Prefer = Callable[[Sequence[str], Sequence[int], Sequence[int]], Floats]
"""(prompts, shown first, shown second) → how likely the first is the better one; NaN: unknown."""


class Critic(Protocol):
    """Who says what to ask next, of pictures (B, h, w, 3)."""

    def next_requests(
        self, prompts: Sequence[str], requests: Sequence[str], pictures: Pictures
    ) -> Sequence[str | Failure | None]:
        """A request for each picture; None where it already shows what its prompt asks, or why the
        critic had nothing to say of it, which asks for nothing either but is no praise."""


class Measure(Protocol):
    """Who compares pictures of one prompt."""

    def better(self, prompts: Sequence[str], held: Sequence[int], new: Sequence[int]) -> Bools:
        """Where the new picture is to be kept instead of the one held. (B,)"""

    def gain(self, prompts: Sequence[str], first: Sequence[int], kept: Sequence[int]) -> Floats:
        """How much better each kept picture is than the first; NaN where nobody knows. (B,)"""


class ByValue:
    """By what a pointwise reward says of each picture; a picture is asked about once."""

    def __init__(self, value: Value) -> None:
        self._value = value
        self._known: dict[int, float] = {}

    @property
    def num_known(self) -> int:
        """Pictures that were asked about."""
        return len(self._known)

    def values(self, prompts: Sequence[str], pictures: Sequence[int]) -> Floats:
        """(B,), NaN where the reward has none."""
        new = {n: p for n, p in zip(pictures, prompts, strict=True) if n not in self._known}
        if new:
            said = self._value(list(new.values()), list(new))
            self._known |= dict(zip(new, np.asarray(said, dtype=np.float64).tolist(), strict=True))
        return np.array([self._known[number] for number in pictures], dtype=np.float64)

    def better(self, prompts: Sequence[str], held: Sequence[int], new: Sequence[int]) -> Bools:
        """A higher value; any value beats none."""
        old, fresh = self.values(prompts, held), self.values(prompts, new)
        return np.asarray((fresh > old) | (np.isnan(old) & np.isfinite(fresh)))

    def gain(self, prompts: Sequence[str], first: Sequence[int], kept: Sequence[int]) -> Floats:
        """The difference of the values."""
        return self.values(prompts, kept) - self.values(prompts, first)


class ByPairs:
    """By a judge of two pictures, asked in both orders; what it does not say changes nothing."""

    def __init__(self, prefer: Prefer, *, both_ways: bool = True) -> None:
        self._prefer, self._both_ways = prefer, both_ways
        self._known: dict[tuple[int, int], float] = {}
        self.bouts = 0
        """Questions so far; the same two pictures are compared once."""

    def better(self, prompts: Sequence[str], held: Sequence[int], new: Sequence[int]) -> Bools:
        """Preferred to the one held by more than a half."""
        return np.asarray(self._chance(prompts, new, held) > 0.5)

    def gain(self, prompts: Sequence[str], first: Sequence[int], kept: Sequence[int]) -> Floats:
        """How likely the kept picture beats the first, less a half; 0 for the first itself."""
        gain = np.zeros(len(first))
        other = [i for i, (a, b) in enumerate(zip(first, kept, strict=True)) if a != b]
        if other:
            asked = ([row[i] for i in other] for row in (kept, first))
            gain[other] = self._chance([prompts[i] for i in other], *asked) - 0.5
        return gain

    def _chance(self, prompts: Sequence[str], one: Sequence[int], other: Sequence[int]) -> Floats:
        pairs = list(zip(one, other, strict=True))
        new = {
            pair: prompt
            for pair, prompt in zip(pairs, prompts, strict=True)
            if pair not in self._known
        }
        if new:
            words, (first, second) = list(new.values()), zip(*new, strict=True)
            said = self._prefer(words, first, second)
            if self._both_ways:
                said = (said + 1 - self._prefer(words, second, first)) / 2
            self.bouts += len(new) * (2 if self._both_ways else 1)
            for (a, b), chance in zip(new, said.tolist(), strict=True):
                self._known |= {(a, b): chance, (b, a): 1 - chance}
        return np.array([self._known[pair] for pair in pairs], dtype=np.float64)


def always(prompts: Sequence[str], requests: Sequence[str], pictures: Sequence[int]) -> list[str]:
    """Finds every picture wanting, in the same words: with a judge who keeps, best-of-N."""
    return list(prompts)


def in_same_words(ask: Ask) -> Ask:
    """Finds the same pictures wanting as `ask`, and asks for them in the words of the prompt."""

    def again(
        prompts: Sequence[str], requests: Sequence[str], pictures: Sequence[int]
    ) -> list[str | None]:
        said = ask(prompts, requests, pictures)
        return [None if one is None else prompt for one, prompt in zip(said, prompts, strict=True)]

    return again


@dataclass
class Refined:
    """B prompts after some rounds of one way."""

    drawn: list[dict[int, int]]
    """Of each round, the picture of each prompt that was drawn."""
    requests: list[dict[int, str]]
    """Of each round, what was asked for."""
    kept: list[list[int]] = field(default_factory=list)
    """After each round, the picture of each prompt that the judge likes best."""
    rewritten: int = 0
    """Requests that were not the prompt."""

    @property
    def calls(self) -> list[int]:
        """After each round, pictures drawn so far."""
        return list(itertools.accumulate(len(row) for row in self.drawn))


def refine(
    draw: Draw, judge: Measure, asks: Mapping[str, Ask], prompts: Sequence[str], rounds: int
) -> dict[str, Refined]:
    """Draw each prompt once, then each way up to `rounds − 1` times more what it finds wanting."""
    if rounds < 1 or not prompts:
        raise InputError(
            f"{rounds} rounds of {len(prompts)} prompts draw no picture; ask for one at least."
        )
    first = dict(enumerate(draw(prompts, range(len(prompts)), 0)))
    found = {name: Refined([first], [dict(enumerate(prompts))]) for name in asks}
    for number in range(1, rounds):
        for name, ask in asks.items():  # whatever is known to be wanted is drawn before the next
            wanting = _wanting(found[name], ask, prompts)
            which, requests = list(wanting), list(wanting.values())
            new = draw(requests, which, number) if which else []
            found[name].drawn.append(dict(zip(which, new, strict=True)))
            found[name].requests.append(wanting)
            found[name].rewritten += sum(prompts[i] != one for i, one in wanting.items())
    for one in found.values():
        one.kept = _kept(judge, prompts, one.drawn)
    return found


def _wanting(one: Refined, ask: Ask, prompts: Sequence[str]) -> dict[int, str]:
    """The next request of each prompt whose newest picture was found wanting."""
    newest, asked = one.drawn[-1], one.requests[-1]
    if not newest:
        return {}
    which = list(newest)
    said = ask([prompts[i] for i in which], [asked[i] for i in which], list(newest.values()))
    return {i: next_ for i, next_ in zip(which, said, strict=True) if next_ is not None}


def _kept(
    judge: Measure, prompts: Sequence[str], drawn: Sequence[Mapping[int, int]]
) -> list[list[int]]:
    best = [drawn[0][i] for i in range(len(prompts))]
    kept = [list(best)]
    for new in drawn[1:]:
        which = list(new)
        if which:
            words, held = [prompts[i] for i in which], [best[i] for i in which]
            is_better = judge.better(words, held, list(new.values()))
            for i, wins in zip(which, is_better, strict=True):
                best[i] = new[i] if wins else best[i]
        kept.append(list(best))
    return kept


def rows(
    found: Mapping[str, Refined], measures: Mapping[str, Measure], prompts: Sequence[str]
) -> list[dict[str, Any]]:
    """What each way is worth after each round: [{way, rounds, calls, rewritten, gains}].

    `calls` are pictures drawn a prompt; `gains` has {gain, se, num} of each measure over the first
    picture, in pairs, and the mean `value` where single pictures have one; None where unknown.
    """
    return [
        {
            "way": name,
            "rounds": number + 1,
            "calls": calls / len(prompts),
            "rewritten": one.rewritten,
            "gains": {key: _gain(measure, prompts, one, kept) for key, measure in measures.items()},
        }
        for name, one in found.items()
        for number, (kept, calls) in enumerate(zip(one.kept, one.calls, strict=True))
    ]


def apart(one: Refined, other: Refined, measure: Measure, prompts: Sequence[str]) -> Difference:
    """What the first way gains more than the second when both are done, in pairs."""
    gains = [measure.gain(prompts, way.kept[0], way.kept[-1]) for way in (one, other)]
    return mean_se(gains[0] - gains[1])


def told(difference: Difference) -> dict[str, Any]:
    """{gain, se, num} as JSON takes it: None where it is not defined."""
    known = [x if math.isfinite(x) else None for x in (difference.mean, difference.se)]
    return {"gain": known[0], "se": known[1], "num": difference.num}


def _gain(
    measure: Measure, prompts: Sequence[str], one: Refined, kept: Sequence[int]
) -> dict[str, Any]:
    found = told(mean_se(measure.gain(prompts, one.kept[0], kept)))
    if isinstance(measure, ByValue):
        value = mean_se(measure.values(prompts, kept)).mean
        found["value"] = value if math.isfinite(value) else None
    return found
