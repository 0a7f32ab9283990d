"""Judges of a run: those that have not been audited or did not pass, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from backend.errors import ConfigError
from backend.rewards import _judge_price
from backend.rl.cost import compared
from backend.rl.recipe import RunConfig
from backend.services import judge_audits, judgements
from backend.services.preflight.line import Line
from backend.services.studio import Studio

SCORED_TWICE = 2
"""At an evaluation: held-out pictures with their own prompts, and with one another's."""


def audit_lines(studio: Studio, project_id: int, config: RunConfig) -> Iterator[Line]:
    """A warning for each judge whose audit is missing or was not passed."""
    for term in [*config.rewards, *config.watch]:
        yield from audit_line(studio, project_id, term.name, term.kind, term.config)


def audit_line(
    studio: Studio, project_id: int, name: str, kind: str, config: dict[str, Any]
) -> Iterator[Line]:
    """What the audit of a judge says; nothing for what is no judge."""
    with studio.read() as session:
        said = judge_audits.standing(session, project_id, kind, config)
    if said == judge_audits.UNAUDITED:
        reason = "Nobody has tested this judge: audit it on the Rewards page before it teaches."
        yield Line(f"Judge of {name}", "unaudited", "warn", reason)
    elif said.startswith("failed"):
        reason = "It did not pass its audit; what it likes may be its own habit."
        yield Line(f"Judge of {name}", said, "warn", reason)
    elif said:
        yield Line(f"Judge of {name}", "audited and passed")


def price_lines(studio: Studio, config: RunConfig) -> Iterator[Line]:
    """What each judge on a server will be asked in the whole run, in calls, tokens and money."""
    sizes = compared(config)
    evaluations = 1 + math.ceil(config.num_steps / config.evaluation.every)
    for at, terms in (("rewards", config.rewards), ("watch", config.watch)):
        for term in terms:
            try:
                judge = _judge_price.asked(term.kind, term.config)
            except ConfigError:
                continue  # the line on the reward itself says what is wrong
            if judge is None:
                continue
            update = _judge_price.calls(term.kind, term.config, sizes) if at == "rewards" else 0
            held = np.full(config.evaluation.num_prompts, 1)
            each = _judge_price.calls(term.kind, term.config, held) * SCORED_TWICE
            num = update * config.num_steps + each * evaluations
            yield price_line(studio, term.name, judge, num)


def price_line(studio: Studio, name: str, judge: _judge_price.Asked, num: int) -> Line:
    """What so many questions to a judge on a server take in tokens and money."""
    read, wrote = judge.tokens()
    tokens, money = float(read + wrote), judge.money(read, wrote)
    told = "Estimated: this judge has not been asked yet."
    seen = judgements.of_version(studio, judge.version)
    if seen["answers"]:
        scale = seen["tokens"] / seen["answers"] / max(tokens, 1)
        tokens, money = tokens * scale, money * scale
        told = f"From the {seen['answers']:,} answers of this judge that are on record."
    value = f"{num:,} questions, about {_about(num * tokens)} tokens"
    budget, limit = judge.config.budget_tokens, judge.config.budget_money
    if money:
        value = f"{value}, {num * money:,.2f} in money"
    else:
        told = f"{told} It has no prices, so tokens are all that is known."
    share = min(
        budget / (num * tokens) if budget and num else 1.0,
        limit / (num * money) if limit and num and money else 1.0,
    )
    if share < 1:
        reason = f"{told} Its budget ends the asking after {share:.0%} of the run."
        return Line(f"Price of {name}", value, "warn", reason)
    return Line(f"Price of {name}", value, reason=told)


def _about(tokens: float) -> str:
    """12 thousand, 3.4 million."""
    if tokens >= 1e6:
        return f"{tokens / 1e6:,.1f} million"
    return f"{tokens / 1e3:,.0f} thousand" if tokens >= 1e4 else f"{tokens:,.0f}"
