"""A learned reward that is refitted after every label, with its accuracy beside it.

    live = Live(block, prior, seed=0)
    live.refit(labels)      # the first time from nothing, later from where it was: some ms
    live.figures(stock)     # as of a trained reward, but for the learning curve

A refit goes on from the last posterior and refits one of the five held-out folds, in turn
(`_posterior.CrossFit`): what the figures say is at most four labels old and never knows a pair's
prompt. Pure numpy, so that the web process can do it.
"""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np

from backend.preferences.annotators import WEIGH, Weigh
from backend.rewards import _figures, _posterior
from backend.rewards._posterior import CrossFit, Held, Labels, Posterior
from backend.rewards.interface import Floats, Ints

FROM_NEW: Final = 50
"""Labels that came at once, from which on it is fitted from nothing."""
KEPT: Final = 200
"""Refits whose times are remembered."""


class Live:
    """The posterior of the labels so far."""

    def __init__(self, block: Ints, prior: Floats, *, seed: int = 0, weigh: Weigh = WEIGH) -> None:
        self.block, self.prior, self.weigh, self.seed = block, prior, weigh, seed
        self.posterior: Posterior | None = None
        self.labels: Labels | None = None
        self.cross = CrossFit(block, prior, seed=seed, weigh=weigh)
        self.held: Held | None = None
        self.seconds: list[float] = []
        """Of the refits that went on from another."""

    def refit(self, labels: Labels) -> Posterior:
        """The posterior of these labels; `labels` are all of them, the new ones among them."""
        started = time.perf_counter()
        before = 0 if self.labels is None else len(self.labels.outcome)
        start = self.posterior
        if start is None or not 0 <= len(labels.outcome) - before < FROM_NEW:
            self.cross = CrossFit(self.block, self.prior, seed=self.seed, weigh=self.weigh)
            self.posterior = _posterior.fit(labels, self.block, self.prior, weigh=self.weigh)
            self.held = self.cross.all(labels)
        else:
            self.posterior = _posterior.fit(
                labels, self.block, self.prior, weigh=self.weigh, start=start
            )
            self.held = self.cross.turn(labels)
            self.seconds = [*self.seconds[1 - KEPT :], time.perf_counter() - started]
        self.labels = labels
        return self.posterior

    def figures(self, ceiling: dict[str, float] | None = None) -> dict[str, Any]:
        """Accuracy with its interval, the stock reward's, calibration and the next step."""
        if self.labels is None or self.held is None:
            return {}
        stock = self.labels.x @ self.prior
        return _figures.measure(self.held, self.labels, stock=stock, ceiling=ceiling)

    def p95_ms(self) -> float | None:
        """The 95th percentile of the refits' time in milliseconds."""
        return float(np.percentile(self.seconds, 95) * 1000) if self.seconds else None
