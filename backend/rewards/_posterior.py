"""What people's answers say of a linear reward: fitted in milliseconds, judged on prompts left out.

    posterior = fit(labels, block, prior)                   # from nothing
    posterior = fit(more, block, prior, start=posterior)    # after one more answer: a few ms
    held = CrossFit(block, prior, seed=0).all(labels)       # each pair by a fit without its prompt

The model is that of `backend.preferences.annotators`: Bradley–Terry with Rao–Kupper ties on
differences of features, each person's sharpness, lapses and lean to a side beside it; of one person
alone, or where all count alike, one common lean (`_bradley_terry`). θ is Gaussian around `prior`,
with one precision a block of features, by the evidence.

Pairs are predicted by the posterior's own doubt, too: with v the variance of Δ,
P(a preferred | decided) = σ(Δ / √(1 + πv/8) / T), ties left out, T one temperature.
*Tried and not kept*: leaving a prompt out by one Newton step instead of a fit. It agrees with
refits where all count alike, and flatters by .02 where people are modelled: their numbers saw it.

Letters: M pairs, F features, D = F and the sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from backend.preferences import annotators
from backend.preferences.annotators import WEIGH, Crowd, Weigh
from backend.rewards import _bradley_terry as bt
from backend.rewards.interface import Bools, Floats, Ints

MOST_MODELLED: Final = 200
"""Annotators a model of people is fitted to; of more, all count alike."""
FOLDS: Final = 5


@dataclass(frozen=True)
class Labels:
    """Pairs as differences of features, with what was said of them."""

    x: Floats
    """(M, F) features of a minus those of b."""
    outcome: Ints
    """(M,) 1: a was preferred, 0: neither, −1: b."""
    side: Floats
    """(M,) 1 where a stood on the left, −1 where b did."""
    who: Ints
    """(M,) whose answer."""
    prompt: Ints
    """(M,) which prompt."""
    of_b: Floats
    """(M, F) features of b, for heads that are not linear in them."""

    def take(self, pick: Ints) -> Labels:
        """Some of them."""
        return Labels(*(getattr(self, name)[pick] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Held:
    """What fits that did not see a pair's prompt say of it. (M,) each."""

    delta: Floats
    variance: Floats
    tie: Floats

    def take(self, pick: Bools) -> Held:
        """Some of them."""
        return Held(self.delta[pick], self.variance[pick], self.tie[pick])


@dataclass(frozen=True)
class Posterior:
    """θ of the reward, how sure it is, and the people it was learned from."""

    theta: Floats
    """(F,)"""
    covariance: Floats
    """(F, F)"""
    tie: float
    precision: Floats
    """(D,) of the prior, the sides last."""
    lean: float
    """The middle person's pull to the left picture, in units of choice noise."""
    crowd: Crowd | None
    """None where all answers count alike."""


def fit(
    labels: Labels,
    block: Ints,
    prior: Floats,
    *,
    weigh: Weigh = WEIGH,
    start: Posterior | None = None,
) -> Posterior:
    """The posterior of these labels. `block` and `prior` are (F,); `start` must be of as many."""
    if weigh == "people" and 2 <= len(np.unique(labels.who)) <= MOST_MODELLED:
        crowd = annotators.fit(
            labels.x, labels.outcome, labels.side, labels.who, block, mean_D=prior,
            start=start.crowd if start else None,
        )  # fmt: skip
        lean = float(np.median(crowd.side))
        return Posterior(crowd.theta, crowd.covariance, crowd.tie, crowd.precision, lean, crowd)
    x = np.hstack([labels.x, labels.side[:, None]])
    blocks, mean = np.append(block, block.max(initial=0) + 1), np.append(prior, 0.0)
    begin = None
    if start is not None and start.crowd is None:
        theta = np.append(start.theta, start.lean)
        begin = bt.Posterior(theta, np.eye(len(theta)), start.tie, start.precision)
    rounds = 8 if begin is None else 1
    found = bt.fit(
        x, labels.outcome, blocks, mean_D=mean, start=begin, before=bt.CAREFUL, rounds=rounds
    )
    theta, lean = found.theta[:-1], float(found.theta[-1])
    return Posterior(theta, found.covariance[:-1, :-1], found.tie, found.precision, lean, None)


class CrossFit:
    """Each pair predicted by a fit to the pairs of other prompts, in five folds of prompts.

    Prompts are dealt to folds by their number and the seed, so that more labels move no prompt.
    `all` fits every fold; `turn` refits one, the next in turn, from where it was, and predicts with
    what the others knew a few labels ago: none has seen its own prompts, so that is no less honest.
    """

    def __init__(self, block: Ints, prior: Floats, *, seed: int, weigh: Weigh = WEIGH) -> None:
        self.block, self.prior, self.seed, self.weigh = block, prior, seed, weigh
        self.fits: list[Posterior | None] = [None] * FOLDS
        self.next = 0

    def folds(self, prompt: Ints) -> Ints:
        """(M,) the fold of each pair."""
        return np.asarray(_dealt(int(prompt.max(initial=0)) + 1, self.seed)[prompt])

    def all(self, labels: Labels) -> Held:
        """Every fold fitted."""
        fold = self.folds(labels.prompt)
        for k in range(FOLDS):
            self._fit(labels, fold, k)
        return self.held(labels)

    def turn(self, labels: Labels) -> Held:
        """The next fold fitted."""
        self._fit(labels, self.folds(labels.prompt), self.next)
        self.next = (self.next + 1) % FOLDS
        return self.held(labels)

    def held(self, labels: Labels) -> Held:
        """What each fold says of its own pairs, the side left out."""
        fold = self.folds(labels.prompt)
        found = Held(np.zeros(len(fold)), np.zeros(len(fold)), np.zeros(len(fold)))
        for k, fitted in enumerate(self.fits):
            mine, x = fold == k, labels.x[fold == k]
            if fitted is None:
                found.delta[mine] = x @ self.prior
                continue
            found.delta[mine] = x @ fitted.theta
            found.variance[mine] = np.einsum("md,de,me->m", x, fitted.covariance, x)
            found.tie[mine] = fitted.tie
        return found

    def _fit(self, labels: Labels, fold: Ints, k: int) -> None:
        others = np.flatnonzero(fold != k)
        if len(others):
            self.fits[k] = fit(
                labels.take(others), self.block, self.prior, weigh=self.weigh, start=self.fits[k]
            )


def sureness(held: Held, temperature: float = 1.0) -> Floats:
    """P(a preferred | decided) of each pair. (M,)"""
    shrunk = held.delta / np.sqrt(1 + np.pi * held.variance / 8) / temperature
    a = 1 / (1 + np.exp(-np.clip(shrunk - held.tie, -500, 500)))
    b = 1 / (1 + np.exp(-np.clip(-shrunk - held.tie, -500, 500)))
    return np.asarray(a / (a + b))


def temperature_of(held: Held, won: Bools, weight: Floats | None = None) -> float:
    """The temperature under which these decided pairs were likeliest; ¼ to 4."""
    low, high, golden = np.log(0.25), np.log(4.0), (5**0.5 - 1) / 2

    def loss(log: float) -> float:
        sure = sureness(held, float(np.exp(log)))
        right = np.log(np.clip(np.where(won, sure, 1 - sure), 1e-9, 1))
        return float(-np.average(right, weights=weight))

    for _ in range(25):
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return float(np.exp((low + high) / 2))


@lru_cache(maxsize=64)
def _dealt(num: int, seed: int) -> Ints:
    """The fold of each prompt: every five consecutive prompts go to five different folds."""
    blocks = -(-num // FOLDS)
    orders = [np.random.default_rng([seed, 0xF01D, i]).permutation(FOLDS) for i in range(blocks)]
    return np.concatenate([*orders, np.zeros(0, np.int64)])[:num].astype(np.int64)
