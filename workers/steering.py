"""How people reach a run while it trains: a `Control` over the job's frame.

Between updates the loop asks what is wanted and which orders hold. A run that is to end at once
does not wait for the update: every evaluation of the network passes here, and the first one after
the wish breaks the job off.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from backend.services import orders
from backend.types import HALT, Orders, Policy, Wanted
from workers.frame import ASK_S, Interrupted, JobFrame

P = ParamSpec("P")
R = TypeVar("R")


class Steering:
    """Wishes and orders of one run."""

    def __init__(self, frame: JobFrame, run_id: int) -> None:
        self.frame, self.run_id = frame, run_id
        self.ends = False
        """Set by who looks after the run: it ends after the update it is at."""
        self._orders: list[dict[str, Any]] | None = None
        self._asked_at = 0.0

    def wanted(self) -> Wanted:
        """What people want, or an alarm that they gave the say."""
        wanted = self.frame.wanted()
        return "stop" if self.ends and wanted == "run" else wanted

    def orders(self, step: int) -> Orders:
        """What holds after `step` updates; the store is asked a few times a second."""
        now = time.monotonic()
        if self._orders is None or now - self._asked_at > ASK_S:
            self._asked_at = now
            self._orders = orders.heed(self.frame.studio, self.run_id, step)
        return orders.holding(self._orders, step)

    def progress(self, done: int, total: int, message: str) -> None:
        """As the frame says it."""
        self.frame.progress(done, total, message)

    def hurry(self) -> None:
        """Break the job off in the middle of an update if it is to end at once."""
        if self.frame.wish() == HALT:
            raise Interrupted

    def hurried(self, policy: Policy) -> Policy:
        """The policy, whose every evaluation hurries first."""
        policy.velocity = self._first(policy.velocity)  # type: ignore[method-assign]
        policy.decode = self._first(policy.decode)  # type: ignore[method-assign]
        return policy

    def _first(self, call: Callable[P, R]) -> Callable[P, R]:
        def hurrying(*args: P.args, **kwargs: P.kwargs) -> R:
            self.hurry()
            return call(*args, **kwargs)

        return hurrying
