"""What may be spent on a judge: a budget in tokens and money, whoever asks on its behalf.

Before a call what it is expected to take is set aside; afterwards what it took stands in its place.
So the budget is passed by no more than the calls under way took beyond what was expected of them.
A call that may have been charged without an answer keeps what was set aside, as does one whose
worker was killed. In a studio a run's purse is in the store: all of its workers share it, and a
restart finds it as it was.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Protocol

from backend.rewards._judge_server import Server
from backend.rewards.interface import Files


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent in all; 0 sets no bound."""

    tokens: int = 0
    money: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.tokens or self.money)

    def bars(self, tokens: int, money: float, more: int) -> str:
        """Why a call of `more` tokens is not made after so much was spent; empty where it may."""
        if self.tokens and tokens + more > self.tokens:
            return f"was not asked: the budget of {self.tokens:,} tokens is spent"
        if self.money and money >= self.money:
            return f"was not asked: the budget of {self.money:g} is spent"
        return ""


class Purse(Protocol):
    """Spends a budget."""

    def take(self, tokens: int) -> str:
        """Set so many tokens aside for a call; or why it is not made, empty where it is."""
        ...

    def settle(self, aside: int, tokens: int, money: float) -> None:
        """What a call took, in place of what was set aside."""
        ...


class Pocket:
    """A purse of this process alone."""

    def __init__(self, budget: Budget) -> None:
        self.budget, self.tokens, self.money = budget, 0, 0.0

    def take(self, tokens: int) -> str:
        """See `Purse`."""
        barred = self.budget.bars(self.tokens, self.money, tokens)
        if not barred:
            self.tokens += tokens
        return barred

    def settle(self, aside: int, tokens: int, money: float) -> None:
        """See `Purse`."""
        self.tokens += tokens - aside
        self.money += money


def purse_of(files: Files | None, kind: str, settings: Server) -> Purse | None:
    """The purse of a run for this judge; None outside of a run, and where there is no budget."""
    open_purse = getattr(files, "purse", None)
    budget = Budget(settings.budget_tokens, settings.budget_money)
    if open_purse is None or not budget:
        return None
    purse: Purse | None = open_purse(f"{kind} {_judge(settings)}", budget)
    return purse


def _judge(settings: Server) -> str:
    """Which judge and which question, whatever it may cost: code may change in the middle of a run,
    and its budget goes on."""
    told: dict[str, Any] = settings.plain()
    same = {name: value for name, value in told.items() if name not in settings.HANDLING}
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:16]
