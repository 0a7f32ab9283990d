"""What stands on the features of a learned reward: a value for each sample, and how sure it is.

    bayes    θ·x with θ's posterior from the pairs (`_posterior`); the default
    neural   an ensemble of small networks (two layers, SiLU), each fitted to prompts drawn with
             replacement; needs some thousand pairs before it is better

Letters: B samples, F features, K members of the ensemble, H hidden units, M pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from backend.errors import InputError
from backend.preferences.annotators import WEIGH, Weigh
from backend.rewards import _features, _posterior
from backend.rewards._posterior import CrossFit, Held, Labels, Posterior
from backend.rewards.interface import Floats, Ints

HeadName = Literal["bayes", "neural"]
HEADS: Final[tuple[HeadName, ...]] = ("bayes", "neural")
HEAD: Final[HeadName] = "bayes"
Arrays = dict[str, NDArray[Any]]


class Head(Protocol):
    """Values of features, without a zero or a scale of their own."""

    @property
    def name(self) -> HeadName:
        """bayes or neural."""
        ...

    @property
    def tie(self) -> float:
        """ln k of Rao and Kupper."""
        ...

    @property
    def lean(self) -> float:
        """Pull to the left picture, in units of choice noise."""
        ...

    def say(self, features: Floats) -> tuple[Floats, Floats]:
        """(B, F) → value and its standard deviation, (B,) each."""
        ...

    def compare(self, labels: Labels) -> tuple[Floats, Floats]:
        """Δ of pairs and its variance, whatever was said of them. (M,) each"""
        ...

    def parts(self, features: Floats, block: Ints) -> dict[str, Floats]:
        """What each kind of features adds, (B,) each; empty where that cannot be told."""
        ...

    def arrays(self) -> Arrays:
        """Everything to save, by name."""
        ...


@dataclass(frozen=True)
class Bayes:
    """θ and a root of its covariance."""

    theta: Floats
    """(F,)"""
    root: Floats
    """(F, F): x root has the posterior's standard deviation as its length."""
    tie: float
    lean: float
    name: HeadName = "bayes"

    @classmethod
    def of(cls, posterior: Posterior) -> Bayes:
        """The head of a posterior."""
        covariance = (posterior.covariance + posterior.covariance.T) / 2
        root = np.linalg.cholesky(covariance + 1e-12 * np.eye(len(covariance)))
        whole = np.asarray(root, dtype=np.float64)
        return cls(posterior.theta, whole, posterior.tie, posterior.lean)

    def say(self, features: Floats) -> tuple[Floats, Floats]:
        """θ·x and √(xᵀ S x)."""
        return features @ self.theta, np.linalg.norm(features @ self.root, axis=1)

    def compare(self, labels: Labels) -> tuple[Floats, Floats]:
        """θ·x and xᵀ S x."""
        return labels.x @ self.theta, ((labels.x @ self.root) ** 2).sum(axis=1)

    def parts(self, features: Floats, block: Ints) -> dict[str, Floats]:
        """θ·x over the features of each kind."""
        return {
            name: features[:, inside] @ self.theta[inside]
            for name, blocks in _features.PARTS.items()
            if (inside := np.isin(block, blocks)).any()
        }

    def arrays(self) -> Arrays:
        """θ, root, and the two numbers."""
        numbers = np.array([self.tie, self.lean])
        return {"theta": self.theta, "root": self.root, "numbers": numbers}


def fit(
    name: HeadName, labels: Labels, block: Ints, prior: Floats, *, seed: int, weigh: Weigh = WEIGH
) -> Head:
    """A head fitted to all labels. Raises InputError for a name that is none."""
    if name == "bayes":
        return Bayes.of(_posterior.fit(labels, block, prior, weigh=weigh))
    if name == "neural":
        from backend.rewards import _neural

        return _neural.fit(labels, prior, seed=seed)
    raise InputError(f"A learned reward has no head '{name}'; choose {' or '.join(HEADS)}.")


def held_out(
    name: HeadName, labels: Labels, block: Ints, prior: Floats, *, seed: int, weigh: Weigh = WEIGH
) -> Held:
    """Each pair by a head that was fitted to the pairs of other prompts."""
    cross = CrossFit(block, prior, seed=seed, weigh=weigh)
    if name == "bayes":
        return cross.all(labels)
    from backend.rewards import _neural

    fold = cross.folds(labels.prompt)
    held = Held(*(np.zeros(len(fold)) for _ in range(3)))
    for k in np.unique(fold):
        mine = fold == k
        fitted = _neural.fit(labels.take(np.flatnonzero(~mine)), prior, seed=seed)
        held.delta[mine], held.variance[mine] = fitted.compare(labels.take(np.flatnonzero(mine)))
        held.tie[mine] = fitted.tie
    return held


def of(name: HeadName, arrays: Arrays) -> Head:
    """What `arrays` of a head of that name gave, taken out of them; KeyError if it is not there."""
    if name == "neural":
        from backend.rewards import _neural

        return _neural.of(arrays)
    tie, lean = arrays.pop("numbers")
    return Bayes(arrays.pop("theta"), arrays.pop("root"), float(tie), float(lean))
