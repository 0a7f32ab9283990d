"""A reward learned from people's pairs: quick, small, and honest about what it does not know.

    data = PairData.of(images, prompts, answers)
    reward, figures = fit(data, seed=0)         # 400 pairs: about a second on two cores
    reward.score(images, prompts).values        # mean 0, standard deviation 1 on `data`'s samples
    reward.save(path); load(path)               # safetensors, the same bits back

Features (`_features`) come from a frozen encoder and plain statistics; on their differences a
Bayesian Bradley–Terry model with ties is fitted (`_bradley_terry`), with a term for the side a
picture was shown on, which is dropped afterwards. The reward is an ensemble: each member is fitted
to prompts drawn with replacement, and the members' disagreement is the reward's uncertainty.

    value = (mean over members − m₀) / s₀ − caution · (sd over members − d₀) / s₀

with m₀, s₀, d₀ from the samples it was fitted on. `caution` > 0 pays a policy less where the
members disagree, which is where a learned reward is over-optimised.

Figures (`_figures`) are cross-fitted by prompt: each pair is predicted by a model that saw no pair
of its prompt. They speak of all pairs, so each counts 1 / its propensity.
Letters: S samples, M pairs, F features, K members.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from backend.errors import InputError, RewardError
from backend.preferences import annotators
from backend.preferences.annotators import WEIGH, Weigh
from backend.rewards import _bradley_terry as bt
from backend.rewards import _encoders, _features, _weights
from backend.rewards._figures import Figures, agreement, calibration, plain
from backend.rewards.interface import Floats, Images, Ints, Scores, Shape

FORMAT: Final = "palate-learned-reward-1"
MEMBERS: Final = 8
COMPONENTS: Final = 12
FOLDS: Final = 5
CAUTION: Final = 0.5
MIN_DECIDED: Final = 20
"""Fewer decided pairs than this teach nothing that an interval could tell from chance."""

Choice = Literal["left", "right", "tie", "both_bad", "skip"]
MOST_MODELLED: Final = 200
"""Annotators a model of people is fitted to; of more, all count alike."""


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


@dataclass
class LearnedReward:
    """A fitted reward: pointwise, deterministic, standardised on the samples it was fitted on."""

    recipe: _features.Recipe
    members: Floats
    """(K, F) weights, one row a member."""
    mean: float
    spread: float
    doubt: float
    """m₀, s₀, d₀ of the module's formula."""
    encoder_name: str
    caution: float = CAUTION
    metadata: dict[str, Any] = field(default_factory=dict)
    shape: Shape = "pointwise"
    _encoder: _encoders.Encoder | None = None

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """One value per picture; parts: `mean`, `sd`, and what each block of features added."""
        features = self.recipe.apply(self.encoder(), images, prompts)
        each_KB = self.members @ features.T / self.spread
        mean, sd = each_KB.mean(axis=0) - self.mean / self.spread, each_KB.std(axis=0)
        theta, block = self.members.mean(axis=0) / self.spread, self.recipe.block
        parts = {
            name: features[:, inside] @ theta[inside]
            for name, blocks in _features.PARTS.items()
            if (inside := np.isin(block, blocks)).any()
        }
        value = mean - self.caution * (sd - self.doubt / self.spread)
        return Scores.of(value, {"mean": mean, "sd": sd, **parts})

    def encoder(self) -> _encoders.Encoder:
        """The frozen encoder, loaded once."""
        if self._encoder is None:
            self._encoder = _encoders.load(self.encoder_name)
        return self._encoder

    def to_bytes(self) -> bytes:
        """Weights as one safetensors file, settings as JSON in its header."""
        arrays = {**self.recipe.arrays(), "members": self.members}
        arrays["base"] = np.array([self.mean, self.spread, self.doubt])
        about = {
            **self.metadata,
            "format": FORMAT,
            "encoder": self.encoder_name,
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
        members, (mean, spread, doubt) = arrays.pop("members"), arrays.pop("base")
        recipe = _features.Recipe(**arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise RewardError(otherwise) from error
    return LearnedReward(
        recipe=recipe,
        members=members,
        mean=float(mean),
        spread=float(spread),
        doubt=float(doubt),
        encoder_name=about.pop("encoder"),
        caution=about.pop("caution"),
        metadata=about,
    )


def fit(
    data: PairData,
    *,
    seed: int,
    encoder: str = _encoders.POCKET,
    members: int = MEMBERS,
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
    recipe, features = _features.fit(scorer, data.images, data.prompts, components)
    problem = _Problem(features, data, prompt_M, recipe.block, seed, weigh)

    theta_KD, tie = problem.ensemble(np.arange(len(data.a)), members)
    weights_KF = theta_KD[:, :-1]
    each_KS = weights_KF @ features.T
    value = each_KS.mean(axis=0)
    reward = LearnedReward(
        recipe=recipe,
        members=weights_KF,
        mean=float(value.mean()),
        spread=max(float(value.std()), 1e-9),
        doubt=float(each_KS.std(axis=0).mean()),
        encoder_name=encoder,
        caution=caution,
        metadata={"pairs": len(data.a), "samples": len(features), "seed": seed},
        _encoder=scorer,
    )
    about: dict[str, Any] = {
        "side_bias": float(theta_KD[:, -1].mean()),
        "tie": tie,
        "members": members,
        "encoder": encoder,
        "seed": seed,
    }
    measured = _measure(problem)
    return reward, Figures(**measured, **about, seconds=time.perf_counter() - started)


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


# ---------------------------------------------------------------- fitting


def differences(features: Floats, a_M: Ints, b_M: Ints, side_M: Floats) -> Floats:
    """What a pair is fitted by: its samples' features apart, and the side. (M, F + 1)"""
    return np.concatenate([features[a_M] - features[b_M], side_M[:, None]], axis=1)


def prior_of(block_F: Ints) -> tuple[Ints, Floats]:
    """Blocks and prior means with the side's own: the encoder's cosine counts 1. (F + 1,) each."""
    block = np.append(block_F, block_F.max() + 1)
    return block, (block == _features.COSINE).astype(np.float64)


class _Problem:
    """The pairs as differences of features, ready to be fitted on any part of them."""

    def __init__(
        self,
        features: Floats,
        data: PairData,
        prompt_M: Ints,
        block_F: Ints,
        seed: int,
        weigh: Weigh = WEIGH,
    ) -> None:
        self.x = differences(features, data.a, data.b, data.side)
        self.outcome, self.prompt, self.seed = data.outcome, prompt_M, seed
        self.weight = np.ones(len(self.x)) if data.weight is None else data.weight
        self.block, self.prior = prior_of(block_F)
        self.annotator = data.annotator if weigh == "people" else None
        self.cosine = self.x[:, :-1][:, block_F == _features.COSINE].sum(axis=1)

    def posterior(self, pick: Ints, trust: Floats | None = None) -> bt.Posterior:
        """The fit to the pairs `pick`; `trust` are the weights of their answers, found if None."""
        trust = self.trust(pick) if trust is None else trust
        return bt.fit(
            self.x[pick], self.outcome[pick], self.block, mean_D=self.prior, weight_M=trust
        )

    def trust(self, pick: Ints) -> Floats:
        """How far each answer among `pick` is to be believed, by a model of those people alone."""
        who = None if self.annotator is None else self.annotator[pick]
        if who is None or not 2 <= len(np.unique(who)) <= MOST_MODELLED:
            return np.ones(len(pick))
        side, x = self.x[pick, -1], self.x[pick, :-1]
        crowd = annotators.fit(
            x, self.outcome[pick], side, who, self.block[:-1], mean_D=self.prior[:-1]
        )
        return crowd.label_weights(who)

    def ensemble(self, pick: Ints, members: int) -> tuple[Floats, float]:
        """Weights (K, D) of members fitted to resampled prompts, and the tie parameter."""
        trust = self.trust(pick)
        whole = self.posterior(pick, trust)
        rng = np.random.default_rng([self.seed, 0xB007])
        prompts, slot = np.unique(self.prompt[pick], return_inverse=True)
        rows = []
        for _ in range(members):
            count = np.bincount(
                rng.integers(len(prompts), size=len(prompts)), minlength=len(prompts)
            )
            theta, _ = bt.mode(
                self.x[pick],
                self.outcome[pick],
                whole.precision,
                self.prior,
                whole.theta,
                whole.tie,
                count[slot] * trust,
            )
            rows.append(theta)
        return np.stack(rows), whole.tie


def _toward(answer: Answer) -> int:
    """1 where the choice fell on a, −1 where it fell on b."""
    return 1 if (answer.choice == "left") == (answer.shown_left == "a") else -1


# ---------------------------------------------------------------- measuring


def _measure(problem: _Problem) -> dict[str, Any]:
    """Everything in `Figures` that comes from held-out predictions."""
    decided = problem.outcome != 0
    won, weight = problem.outcome[decided] > 0, problem.weight[decided]
    delta, sure = _cross_fit(problem, 1.0)
    delta, sure = delta[decided], sure[decided]
    share = agreement(delta, won, weight)
    cosine = agreement(problem.cosine[decided], won, weight)
    chance = np.where(won, sure, 1 - sure)
    bins, ece = calibration(sure, won, weight)
    curve = []
    for part in (0.125, 0.25, 0.5):
        some, _ = _cross_fit(problem, part)
        point = agreement(some[decided], won, weight)
        num = round(len(problem.x) * (1 - 1 / FOLDS) * part)
        curve.append({"pairs": num, **plain(point)})
    curve.append({"pairs": round(len(problem.x) * (1 - 1 / FOLDS)), **plain(share)})
    return {
        **plain(share),
        "pairs": int(decided.sum()),
        "ties": int((~decided).sum()),
        "prompts": int(problem.prompt.max()) + 1,
        "usable": share.low > 0.5,
        "log_loss": float(-np.average(np.log(np.clip(chance, 1e-6, 1)), weights=weight)),
        "log_loss_guessing": float(np.log(2)),
        "calibration": bins,
        "ece": ece,
        "curve": curve,
        "baseline": {"name": "encoder likeness alone", **plain(cosine)},
    }


def _cross_fit(problem: _Problem, part: float) -> tuple[Floats, Floats]:
    """Held-out Δ (M,) and P(a preferred | decided) (M,), learned from `part` of the other prompts.

    The probability is moderated by the posterior's own variance v: σ(Δ / √(1 + πv/8)) (MacKay).
    """
    rng = np.random.default_rng([problem.seed, 0xF01D])
    order = rng.permutation(int(problem.prompt.max()) + 1)
    fold_M = (np.argsort(order) % FOLDS)[problem.prompt]
    delta, sure = np.zeros(len(problem.x)), np.full(len(problem.x), 0.5)
    for fold in range(FOLDS):
        held, train = np.flatnonzero(fold_M == fold), np.flatnonzero(fold_M != fold)
        train = rng.permutation(train)[: max(round(part * len(train)), 1)]
        posterior = problem.posterior(train)
        x = problem.x[held].copy()
        x[:, -1] = 0  # the side a picture was shown on is no part of the reward
        delta[held] = x @ posterior.theta
        variance = np.einsum("md,de,me->m", x, posterior.covariance, x)
        shrunk = delta[held] / np.sqrt(1 + np.pi * variance / 8)
        a, _, b = bt.probabilities(shrunk, posterior.tie)
        sure[held] = a / (a + b)
    return delta, sure
