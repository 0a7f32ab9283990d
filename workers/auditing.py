"""`palate audit`: a judge through the eight tests, its figures on the terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.errors import ConfigError
from backend.registry import rewards as kinds
from backend.rewards.interface import checked
from workers.terminal import opened


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asked for; `home` is looked into where `name` is no kind."""

    name: str
    settings: tuple[str, ...]
    pairs: int
    groups: int
    seed: int
    json: Path | None
    home: Path | None


def run(plan: Plan, say: Callable[[str], None]) -> bool:
    """Audit, tell, write; whether every test was passed. A stored reward keeps its report."""
    with loaded(plan.name, plan.settings, plan.home) as (scorer, keep):
        report = examine(scorer, plan.name, plan)
        keep(report)
    _tell(report, say)
    if plan.json is not None:
        plan.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return bool(report["passed"])


@contextmanager
def loaded(
    name: str, settings: tuple[str, ...], home: Path | None
) -> Iterator[tuple[Any, Callable[[dict[str, Any]], None]]]:
    """A judge by its kind with settings, or one that a studio has stored under the name; and where
    a report on it is kept, which is nowhere for a kind."""
    if name in kinds.names():
        kind = kinds.get(name)
        yield kind.load(kind.Config.read(_read(settings))), lambda _report: None
        return
    from backend.services import judge_audits, rewards

    with opened(home) as studio:
        reward_id = judge_audits.named(studio, name)
        scorer = rewards.load(studio, reward_id)
        yield scorer, lambda report: judge_audits.record(studio, reward_id, report)


def examine(scorer: Any, name: str, plan: Plan) -> dict[str, Any]:
    """The report on a judge that is loaded."""
    from backend.pocket.audit_material import material
    from backend.rewards._audit import audit

    judge = checked(scorer, name)
    if judge.shape == "groupwise":
        raise ConfigError(
            f"'{name}' compares inside a group by another judge; audit that judge.", field="name"
        )
    report = audit(judge, material(plan.pairs, plan.groups, plan.seed))
    return {"name": name, **report, "calls": judge.num_judged}


def _read(settings: tuple[str, ...]) -> dict[str, Any]:
    """key=value as a kind's settings; a value is JSON where it can be read so, else text."""
    found: dict[str, Any] = {}
    for given in settings:
        key, sign, value = given.partition("=")
        if not sign:
            raise ConfigError(f"'{given}' is no setting; write key=value.", field="set")
        try:
            found[key] = json.loads(value)
        except json.JSONDecodeError:
            found[key] = value
    return found


def _tell(report: dict[str, Any], say: Callable[[str], None]) -> None:
    for test in report["tests"]:
        value = "   –  " if test["value"] is None else f"{test['value']:6.3f}"
        sign = "pass" if test["pass"] else "FAIL"
        say(f"{sign}  {test['name']:<13} {value}  mark {test['threshold']:5.2f}  {test['detail']}")
    right = report["accuracy"]
    say(
        f"{right['value']:.1%} right ({right['low']:.1%} to {right['high']:.1%}) on "
        f"{right['pairs']} pairs; {report['missing']:.1%} of {report['calls']} calls unanswered"
    )
    say("Passed." if report["passed"] else f"Not passed: {', '.join(report['failed'])}.")
