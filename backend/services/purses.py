"""Purses of runs: what each may still spend on a judge, shared by all of its workers.

A purse is one row, and taking is one statement that changes it only where the budget allows: of two
workers that take at the same moment the later one finds what the earlier one has taken. What a
killed worker had set aside stays taken, since its calls may have been charged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from backend.rewards._judge_purse import Budget
from backend.services.studio import Studio
from db.tables import Purse


@dataclass(frozen=True)
class StoredPurse:
    """See `backend.rewards._judge_purse.Purse`."""

    studio: Studio
    run_id: int
    judge: str
    budget: Budget

    def take(self, tokens: int) -> str:
        """Set tokens aside in one step; the reason why not, where the budget is spent."""
        most, money = self.budget.tokens, self.budget.money
        allowed = [*self._mine]
        if most:
            allowed.append(Purse.tokens + tokens <= most)
        if money:
            allowed.append(Purse.money < money)
        with self.studio.write() as session:
            self._open(session)
            taken = session.execute(
                update(Purse)
                .where(*allowed)
                .values(tokens=Purse.tokens + tokens)
                .returning(Purse.tokens)
            ).first()
            if taken is not None:
                return ""
            spent = session.execute(select(Purse.tokens, Purse.money).where(*self._mine)).one()
        return self.budget.bars(spent.tokens, spent.money, tokens)

    def settle(self, aside: int, tokens: int, money: float) -> None:
        """What a call took stands in place of what was set aside for it."""
        with self.studio.write() as session:
            session.execute(
                update(Purse)
                .where(*self._mine)
                .values(tokens=Purse.tokens + tokens - aside, money=Purse.money + money)
            )

    @property
    def _mine(self) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return Purse.run_id == self.run_id, Purse.judge == self.judge

    def _open(self, session: Session) -> None:
        """Make the row, unless somebody was faster."""
        insert = sqlite.insert if self.studio.store.dialect == "sqlite" else postgresql.insert
        row = {"run_id": self.run_id, "judge": self.judge, "tokens": 0, "money": 0.0}
        session.execute(insert(Purse).values(**row).on_conflict_do_nothing())


def of_run(studio: Studio, run_id: int) -> list[dict[str, Any]]:
    """[{judge, tokens, money}] that a run has spent of its budgets, what is set aside included."""
    with studio.read() as session:
        rows = session.scalars(select(Purse).where(Purse.run_id == run_id).order_by(Purse.judge))
        return [{"judge": one.judge, "tokens": one.tokens, "money": one.money} for one in rows]
