"""A reward learned from people's pairs: quick, small, and honest about what it does not know.

    data = PairData.of(images, prompts, answers)
    reward, figures = fit(data, seed=0)         # 400 pairs: well under a second
    reward.score(images, prompts).values        # mean 0, standard deviation 1 on `data`'s samples
    reward.save(path); load(path)               # safetensors, the same bits back

Features (`_features`) come from a frozen encoder and plain statistics. On their differences stands
a head (`_heads`): `bayes`, a Bayesian logistic fit with ties and a model of the people
(`_posterior`), or `neural`, an ensemble of small networks for many pairs. Before the first label
the Bayesian one is the encoder's own likeness, the stock reward.

    value = (m − m₀) / s₀ − caution · (sd − d₀) / s₀

with m and sd what the head says of a sample and how unsure it is, and m₀, s₀, d₀ their mean, spread
and mean on the samples it was fitted on. `caution` > 0 pays a policy less where the head is unsure,
which is where a learned reward is over-optimised. A sample whose features lie further from those of
the labelled samples than 99 % of these do is not judged at all: "abstain".

Figures (`_figures`) are cross-fitted by prompt: each pair is predicted by a model that saw no pair
of its prompt. They speak of all pairs, so each counts 1 / its propensity.
Letters: S samples, M pairs, F features.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from backend.errors import InputError, RewardError
from backend.preferences.annotators import WEIGH, Weigh
from backend.preferences.intervals import Share
from backend.rewards import _encoders, _features, _figures, _heads, _weights
from backend.rewards._figures import Figures
from backend.rewards._heads import HEAD, Head, HeadName
from backend.rewards._posterior import FOLDS, Labels
from backend.rewards._support import Support
from backend.rewards.interface import Floats, Images, Ints, Scores, Shape

FORMAT: Final = "palate-learned-reward-2"
COMPONENTS: Final = 12
PARTS: Final = (0.125, 0.25, 0.5)
"""Of the labels, at which the learning curve is measured besides its end."""
CAUTION: Final = 0.5
MIN_DECIDED: Final = 20
"""Fewer decided pairs than this teach nothing that an interval could tell from chance."""

Choice = Literal["left", "right", "tie", "both_bad", "skip"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One judgement about samples `a` and `b` (indices into the samples)."""

    a: int
    b: int
    choice: Choice
    shown_left: Literal["a", "b"]
    propensity: float = 1.0
    """How likely the pair was to be asked about, relative to the others."""
    annotator: int = 0
    """Whose judgement it is."""


@dataclass(frozen=True)
class PairData:
    """Samples and what people said of pairs of them."""

    images: Images
    """(S, H, W, 3); samples that no pair names still teach the features."""
    prompts: Sequence[str]
    a: Ints
    b: Ints
    """(M,) indices of the samples; both of a pair belong to one prompt."""
    outcome: Ints
    """(M,) 1: a was preferred, −1: b, 0: neither."""
    side: Floats
    """(M,) +1 where a stood on the left, −1 where b did."""
    weight: Floats | None = None
    """(M,) 1 / propensity; None: all alike. Figures speak of all pairs and use it. The fit does
    not: it models an answer given the features, by which pairs were chosen."""
    annotator: Ints | None = None
    """(M,) ids of who answered; None: not known, all alike."""

    @classmethod
    def of(cls, images: Images, prompts: Sequence[str], answers: Sequence[Answer]) -> PairData:
        """From answers as they are given; skipped pairs are left out, "both bad" is a tie."""
        kept = [answer for answer in answers if answer.choice != "skip"]
        outcome = [0 if k.choice in ("tie", "both_bad") else _toward(k) for k in kept]
        return cls(
            images=images,
            prompts=list(prompts),
            a=np.array([answer.a for answer in kept], dtype=np.int64),
            b=np.array([answer.b for answer in kept], dtype=np.int64),
            outcome=np.array(outcome, dtype=np.int64),
            side=np.array([1.0 if k.shown_left == "a" else -1.0 for k in kept]),
            weight=np.array([1 / answer.propensity for answer in kept]),
            annotator=np.array([answer.annotator for answer in kept], dtype=np.int64),
        )

    def labels(self, features: Floats, prompt_M: Ints) -> Labels:
        """As differences of the samples' features (S, F)."""
        who = np.zeros(len(self.a), np.int64) if self.annotator is None else self.annotator
        x = features[self.a] - features[self.b]
        return Labels(x, self.outcome, self.side, who, prompt_M, features[self.b])


@dataclass
class LearnedReward:
    """A fitted reward: pointwise, deterministic, standardised on the samples it was fitted on."""

    recipe: _features.Recipe
    head: Head
    support: Support
    mean: float
    spread: float
    doubt: float
    """m₀, s₀, d₀ of the module's formula."""
    encoder_name: str
    encoder_version: str
    """Of the encoder whose features were learned from."""
    caution: float = CAUTION
    metadata: dict[str, Any] = field(default_factory=dict)
    shape: Shape = "pointwise"
    _encoder: _encoders.Encoder | None = None

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """One value per picture; parts: `mean`, `sd`, and what each block of features added."""
        features, away = self.recipe.apply(self.encoder(), images, prompts)
        mean, sd = self.head.say(features)
        parts = {
            name: value / self.spread
            for name, value in self.head.parts(features, self.recipe.block).items()
        }
        mean, sd = (mean - self.mean) / self.spread, sd / self.spread
        value = mean - self.caution * (sd - self.doubt / self.spread)
        found = Scores.of(value, {"mean": mean, "sd": sd, **parts})
        for i in np.flatnonzero(self.support.is_off(away)):
            found.values[i], found.status[i] = np.nan, "abstain"
            found.reasons[i] = "unlike the pictures it was learned from"
        return found

    def encoder(self) -> _encoders.Encoder:
        """The frozen encoder, loaded once. Raises RewardError if it is not the one of the fit."""
        if self._encoder is None:
            self._encoder = _encoders.load(self.encoder_name)
            if self._encoder.version != self.encoder_version:
                raise RewardError(
                    f"This reward was learned with another version of the encoder "
                    f"'{self.encoder_name}', whose features mean other things; learn it again."
                )
        return self._encoder

    def to_bytes(self) -> bytes:
        """Weights as one safetensors file, settings as JSON in its header."""
        arrays = {**self.recipe.arrays(), **self.head.arrays(), **self.support.arrays()}
        arrays["base"] = np.array([self.mean, self.spread, self.doubt])
        about = {
            **self.metadata,
            "format": FORMAT,
            "encoder": self.encoder_name,
            "encoder_version": self.encoder_version,
            "head": self.head.name,
            "caution": self.caution,
        }
        return _weights.pack(arrays, about)

    def save(self, path: Path) -> None:
        """Write `to_bytes` to a file."""
        path.write_bytes(self.to_bytes())


def load(path: Path) -> LearnedReward:
    """Read a saved reward; a RewardError says what is wrong with the file."""
    instead = "learn it again from the labels."
    return from_bytes(_weights.read(path, "The learned reward's weights", instead))


def from_bytes(data: bytes) -> LearnedReward:
    """The reward that `to_bytes` wrote."""
    otherwise = (
        "The file is not a learned reward of this version of Palate; learn it again from the "
        "labels."
    )
    arrays, about = _weights.unpack(data, FORMAT, otherwise)
    try:
        mean, spread, doubt = arrays.pop("base")
        head = _heads.of(about.pop("head"), arrays)
        support = Support.of(arrays)
        recipe = _features.Recipe(**arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise RewardError(otherwise) from error
    return LearnedReward(
        recipe=recipe,
        head=head,
        support=support,
        mean=float(mean),
        spread=float(spread),
        doubt=float(doubt),
        encoder_name=about.pop("encoder"),
        encoder_version=about.pop("encoder_version"),
        caution=about.pop("caution"),
        metadata=about,
    )


def fit(
    data: PairData,
    *,
    seed: int,
    encoder: str = _encoders.POCKET,
    head: HeadName = HEAD,
    components: int = COMPONENTS,
    caution: float = CAUTION,
    weigh: Weigh = WEIGH,
) -> tuple[LearnedReward, Figures]:
    """Learn a reward from pairs, and measure it on prompts it has not seen.

    weigh: how the answers of different people count.
    Raises InputError with a sentence when the pairs cannot teach (`prompts_of`).
    """
    started = time.perf_counter()
    prompt_M = prompts_of(data)
    scorer = _encoders.load(encoder)
    recipe, features, away = _features.fit(scorer, data.images, data.prompts, components)
    labels = data.labels(features, prompt_M)
    prior = _features.prior_of(recipe.block)
    fitted = _heads.fit(head, labels, recipe.block, prior, seed=seed, weigh=weigh)
    value, doubt = fitted.say(features)
    reward = LearnedReward(
        recipe=recipe,
        head=fitted,
        support=Support.fit(away),
        mean=float(value.mean()),
        spread=max(float(value.std()), 1e-9),
        doubt=float(doubt.mean()),
        encoder_name=encoder,
        encoder_version=scorer.version,
        caution=caution,
        metadata={"pairs": len(data.a), "samples": len(features), "seed": seed},
        _encoder=scorer,
    )
    measured = _figures.measure(
        _heads.held_out(head, labels, recipe.block, prior, seed=seed, weigh=weigh),
        labels,
        stock=labels.x @ prior,
        curve=_curve(head, labels, recipe.block, seed, weigh, data.weight),
        weight=data.weight,
        ceiling=_figures.repeats(data.a, data.b, data.outcome),
    )
    about: dict[str, Any] = {
        "head": head,
        "side_bias": fitted.lean,
        "tie": fitted.tie,
        "encoder": encoder,
        "seed": seed,
        "seconds": time.perf_counter() - started,
    }
    return reward, Figures(**measured, **about)


def _curve(
    head: HeadName, labels: Labels, block: Ints, seed: int, weigh: Weigh, weight: Floats | None
) -> list[tuple[int, Share]]:
    """Accuracy of heads fitted to the labels of fewer prompts, on those of all other prompts."""
    rng = np.random.default_rng([seed, 0xCE11])
    place = rng.permutation(int(labels.prompt.max()) + 1)[labels.prompt]
    order = np.argsort(place, kind="stable")
    found = []
    for part in PARTS:
        num = round(len(order) * (1 - 1 / FOLDS) * part)
        last = place[order[num - 1]] if num else -1
        some, rest = np.flatnonzero(place <= last), (place > last) & (labels.outcome != 0)
        if not len(some) or not rest.any():
            continue
        prior = _features.prior_of(block)
        fitted = _heads.fit(head, labels.take(some), block, prior, seed=seed, weigh=weigh)
        delta = fitted.compare(labels.take(np.flatnonzero(rest)))[0]
        won = labels.outcome[rest] > 0
        share = _figures.agreement(delta, won, None if weight is None else weight[rest])
        found.append((len(some), share))
    return found


def differences(features: Floats, a_M: Ints, b_M: Ints, side_M: Floats) -> Floats:
    """Pairs as their samples' features apart, and the side. (M, F + 1)"""
    return np.concatenate([features[a_M] - features[b_M], side_M[:, None]], axis=1)


def prior_of(block_F: Ints) -> tuple[Ints, Floats]:
    """Blocks and prior means with the side's own. (F + 1,) each."""
    return np.append(block_F, block_F.max() + 1), np.append(_features.prior_of(block_F), 0.0)


def prompts_of(data: PairData) -> Ints:
    """The prompt of each pair as a number (M,), once the pairs are known to be able to teach.

    Raises InputError with a sentence when they cannot: too few decided, all ties, one prompt only,
    or always the same side.
    """
    decided = int((data.outcome != 0).sum())
    if len(data.a) and decided == 0:
        raise InputError(
            f"All {len(data.a)} answers are ties, so nobody preferred anything; "
            f"label pairs that differ more."
        )
    if decided < MIN_DECIDED:
        raise InputError(
            f"{decided} decided pairs are too few to learn a reward from; "
            f"label at least {MIN_DECIDED} with a left or right answer."
        )
    left = data.outcome * data.side
    if np.unique(left[data.outcome != 0]).size == 1:
        side = "left" if left[data.outcome != 0][0] > 0 else "right"
        raise InputError(
            f"Every one of the {decided} decided answers chose the {side} picture, which says "
            f"nothing about the pictures; label some more with care."
        )
    names = np.array(data.prompts, dtype=object)
    if (names[data.a] != names[data.b]).any():
        raise InputError("A pair compares samples of two prompts; both must have the same prompt.")
    _, prompt_M = np.unique(names[data.a].astype(str), return_inverse=True)
    if prompt_M.max() + 1 < FOLDS:
        raise InputError(
            f"The pairs come from {prompt_M.max() + 1} prompt(s); label pairs of at least {FOLDS} "
            f"prompts, so that the reward can be measured on prompts it has not seen."
        )
    return prompt_M.astype(np.int64)


def _toward(answer: Answer) -> int:
    """1 where the choice fell on a, −1 where it fell on b."""
    return 1 if (answer.choice == "left") == (answer.shown_left == "a") else -1
