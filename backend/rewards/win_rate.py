"""Win rate among siblings under a judge: how often a picture beats the others of its group.

    w_i = mean over siblings j ≠ i of p(i preferred to j)

With a pairwise judge p is its verdict; with `rounds` it judges some of the pairs only, and the rest
of the mean is what a Bradley–Terry fit expects (`_pairings`). With a pointwise reward as the judge
p = σ((r_i − r_j) / temperature), so that a reward's size stops mattering and only who beats whom
inside the group does. The values compare inside the group only: compose them with `relative`, never
divide them by their spread again.

A verdict of ½ is a tie. One that failed or could not be read is missing, never ½: silence would
otherwise pass for a judge who sees no difference. Whom a picture meets, and who is seen first, is
drawn from the seed and the group's own pixels, so a group's rates are the same in any company.

Source: Pref-GRPO (arXiv 2508.20751). Departures: the paper judges every pair once, lower index
first, and counts what it cannot read as a tie; a judge that always prefers the first picture then
rewards by index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from backend import registry
from backend.config import Config as Settings
from backend.errors import ConfigError
from backend.rewards import _pairings
from backend.rewards._traits import Traits
from backend.rewards.interface import (
    Checked,
    CheckedPairs,
    Files,
    Floats,
    Images,
    Ints,
    Scores,
    Shape,
    by_prompt,
    checked,
)

TITLE = "Win rate"
SUMMARY = (
    "How often a picture beats its siblings under a judge; only the order counts, not the size."
)
SOURCE = "Wang et al. 2025, Pref-GRPO (arXiv 2508.20751)"
RANGE = (0.0, 1.0)
SMALLEST = 4
"""Groups of fewer cannot be told from a coin: even a perfect order of three spreads no wider."""
SHAPE: Shape = "groupwise"
TRAITS = Traits(latency=5, deterministic=False, comparable=False, licence="of the judge")


class Config(Settings):
    """Who judges, how often, and how sharply."""

    judge: str = Field(default="pocket-verifier", title="Judge")
    """Another reward, pairwise or pointwise, that says which of two siblings is better."""
    judge_config: dict[str, Any] = Field(default_factory=dict, title="Judge's settings")
    """Settings of the judge."""
    order: Literal["random", "both"] = Field(default="random", title="Order")
    """For a pairwise judge: show each pair once in random order, which a judge's liking for the
    first picture turns into noise, or in both orders and take the mean, which cancels it and costs
    twice the calls."""
    rounds: int = Field(default=0, ge=0, title="Rounds")
    """For a pairwise judge: how many siblings each picture meets; the others are inferred. 0 is all
    of them, as in the paper: 66 pairs for a group of 12, where 4 rounds are 24."""
    temperature: float = Field(default=0.25, gt=0, title="Temperature")
    """For a pointwise judge: the difference that wins 73 times in 100, in the judge's unit."""
    coin_gate: Literal["complete", "always", "never"] = Field(
        default="complete", title="Leave out what a coin could say"
    )
    """For a pairwise judge: a group whose verdicts spread its rates no more than a coin's does not
    count, since dividing by so small a spread makes noise as large as a signal. complete: where
    all pairs are judged; always: with fewer rounds too, which then cost many groups."""
    seed: int = Field(default=0, ge=0, title="Seed")
    """Decides who meets whom, and which of a pair a pairwise judge sees first."""


class WinRate:
    """Groupwise; a sample without a single verdict has no value."""

    shape: Shape = "groupwise"

    def __init__(self, config: Config, judge: Checked | CheckedPairs) -> None:
        self.config, self.judge = config, judge

    @property
    def calls(self) -> int:
        """Pairs shown to the judge so far, each order counted; pictures for a pointwise judge."""
        return self.judge.num_judged

    def judge_calls(self, group_sizes: Ints) -> int:
        """What `calls` grows by when groups of these sizes are scored."""
        return _calls(self.config, isinstance(self.judge, CheckedPairs), group_sizes)

    def score(
        self, images: Images, prompts: Sequence[str], groups: Sequence[int] | Ints | None = None
    ) -> Scores:
        """One value per picture, 0 to 1; without `groups`, equal prompts are siblings."""
        group_B = by_prompt(prompts) if groups is None else np.asarray(groups, dtype=np.int64)
        siblings = [np.flatnonzero(group_B == group) for group in np.unique(group_B)]
        drawn = [self._draw(images[inside], prompts[inside[0]]) for inside in siblings]
        ends = np.cumsum([len(first) for first, _ in drawn])
        pairs = zip(siblings, drawn, strict=True)
        first, second = np.concatenate(
            [(inside[one], inside[other]) for inside, (one, other) in pairs], axis=1
        )
        beats = self._verdicts(images, prompts, first, second)
        rate, bouts = np.full(len(prompts), np.nan), np.zeros(len(prompts))
        for inside, bout, verdict in zip(siblings, drawn, np.split(beats, ends[:-1]), strict=True):
            rate[inside], bouts[inside] = _pairings.rates(*bout, verdict, len(inside))
        scores = Scores.of(rate, {"bouts": bouts}, why="no verdict on any pair of this sample")
        if isinstance(self.judge, CheckedPairs):
            told = zip(first.tolist(), second.tolist(), beats.tolist(), strict=True)
            scores.bouts.extend(one for one in told if np.isfinite(one[2]))
        for inside, bout, verdict in zip(siblings, drawn, np.split(beats, ends[:-1]), strict=True):
            if len(inside) == 1:
                _leave_out(scores, inside, "no sibling to be compared with")
            elif self._is_a_coin(bout, verdict, len(inside)):
                _leave_out(scores, inside, "the judge's verdicts spread no more than a coin's")
        return scores

    def _is_a_coin(self, bout: tuple[Ints, Ints], verdict: Floats, num: int) -> bool:
        """Whether the verdicts of a group tell no more than a coin would."""
        complete = len(bout[0]) == num * (num - 1) // 2
        gated = {"complete": complete, "always": True, "never": False}[self.config.coin_gate]
        if isinstance(self.judge, Checked) or not gated or num < SMALLEST:
            return False
        return _pairings.spread(*bout, verdict, num) < _pairings.coin_mark(num, self.config.rounds)

    def _draw(self, images: Images, prompt: str) -> tuple[Ints, Ints]:
        """The bouts of one group as indices into it, in the order in which they are shown."""
        pairwise = isinstance(self.judge, CheckedPairs)
        one, other = _pairings.schedule(len(images), self.config.rounds if pairwise else 0)
        content = hashlib.blake2b(images.tobytes() + prompt.encode(), digest_size=16).digest()
        rng = np.random.default_rng([self.config.seed, int.from_bytes(content)])
        seat = rng.permutation(len(images))
        turned = rng.random(len(one)) < 0.5
        return seat[np.where(turned, other, one)], seat[np.where(turned, one, other)]

    def _verdicts(
        self, images: Images, prompts: Sequence[str], first: Ints, second: Ints
    ) -> Floats:
        """How likely `first` beats `second`, NaN where the judge did not say. (M,)"""
        if isinstance(self.judge, Checked):
            value = np.full(len(prompts), np.nan)
            met = np.unique(np.concatenate([first, second]))
            value[met] = self.judge.score(images[met], [prompts[i] for i in met]).values
            apart = (value[first] - value[second]) / self.config.temperature
            return np.asarray((1 + np.tanh(apart / 2)) / 2)  # σ, without its overflow
        shown = [prompts[i] for i in first]
        if self.config.order == "random":
            return self.judge.compare(images[first], images[second], shown).prefer_a
        one, other = np.concatenate([first, second]), np.concatenate([second, first])
        said = self.judge.compare(images[one], images[other], shown + shown).prefer_a
        return np.asarray((said[: len(first)] + 1 - said[len(first) :]) / 2)


def _leave_out(scores: Scores, inside: Ints, reason: str) -> None:
    """These samples have no value, and none was owed."""
    scores.values[inside] = np.nan
    for i in inside.tolist():
        scores.status[i], scores.reasons[i] = "n/a", reason


def judge_calls(config: Config, group_sizes: Ints) -> int:
    """As `WinRate.judge_calls`, before anything is loaded: a pairwise judge's file says so."""
    judge = registry.rewards.get(config.judge)
    return _calls(config, getattr(judge, "SHAPE", "pointwise") == "pairwise", group_sizes)


def _calls(config: Config, pairwise: bool, group_sizes: Ints) -> int:
    """Pictures that have siblings, or the bouts of each group in one order or both."""
    if not pairwise:
        return int(group_sizes[group_sizes > 1].sum())
    bouts = int(_pairings.num_bouts(group_sizes, config.rounds).sum())
    return 2 * bouts if config.order == "both" else bouts


def load(config: Config, files: Files | None = None) -> WinRate:
    """Load the judge; a win rate cannot judge a win rate."""
    kind = registry.rewards.get(config.judge)
    if kind.__name__ == __name__:
        raise ConfigError("A win rate cannot be its own judge; choose another.", field="judge")
    judge = kind.load(kind.Config.read(config.judge_config), files)
    if judge.shape == "groupwise":
        raise ConfigError(
            f"'{config.judge}' already compares inside the group; a win rate needs a pairwise or "
            f"pointwise judge.",
            field="judge",
        )
    return WinRate(config, checked(judge, config.judge))
