"""Where the pictures lie that a reward was learned from, so that it may abstain elsewhere.

The squared Mahalanobis distance of a sample's features from the middle of those of the labelled
ones, their covariance shrunk towards a sphere; beyond the distance that 99 % of the labelled ones
keep (each measured as if it had not been among them) nothing was learned.

    d² = zᵀ Σ⁻¹ z      Σ = (1 − s) cov + s · mean variance · 1,   s = F / (F + S)
    left out of its own Σ:  d² / (1 − d² / S) about

Letters: S samples, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backend.rewards.interface import Bools, Floats

SHARE: Final = 0.99


@dataclass(frozen=True)
class Support:
    """The region of the labelled samples."""

    middle: Floats
    """(F,)"""
    whiten: Floats
    """(F, F): |(x − middle) whiten|² is the squared distance."""
    far: float
    """Squared distance from which on a sample is off."""

    @classmethod
    def fit(cls, features: Floats) -> Support:
        """Of labelled samples (S, F)."""
        num, width = features.shape
        middle = features.mean(axis=0)
        covariance = np.cov(features.T, bias=True).reshape(width, width)
        share = width / (width + num)
        round_ = share * max(float(np.trace(covariance)) / width, 1e-9)
        bend = np.linalg.inv((1 - share) * covariance + round_ * np.eye(width))
        whiten = np.asarray(np.linalg.cholesky((bend + bend.T) / 2), dtype=np.float64)
        near = (((features - middle) @ whiten) ** 2).sum(axis=1)
        alone = near / np.maximum(1 - near / num, 0.1)
        return cls(middle, whiten, float(np.quantile(alone, SHARE)))

    def is_off(self, features: Floats) -> Bools:
        """(B,) whether each sample lies further out."""
        away = (((features - self.middle) @ self.whiten) ** 2).sum(axis=1)
        return np.asarray(away > self.far)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything to save, by name."""
        return {
            "support_middle": self.middle,
            "support_whiten": self.whiten,
            "support_far": np.array([self.far]),
        }

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]]) -> Support:
        """What `arrays` gave, taken out of them."""
        middle, whiten = arrays.pop("support_middle"), arrays.pop("support_whiten")
        return cls(middle, whiten, float(arrays.pop("support_far")[0]))
