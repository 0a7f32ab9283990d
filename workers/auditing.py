"""`palate audit`: a judge through the tests of its audit, its figures on the terminal and as JSON.

On the pocket world, or on the pairs that a project's own people decided.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.errors import ConfigError
from backend.registry import rewards as kinds
from backend.rewards._audit import Material
from backend.rewards.interface import checked
from backend.services.studio import Studio
from workers.sheets import stack
from workers.terminal import opened

OWN_SIDE = 512
"""Pixels to which the longer side of a project's own pictures is taken down."""


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
    own: bool = False
    """On the pairs that the people of the reward's project decided."""
    simulated: bool = False
    """Simulated annotators are people."""


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge that is loaded, who keeps a report on it, and what its project's people decided."""

    scorer: Any
    keep: Callable[[dict[str, Any]], None]
    decided: Callable[[Plan], Material]


def run(plan: Plan, say: Callable[[str], None]) -> bool:
    """Audit, tell, write; whether every test was passed. A stored reward keeps its report."""
    with loaded(plan.name, plan.settings, plan.home) as judge:
        report = examine(judge, plan)
        judge.keep(report)
    _tell(report, say)
    if plan.json is not None:
        plan.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return bool(report["passed"])


@contextmanager
def loaded(name: str, settings: tuple[str, ...], home: Path | None) -> Iterator[Judge]:
    """A judge by its kind with settings, of which no report is kept, or one that a studio has
    stored under the name."""
    if name in kinds.names():
        kind = kinds.get(name)
        yield Judge(kind.load(kind.Config.read(_read(settings))), lambda _report: None, _nobody)
        return
    from backend.services import judge_audits

    with opened(home) as studio:
        yield stored(studio, judge_audits.named(studio, name))


def stored(studio: Studio, reward_id: int) -> Judge:
    """A judge of a studio."""
    from backend.services import judge_audits, rewards

    project_id = rewards.get(studio, reward_id)["project_id"]
    return Judge(
        rewards.load(studio, reward_id),
        lambda report: judge_audits.record(studio, reward_id, report),
        lambda plan: _own(studio, project_id, plan),
    )


def examine(judge: Judge, plan: Plan) -> dict[str, Any]:
    """The report on a judge that is loaded."""
    from backend.pocket.audit_material import material
    from backend.rewards._audit import audit

    found = checked(judge.scorer, plan.name)
    if found.shape == "groupwise":
        raise ConfigError(
            f"'{plan.name}' compares inside a group by another judge; audit that judge.",
            field="name",
        )
    made = judge.decided(plan) if plan.own else material(plan.pairs, plan.groups, plan.seed)
    report = audit(found, made)
    return {"name": plan.name, "own": plan.own, **report, "calls": found.num_judged}


def _nobody(plan: Plan) -> Material:
    raise ConfigError(
        f"'{plan.name}' is a kind of reward and belongs to no project; name a stored reward to "
        "audit it on its project's own pairs.",
        field="own",
    )


def _own(studio: Studio, project_id: int, plan: Plan) -> Material:
    from backend.rewards import _own_material
    from backend.services import own_pairs

    some = own_pairs.decided(
        studio, project_id, plan.pairs, simulated=plan.simulated, seed=plan.seed
    )
    files = [studio.media.read(name) for name in (*some.better, *some.worse)]
    pictures = stack(files, most=OWN_SIDE)
    num = len(some.better)
    return _own_material.material(
        some.prompts, pictures[:num], pictures[num:], some.votes, some.ties, plan.seed
    )


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
