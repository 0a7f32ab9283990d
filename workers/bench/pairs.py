"""`palate bench pairs`: how often a judge finds the better of two in a file of pairs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.errors import ConfigError, InputError
from backend.rewards import _audit, _pair_bench
from backend.rewards.interface import CheckedPairs, Floats, checked
from workers import auditing
from workers.bench.pair_file import Pair, read


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asked for; `home` is looked into where `judge` is no kind."""

    file: Path
    judge: str
    settings: tuple[str, ...] = ()
    pictures: Path | None = None
    limit: int = 0
    json: Path | None = None
    home: Path | None = None


def run(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Ask about every pair both ways round; the figures, told and written."""
    file = read(plan.file, plan.pictures, plan.limit)
    with auditing.loaded(plan.judge, plan.settings, plan.home) as loaded:
        judge = checked(loaded.scorer, plan.judge)
        one, other = ask(judge, file.pairs)
    found = {
        "judge": plan.judge,
        "file": plan.file.name,
        "left_out": file.left_out,
        **_pair_bench.figures([pair.category for pair in file.pairs], one, other),
    }
    _tell(found, say)
    if plan.json is not None:
        plan.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def ask(judge: Any, pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
    """How likely the better one of each is preferred: shown first, and shown second. (M,) each.

    Pairs whose pictures have the same sizes are asked about together.
    """
    one, other = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    together: dict[Any, list[int]] = {}
    for at, pair in enumerate(pairs):
        together.setdefault(_shapes(pair), []).append(at)
    for rows in together.values():
        some = [pairs[at] for at in rows]
        one[rows], other[rows] = (
            _words(judge, some) if some[0].picture is not None else _pictures(judge, some)
        )
    return one, other


def _shapes(pair: Pair) -> Any:
    if isinstance(pair.better, str) or isinstance(pair.worse, str):
        return "words"
    return pair.better.shape, pair.worse.shape


def _pictures(judge: Any, pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
    if judge.shape == "groupwise":
        raise ConfigError(
            "A reward that compares inside a group cannot say which of two is better; name its "
            "judge.",
            field="judge",
        )
    prefer = _audit.preference(judge)
    prompts = [pair.prompt for pair in pairs]
    better = np.stack([np.asarray(pair.better) for pair in pairs])
    worse = np.stack([np.asarray(pair.worse) for pair in pairs])
    return prefer(prompts, better, worse), 1 - prefer(prompts, worse, better)


def _words(judge: Any, pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
    bare: Any = judge.judge if isinstance(judge, CheckedPairs) else None
    if not hasattr(bare, "compare_texts"):
        raise InputError(
            "This file compares answers in words, and this judge compares pictures; 'judge-pair' "
            "compares both."
        )
    shown = [np.asarray(pair.picture) for pair in pairs]
    prompts = [pair.prompt for pair in pairs]
    better, worse = [str(pair.better) for pair in pairs], [str(pair.worse) for pair in pairs]
    first = bare.compare_texts(shown, better, worse, prompts).prefer_a
    second = bare.compare_texts(shown, worse, better, prompts).prefer_a
    return first, 1 - second


def _tell(found: dict[str, Any], say: Callable[[str], None]) -> None:
    say(f"{'category':<24} {'pairs':>6} {'right':>7} {'95 %':>15} {'flips':>7} {'missing':>8}")
    for row in [*found["categories"], found["all"]]:
        right, between, flips = "–", "–", "–"
        if row["accuracy"] is not None:
            right = f"{row['accuracy']:.1%}"
            between = f"{row['low']:.1%} to {row['high']:.1%}"
        if row["flips"] is not None:
            flips = f"{row['flips']:.1%}"
        name = row["name"][:24]
        say(f"{name:<24} {row['pairs']:>6} {right:>7} {between:>15} {flips:>7} {row['missing']:>8}")
    if found["macro"] is not None and len(found["categories"]) > 1:
        say(f"Mean of the categories {found['macro']:.1%}.")
    if found["left_out"]:
        say(f"{found['left_out']} rows name no better one and were left out.")
