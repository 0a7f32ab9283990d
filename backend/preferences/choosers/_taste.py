"""What the labels so far say of taste: the learned reward's own posterior, for open pairs.

It is fitted without weights 1 / propensity: the answer is modelled given the features, by which
pairs were chosen, so weights would add noise and correct nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.preferences.choosing import Known
from backend.rewards import _bradley_terry as bt
from backend.rewards import learn
from backend.rewards.interface import Floats


@dataclass(frozen=True)
class Taste:
    """Of the open pairs' Δ = θ·x, the side left out."""

    x: Floats
    """(N, F) differences of features."""
    mean: Floats
    variance: Floats
    """(N,)"""
    covariance: Floats
    """(F, F) of θ."""

    @property
    def preferred(self) -> Floats:
        """P(a preferred), moderated by the variance: σ(m / √(1 + πv/8)) (MacKay 1992). (N,)"""
        shrunk = self.mean / np.sqrt(1 + np.pi * self.variance / 8)
        return bt.probabilities(shrunk, 0.0)[0]


def taste(known: Known) -> Taste:
    """The posterior of the labels so far."""
    block, prior = learn.prior_of(known.block)
    asked = learn.differences(known.features, known.label_a, known.label_b, known.side)
    said = bt.fit(asked, known.outcome, block, mean_D=prior)
    theta, covariance = said.theta[:-1], said.covariance[:-1, :-1]
    x = known.features[known.a] - known.features[known.b]
    return Taste(x, x @ theta, np.einsum("nf,fg,ng->n", x, covariance, x), covariance)
