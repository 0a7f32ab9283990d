"""Learning from people who differ: how sharp, how absent and how biased each annotator is.

The reward's own model of an answer (`backend/rewards/_bradley_terry`: Δ = θ·(x_a − x_b), ties by
Rao and Kupper) with three numbers more for every annotator k:

    u = γ_k Δ + δ_k · side                      side: +1 where a stood on the left, −1 where b did
    P(a) = ε_k / 2 + (1 − ε_k) σ(u − l)         P(b) likewise,  P(tie) the rest
    γ sharpness, ln γ ~ N(0, ¼²), 1 in the middle of all people       δ side bias, ~ N(0, 1)
    ε lapse rate, Beta(1.5, 9): with this chance left or right is pressed without looking

Fitted together with θ by expectation and maximisation (Dempster et al. 1977): r, the chance that a
label was a lapse given all else, then θ and δ with weights 1 − r, then γ, then ε; when these stand
still, l and the precisions of θ by the evidence, and again. Someone who always chooses left gets a
large δ, after which their answers have little left to say; someone absent two times in five gets a
large ε, and those answers that contradict the rest count least.
Source: annotators with their own confusion, Dawid and Skene 1979; reliability in Bradley–Terry,
Chen et al. 2013 (Crowd-BT), here with lapses and sides.

`label_weights` is the other way: no model of people, only the running mean and deviation of each
label's loss (ReSURE, Du et al. 2025, arXiv 2508.19996: Welford's statistics online; the weight
below is ours, as the paper's formula was not to be had).

Letters: M labels, D features (without side), K annotators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from backend.errors import InputError
from backend.rewards import _bradley_terry as bt
from backend.rewards.interface import Floats, Ints

Weigh = Literal["people", "alike"]
"""How annotators count where a reward is learned: by a model of them, fitted anew to whatever the
reward is fitted to, or all alike."""
WEIGH: Final[Weigh] = "people"
SHARPNESS_SD: Final = 0.25
"""Of ln γ between people; a wider one costs accuracy where people are alike and labels few."""
LAPSE: Final = (1.5, 9.0)
"""Beta prior of ε, with its mode at .06."""
SIDE_PRECISION: Final = 1.0
ROUNDS: Final = 40
STEPS: Final = 2
"""Rounds of a fit that goes on from another: enough for a label more, at every label."""
TURNS: Final = 6
"""How often l and the precisions are fitted anew, at most."""
WARM_UP: Final = 100
TOLERANCE: Final = 2e-3
"""Of θ, γ and ε, in units of choice noise: under it nothing moves any more."""
_SHARPNESS: Final = (0.1, 10.0)


@dataclass(frozen=True)
class Crowd:
    """What the labels say of the reward and of those who gave them."""

    annotators: Ints
    """(K,) their ids."""
    theta: Floats
    """(D,)"""
    covariance: Floats
    """(D, D) of θ, the annotators' numbers held fixed."""
    tie: float
    precision: Floats
    """(D + K,) of the prior of θ and of the sides."""
    sharpness: Floats
    """(K,) γ."""
    lapse: Floats
    """(K,) ε."""
    side: Floats
    """(K,) δ, positive towards the left."""
    lapsed: Floats
    """(M,) chance that the label was a lapse."""
    information: Floats
    """(K,) what an answer of theirs tells about Δ, relative to somebody in the middle, γ = 1,
    who never lapses and leans to no side."""

    def label_weights(self, annotator_M: Ints) -> Floats:
        """For trainings that know nothing of people: (1 − r) · information, scaled to a mean of 1.
        (M,)"""
        place = np.searchsorted(self.annotators, annotator_M)
        weight = (1 - self.lapsed) * self.information[place]
        return np.asarray(weight / max(weight.mean(), 1e-12))


def fit(
    x_MD: Floats,
    outcome_M: Ints,
    side_M: Floats,
    annotator_M: Ints,
    block_D: Ints,
    *,
    mean_D: Floats | None = None,
    weight_M: Floats | None = None,
    start: Crowd | None = None,
) -> Crowd:
    """θ and each annotator's sharpness, lapse rate and side bias.

    x_MD: differences x_a − x_b; outcome 1, 0, −1: a, tie, b; block and mean as for `bt.fit`.
    start: a fit of nearly the same labels, from which to go on; new people begin in the middle.
    """
    if not len(x_MD) == len(outcome_M) == len(side_M) == len(annotator_M):
        raise InputError(
            f"{len(x_MD)} differences, {len(outcome_M)} outcomes, {len(side_M)} sides and "
            f"{len(annotator_M)} annotators do not make labels; give one of each per label."
        )
    ids, who = np.unique(annotator_M, return_inverse=True)
    size, num_features = len(ids), x_MD.shape[1]
    given = np.ones(len(x_MD)) if weight_M is None else weight_M
    sides = np.zeros((len(x_MD), size))
    sides[np.arange(len(who)), who] = side_M
    mean = np.append(np.zeros(num_features) if mean_D is None else mean_D, np.zeros(size))
    block = np.append(block_D, block_D.max(initial=0) + 1 + np.arange(size))
    if start is None:
        both = np.hstack([x_MD, sides])
        begun = bt.fit(both, outcome_M, block, mean_D=mean, weight_M=given, before=bt.CAREFUL)
        value, tie, precision = begun.theta, begun.tie, begun.precision
        sharpness, lapse = np.ones(size), np.full(size, LAPSE[0] / sum(LAPSE))
    else:
        value, sharpness, lapse = _go_on(start, ids)
        tie, precision = start.tie, start.precision
    precision = np.append(precision[:num_features], np.full(size, SIDE_PRECISION))
    lapsed = np.zeros(len(x_MD))
    any_tie = bool((outcome_M == bt.TIE).any())
    for _ in range(TURNS if start is None else 1):
        for _ in range(ROUNDS if start is None else STEPS):
            before = np.concatenate([value, sharpness, lapse])
            pull = x_MD @ value[:num_features]
            lean = value[num_features:][who] * side_M
            lapsed = _lapsed(sharpness[who] * pull + lean, outcome_M, tie, lapse[who])
            kept = given * (1 - lapsed)
            x = np.hstack([sharpness[who][:, None] * x_MD, sides])
            value, expected = bt.mode(x, outcome_M, precision, mean, value, tie, kept)
            pull = x_MD @ value[:num_features]
            lean = value[num_features:][who] * side_M
            sharpness = _sharpen(sharpness, pull, lean, outcome_M, tie, kept, who)
            total = np.bincount(who, given, size)
            absent = np.bincount(who, given * lapsed, size)
            lapse = (absent + LAPSE[0] - 1) / (total + sum(LAPSE) - 2)
            if np.abs(np.concatenate([value, sharpness, lapse]) - before).max() < TOLERANCE:
                break
        if any_tie:
            tie = bt.fit_tie(sharpness[who] * pull + lean, outcome_M, given * (1 - lapsed))
        fresh = bt.evidence_step(value - mean, expected, precision, block, bt.CAREFUL)
        fresh[num_features:] = SIDE_PRECISION
        done = np.abs(np.log(fresh / precision)).max() < 0.05
        precision = fresh
        if done:
            break
    felt = sharpness[who] * pull + lean
    covariance = _covariance(x, given, lapsed, felt, outcome_M, tie, precision)
    middle = float(np.median(sharpness))
    theta, side = middle * value[:num_features], value[num_features:]
    sharpness = sharpness / middle
    return Crowd(
        annotators=ids.astype(np.int64),
        theta=theta,
        covariance=middle**2 * covariance[:num_features, :num_features],
        tie=tie,
        precision=precision,
        sharpness=sharpness,
        lapse=lapse,
        side=side,
        lapsed=lapsed,
        information=_information(x_MD @ theta, sharpness, lapse, side),
    )


def _go_on(start: Crowd, ids: Ints) -> tuple[Floats, Floats, Floats]:
    """θ with sides, sharpness and lapse rates of these people as they were at `start`."""
    size = len(ids)
    sharpness, lapse = np.ones(size), np.full(size, LAPSE[0] / sum(LAPSE))
    side = np.zeros(size)
    _, mine, theirs = np.intersect1d(ids, start.annotators, return_indices=True)
    sharpness[mine], lapse[mine] = start.sharpness[theirs], start.lapse[theirs]
    side[mine] = start.side[theirs]
    return np.append(start.theta, side), sharpness, lapse


def label_weights(
    loss_M: Floats, annotator_M: Ints | None = None, *, warm_up: int = WARM_UP
) -> Floats:
    """How far each label is to be believed, by its loss against the losses so far. (M,)

    w = 1 if ℓ ≤ m + s, else exp(−(ℓ − m − s) / s), with m and s the mean and the standard deviation
    of the losses before this one (Welford 1962), of the same annotator where those are given; 1
    until `warm_up` of them were seen. Losses come in the order of the labels and should be those of
    a model that has not learned from the label itself.
    Example: losses .5 ± .1 (m ± s) so far: .6 → 1, .7 → e⁻¹, .9 → e⁻³.
    """
    loss = np.asarray(loss_M, dtype=np.float64)
    who = np.zeros(len(loss), np.int64) if annotator_M is None else np.asarray(annotator_M)
    order = np.argsort(who, kind="stable")
    starts = np.append(True, who[order][1:] != who[order][:-1])[: len(loss)]
    first = np.flatnonzero(starts)[np.cumsum(starts) - 1] if len(loss) else np.zeros(0, np.int64)
    seen = np.arange(len(loss)) - first
    centred = loss[order] - (loss.mean() if len(loss) else 0.0)  # keeps the squares exact
    mean, square = (_before(x, first) / np.maximum(seen, 1) for x in (centred, centred**2))
    spread = np.sqrt(np.maximum(square - mean**2, 0.0) * seen / np.maximum(seen - 1, 1))
    beyond = (centred - mean - spread) / np.maximum(spread, 1e-9)
    weight = np.ones(len(loss))
    weight[order] = np.where(seen < max(warm_up, 2), 1.0, np.exp(-np.maximum(beyond, 0.0)))
    return weight


def losses(delta_M: Floats, outcome_M: Ints, tie: float) -> Floats:
    """−ln P of each label under the reward's model, (M,): what `label_weights` takes."""
    return np.asarray(-bt.log_likelihood(delta_M, outcome_M, tie))


# ---------------------------------------------------------------- parts


def _before(values: Floats, first: Ints) -> Floats:
    """Sum of the values of the same group that come before each one; groups start at `first`."""
    total = np.append(0.0, np.cumsum(values))[:-1]
    return np.asarray(total - total[first])


def _lapsed(u_M: Floats, outcome_M: Ints, tie: float, lapse_M: Floats) -> Floats:
    """P(lapse | answer); lapses press left or right, so a tie is none."""
    meant = (1 - lapse_M) * np.exp(bt.log_likelihood(u_M, outcome_M, tie))
    return np.where(outcome_M == bt.TIE, 0.0, lapse_M / 2 / (lapse_M / 2 + meant + 1e-300))


def observed(lapsed_M: Floats, u_M: Floats, outcome_M: Ints, tie: float) -> tuple[Floats, Floats]:
    """Slope and curvature of ln P of each answer in u, lapses averaged over: (M,) each.

    With r the chance of a lapse and a, c those of an answer that was meant: (1 − r) a, and
    (1 − r) c − r (1 − r) a², which may be below 0: an answer that surprises may be no answer.
    """
    slope, curve = bt.gradient(u_M, outcome_M, tie), bt.curvature(u_M, outcome_M, tie)
    meant = 1 - lapsed_M
    return meant * slope, meant * curve - lapsed_M * meant * slope**2


def _covariance(
    x: Floats,
    given: Floats,
    lapsed: Floats,
    felt: Floats,
    outcome: Ints,
    tie: float,
    precision: Floats,
) -> Floats:
    """Inverse of the posterior's bend at its top, or of the expected one where that is no top."""
    curve = given * observed(lapsed, felt, outcome, tie)[1]
    bend = (x * curve[:, None]).T @ x + np.diag(precision)
    try:
        np.linalg.cholesky(bend)
    except np.linalg.LinAlgError:
        curve = given * (1 - lapsed) * bt.curvature(felt, outcome, tie)
        bend = (x * curve[:, None]).T @ x + np.diag(precision)
    return np.asarray(np.linalg.inv(bend))


def _sharpen(
    sharpness: Floats,
    pull_M: Floats,
    lean_M: Floats,
    outcome_M: Ints,
    tie: float,
    kept_M: Floats,
    who: Ints,
) -> Floats:
    """One Newton step of each ln γ, at most ½ long."""
    felt = sharpness[who] * pull_M
    slope = kept_M * bt.gradient(felt + lean_M, outcome_M, tie) * felt
    p, even, q = bt.probabilities(felt + lean_M, tie)
    # Fisher's information of an answer about u: the square of the gradient, on average.
    curve = p * (1 - p) ** 2 + q * (1 - q) ** 2 + even * (q - p) ** 2
    bend = kept_M * curve * felt**2
    size, prior = len(sharpness), 1 / SHARPNESS_SD**2
    log = np.log(sharpness)
    step = np.bincount(who, slope, size) - prior * log
    step /= np.bincount(who, bend, size) + prior
    return np.asarray(np.clip(np.exp(log + np.clip(step, -0.5, 0.5)), *_SHARPNESS))


def _information(delta_M: Floats, sharpness: Floats, lapse: Floats, side: Floats) -> Floats:
    """Mean over the pairs, either way round, of (dP/dΔ)² / P(1 − P), as a share of that
    of somebody with γ = 1, ε = δ = 0.
    """

    def mean(gamma: float, absent: float, lean: float) -> float:
        u = gamma * np.append(delta_M, -delta_M) + lean
        sure = 1 / (1 + np.exp(-np.clip(u, -500, 500)))
        p = absent / 2 + (1 - absent) * sure
        slope = (1 - absent) * gamma * sure * (1 - sure)
        return float((slope**2 / np.maximum(p * (1 - p), 1e-12)).mean())

    ideal = max(mean(1.0, 0.0, 0.0), 1e-12)
    people = zip(sharpness, lapse, side, strict=True)
    return np.array([mean(*map(float, person)) / ideal for person in people])
