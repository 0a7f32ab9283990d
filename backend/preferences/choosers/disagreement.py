"""Pairs about which the reward that the labels teach disagrees with itself.

The learned reward's posterior gives every pair Δ = θ·(x_a − x_b) ~ N(m, v). The utility is how much
the predicted preference varies between the rewards that the labels allow,

    var σ(Δ)

by Gauss–Hermite quadrature. It is large where v is large *and* σ is steep: not where every reward
is sure, and not where all agree that it is a toss-up, which is noise that no label takes away.

The posterior is fitted without weights 1 / propensity: an answer is modelled given the features by
which its pair was chosen, so weights would add noise and correct nothing.
Source: variance across an ensemble chooses the pairs of Christiano et al. 2017 (arXiv 1706.03741);
BALD, which is the same to first order, is of Houlsby et al. 2011 (arXiv 1112.5745).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from backend.preferences.choosing import Known, Need
from backend.rewards import _bradley_terry as bt
from backend.rewards import learn
from backend.rewards.interface import Floats

NAME: Final = "disagreement"
TITLE: Final = "Where the reward is unsure"
SUMMARY: Final = (
    "Pairs about which rewards that fit the labels so far disagree. For a reward from fewer labels."
)
NEEDS: Final[tuple[Need, ...]] = ("labels", "features")
NODES: Final = 24


def utility(known: Known) -> Floats:
    """Variance of the predicted preference. (N,)"""
    mean_N, sd_N = _predicted(known)
    z_Q, weight_Q = np.polynomial.hermite_e.hermegauss(NODES)
    weight_Q = weight_Q / weight_Q.sum()
    p_NQ, _, _ = bt.probabilities(mean_N[:, None] + sd_N[:, None] * z_Q, 0.0)
    away_NQ = p_NQ - (p_NQ @ weight_Q)[:, None]
    return np.asarray(away_NQ**2 @ weight_Q)


def _predicted(known: Known) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the open pairs' Δ, the side left out. (N,) each"""
    block, prior = learn.prior_of(known.block)
    asked = learn.differences(known.features, known.label_a, known.label_b, known.side)
    said = bt.fit(asked, known.outcome, block, mean_D=prior, before=bt.CAREFUL)
    x = known.features[known.a] - known.features[known.b]
    variance = ((x @ said.covariance[:-1, :-1]) * x).sum(axis=1)
    return x @ said.theta[:-1], np.sqrt(np.maximum(variance, 0.0))
