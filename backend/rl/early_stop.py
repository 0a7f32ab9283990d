"""Proxy and gold apart: a run ends when what it trains on rises while what it must not lose falls.

At each evaluation both gains over the base are known, paired by prompt. It looks like cheating
where the trained reward is above its value at the watched reward's best, and the watched reward is
more than `margin` standard errors under that best. `patience` such evaluations in a row end the
run, and the best step, not the last, is delivered. A reward that only compares inside a group has
no held-out value of its own; then the watched one's fall is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.rl.recipe import EarlyStop, RewardTerm


class History:
    """Evaluations of one run as [step, proxy, gold, standard error of gold]; JSON-ready rows."""

    def __init__(self, settings: EarlyStop, trained: Sequence[RewardTerm]) -> None:
        self.settings = settings
        self.trained = [term for term in trained if term.role == "sum"]
        self.rows: list[list[Any]] = []

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take in one evaluation; step 0, the base, has gains of 0."""
        gold = self.settings.gold
        if not gold or (step and f"gain/{gold}" not in metrics):
            return
        known = [t for t in self.trained if f"gain/{t.name}" in metrics or not step]
        proxy = sum(t.weight * metrics.get(f"gain/{t.name}", 0.0) for t in known) if known else None
        self.rows.append(
            [step, proxy, metrics.get(f"gain/{gold}", 0.0), metrics.get(f"gain_se/{gold}", 0.0)]
        )

    @property
    def best_step(self) -> int | None:
        """The evaluation at which the watched reward stood highest; None when none is watched."""
        return int(self._best()[0]) if self.rows else None

    def verdict(self) -> str:
        """Why the run should end, as a sentence; empty while it should not."""
        tail = self.rows[-self.settings.patience :]
        if len(tail) < self.settings.patience:
            return ""
        best = self._best()
        if not all(self._cheats(row, best) for row in tail):
            return ""
        last = tail[-1]
        gold = f"({best[2]:+.3g} → {last[2]:+.3g} ± {last[3]:.2g})"
        if last[1] is None or best[1] is None:
            return (
                f"Stopped after update {last[0]}: the trained reward went on rising while "
                f"'{self.settings.gold}' fell {gold}. Update {best[0]}, where it stood highest, is "
                "delivered."
            )
        return (
            f"Stopped after update {last[0]}: the trained reward went on rising "
            f"({best[1]:+.3g} → {last[1]:+.3g}) while '{self.settings.gold}' fell {gold}. Update "
            f"{best[0]}, where it stood highest, is delivered."
        )

    def _best(self) -> list[Any]:
        return max(self.rows, key=lambda row: (row[2], -row[0]))

    def _cheats(self, row: list[Any], best: list[Any]) -> bool:
        step, proxy, gold, error = row
        rises = proxy is None or best[1] is None or proxy > best[1]
        return bool(step > best[0] and rises and gold < best[2] - self.settings.margin * error)
