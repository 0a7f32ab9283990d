"""Markdown of the benchmarks' pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is text, the others are figures."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def number(value: float | None, form: str) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else form.format(value)


def interval(value: float | None, half: float | None, form: str) -> str:
    """ "+0.150 ± 0.015"; without the second where it is not known."""
    told = number(value, form)
    return told if half is None or value is None else f"{told} ± {form.format(half).lstrip('+')}"


def errors(value: float, se: float | None) -> str:
    """How many standard errors a gain is; a dash where none is known."""
    return f"{value / se:.1f}" if se else "–"


def length(plan: dict[str, Any]) -> str:
    """How long a run was asked to be, of a plan that goes by updates or by minutes."""
    return f"{plan['updates']} updates" if plan["updates"] else f"{plan['minutes']:g} minutes"


def made(found: dict[str, Any]) -> str:
    """When and on what."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return (
        f"Measured on {found['date']} on {found['cores']} {found['machine']} cores with Python "
        f"{found['python']}, {versions}; code {found['code'][:12]}."
    )
