"""What an answer would tell about the ranking of the sources that the pictures come from.

Sources (checkpoints, as a rule) have strengths s; a pair of sources i and j has the information

    var(s_i − s_j) · p (1 − p)        p = σ(E s_i − E s_j)

so pairs of sources that are little compared and close to each other come first. Strengths are
fitted with weights 1 / propensity, as a ranking speaks of all pairs and not of those asked. Pairs
of one source tell nothing about it and come last.
Source: Bradley and Terry 1952; variance times p (1 − p) is the gain of a label to first order
(Houlsby et al. 2011, arXiv 1112.5745), as in active ranking of arenas.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from backend.preferences.choosing import Known, Need
from backend.rewards import _bradley_terry as bt
from backend.rewards.interface import Floats, Ints

NAME: Final = "bradley-terry"
TITLE: Final = "Ranking of checkpoints"
SUMMARY: Final = (
    "Pairs of the checkpoints whose order is least sure. For a leaderboard; with a single "
    "checkpoint it is the same as random."
)
NEEDS: Final[tuple[Need, ...]] = ("labels", "sources")


def utility(known: Known) -> Floats:
    """Variance of the difference times p (1 − p). (N,)"""
    num = int(known.source.max(initial=-1)) + 1
    asked = _between(known.source, known.label_a, known.label_b, num)
    x = np.concatenate([asked, known.side[:, None]], axis=1)
    block = np.append(np.zeros(num, dtype=np.int64), 1)
    # no rounds of evidence: with a handful of sources that are even it would be sure that all are
    said = bt.fit(x, known.outcome, block, weight_M=known.weight, rounds=0)
    pair = _between(known.source, known.a, known.b, num)
    variance = np.einsum("nd,de,ne->n", pair, said.covariance[:-1, :-1], pair)
    p, _, _ = bt.probabilities(pair @ said.theta[:-1], 0.0)
    return np.asarray(variance * p * (1 - p))


def _between(source_S: Ints, a_M: Ints, b_M: Ints, num: int) -> Floats:
    """+1 at the source of a and −1 at that of b; all 0 where they are the same. (M, num)"""
    one_hot = np.eye(num)
    return one_hot[source_S[a_M]] - one_hot[source_S[b_M]]
