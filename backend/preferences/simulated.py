"""Annotators that are simulated: people with a written taste, for demo, `palate loop` and tests.

What an average one likes about a picture x of a prompt p is written down, nothing is hidden:

    u(x, p) = 16 · V(x, p) + 20 · S(x) + 5 · C(x)

V is the pocket verifier's total (0 to 1), S the mean saturation (0 to 1), C how well the things
are centred (0 to 1). One unit of u is one unit of choice noise: someone who sees a difference of 1
picks the better picture 73 times in 100. Between two pictures that the pocket model draws for one
prompt V differs by about .19, S by .01 and C by .08, so they mostly look at the prompt.

People of a second taste mind the prompt half as much, saturation six and centring four times:
8 · V + 120 · S + 20 · C, of which V and S move about alike.

A person k multiplies each of the three weights by their own factor around 1, leans to the left by
b, is more or less noisy by s, overlooks differences under t, and now and then presses any key:

    Δ = u_k(left) − u_k(right) + b + s · logistic noise
    left if Δ > t, right if Δ < −t, else tie, or "both bad" when V of both is under ⅖
    with probability ε: left or right at random

Time taken: (0.7 + 1.3 · exp(−|Δ| / 2)) s · pace, log-normal; hard pairs take longer.
Everything is a pure function of the annotator's seed and the judgement's key. Their judgements are
stored with `User.kind = "simulated"` and are never mixed with people's unless asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from backend.errors import InputError
from backend.rewards import _statistics
from backend.rewards.interface import Floats, Images, Scores

Taste = Literal["first", "second"]
Choice = Literal["left", "right", "tie", "both_bad"]
Side = Literal["a", "b"]
Ingredients = tuple[Floats, Floats, Floats]
"""V, S and C of each picture, (B,) each."""

ALIGNMENT: Final = 16.0
SATURATION: Final = 20.0
CENTRING: Final = 5.0
SECOND: Final = (0.5, 6.0, 4.0)
"""What the second taste multiplies the weights of V, S and C by."""
BAD: Final = 0.4
"""A tie between two pictures that both have less alignment than this is "both bad"."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One answer and how long it took."""

    choice: Choice
    seconds: float


@dataclass(frozen=True, slots=True)
class Annotator:
    """One simulated person."""

    seed: int
    alignment: float
    saturation: float
    centring: float
    side_bias: float
    noise: float
    threshold: float
    lapse: float
    pace: float
    taste: Taste = "first"

    @classmethod
    def from_seed(cls, seed: int) -> Annotator:
        """The person that belongs to a seed; different seeds are different people."""
        rng = np.random.default_rng([seed, 0x9E0])
        factor = np.exp(0.2 * rng.standard_normal(3))
        return cls(
            seed=seed,
            alignment=float(ALIGNMENT * factor[0]),
            saturation=float(SATURATION * factor[1]),
            centring=float(CENTRING * factor[2]),
            side_bias=float(0.25 * rng.standard_normal()),
            noise=float(np.exp(0.15 * rng.standard_normal())),
            threshold=float(0.35 * np.exp(0.25 * rng.standard_normal())),
            lapse=float(rng.uniform(0.01, 0.05)),
            pace=float(np.exp(0.2 * rng.standard_normal())),
        )

    @property
    def name(self) -> str:
        """The name shown beside their labels."""
        return f"simulated-{self.seed}" + ("" if self.taste == "first" else f"-{self.taste}")

    def of_second_taste(self) -> Annotator:
        """The same person, but what they look at."""
        align, saturated, centred = SECOND
        return replace(
            self,
            alignment=align * self.alignment,
            saturation=saturated * self.saturation,
            centring=centred * self.centring,
            taste="second",
        )

    def utility(self, images: Images, prompts: Sequence[str]) -> Floats:
        """This person's u of each picture, without noise. (B,)"""
        align, saturated, centred = ingredients(images, prompts)
        return np.asarray(
            self.alignment * align + self.saturation * saturated + self.centring * centred
        )

    def judge(self, left: Images, right: Images, prompt: str, *, key: int = 0) -> Judgement:
        """One answer about two pictures (H, W, 3); the same key repeats it, another redraws it."""
        return self.judge_many(left[None], right[None], [prompt], [key])[0]

    def judge_many(
        self, left: Images, right: Images, prompts: Sequence[str], keys: Sequence[int]
    ) -> list[Judgement]:
        """One answer a pair; `keys` (a pair's id, say) decide the noise. Pictures (M, H, W, 3)."""
        if not len(left) == len(right) == len(prompts) == len(keys):
            raise InputError(
                f"{len(left)} left and {len(right)} right pictures, {len(prompts)} prompts and "
                f"{len(keys)} keys do not make pairs; give one of each per pair."
            )
        return self.judge_seen(ingredients(left, prompts), ingredients(right, prompts), keys)

    def judge_seen(
        self, left: Ingredients, right: Ingredients, keys: Sequence[int]
    ) -> list[Judgement]:
        """`judge_many` of pictures whose `ingredients` are known."""
        weights = (self.alignment, self.saturation, self.centring)
        delta_M = np.array(weights) @ (np.stack(left) - np.stack(right))
        better_M = np.maximum(left[0], right[0])
        return [
            self._answer(float(delta), float(best), key)
            for delta, best, key in zip(delta_M, better_M, keys, strict=True)
        ]

    def judge_shuffled(
        self, a: Images, b: Images, prompts: Sequence[str], keys: Sequence[int]
    ) -> list[tuple[Judgement, Side]]:
        """`judge_many` where each key also draws which of the two stands on the left."""
        draws = [np.random.default_rng([self.seed, key]).integers(2) for key in keys]
        is_b_left = np.array(draws, dtype=bool)[:, None, None, None]
        left, right = np.where(is_b_left, b, a), np.where(is_b_left, a, b)
        judged = self.judge_many(left, right, prompts, keys)
        return [(said, "b" if draw else "a") for said, draw in zip(judged, draws, strict=True)]

    def _answer(self, delta: float, best: float, key: int) -> Judgement:
        rng = np.random.default_rng([self.seed, key, 0x1ABE1])
        felt = delta + self.side_bias + self.noise * rng.logistic()
        hesitation = 0.7 + 1.3 * np.exp(-abs(delta) / 2)
        seconds = float(self.pace * hesitation * np.exp(0.25 * rng.standard_normal()))
        lapsed, coin = rng.random() < self.lapse, rng.random() < 0.5
        if lapsed:
            return Judgement("left" if coin else "right", seconds)
        if abs(felt) <= self.threshold:
            return Judgement("both_bad" if best < BAD else "tie", seconds)
        return Judgement("left" if felt > 0 else "right", seconds)


def annotators(num: int, seed: int, tastes: int = 1) -> list[Annotator]:
    """`num` different people, the same ones for the same seed; of two tastes every other one has
    the second."""
    people = [Annotator.from_seed(seed * 1000 + i) for i in range(num)]
    return [one.of_second_taste() if i % tastes else one for i, one in enumerate(people)]


def utility(images: Images, prompts: Sequence[str]) -> Floats:
    """The average person's u of each picture, as written above. (B,)"""
    return average(ingredients(images, prompts))


def average(seen: Ingredients) -> Floats:
    """`utility` of pictures whose `ingredients` are known. (B,)"""
    align, saturated, centred = seen
    return np.asarray(ALIGNMENT * align + SATURATION * saturated + CENTRING * centred)


def ingredients(images: Images, prompts: Sequence[str]) -> Ingredients:
    """V, S and C of each picture, (B,) each in [0, 1]."""
    from backend.pocket import verifier

    align = verifier.score(images, list(prompts))["total"].astype(np.float64)
    return align, _statistics.saturation(images), _statistics.centring(images)


def scores(images: Images, prompts: Sequence[str], tastes: Sequence[Taste] = ("first",)) -> Scores:
    """The average person's u as a reward, its three terms as parts; of several tastes the mean."""
    weights = np.mean([_WEIGHTS[taste] for taste in tastes], axis=0)
    names = ("alignment", "saturation", "centring")
    seen = zip(names, weights, ingredients(images, prompts), strict=True)
    terms = {name: weight * value for name, weight, value in seen}
    return Scores.of(sum(terms.values()), terms)


_WEIGHTS: Final[dict[Taste, tuple[float, float, float]]] = {
    "first": (ALIGNMENT, SATURATION, CENTRING),
    "second": (SECOND[0] * ALIGNMENT, SECOND[1] * SATURATION, SECOND[2] * CENTRING),
}
