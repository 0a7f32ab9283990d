"""What could not be read of a file that is brought in: kept for people, counted when it is much."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from backend.preferences.formats import Problem

KEPT = 1_000
"""Faults that are told in full; the others are counted."""


@dataclass
class Faults:
    """The rows of an import that are at fault."""

    broken: int = 0
    """Rows that could not be read."""
    problems: list[dict[str, Any]] = field(default_factory=list)
    """{file, line, column, reason} of the first thousand."""

    def tell(self, problem: Problem) -> None:
        """Keep a fault, or count it alone when there are many."""
        self.broken += 1
        if len(self.problems) < KEPT:
            self.problems.append(problem.plain())

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def counted(number: int, noun: str) -> str:
    """A noun in its number.

    Example: 1, row → 1 row; 2000, row → 2,000 rows.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
