"""The rewards of a run: whether each has numbers, what a judge is asked, what would stop it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from backend.errors import ConfigError
from backend.registry import rewards as kinds
from backend.rewards import _judge_price
from backend.rl.cost import RunCost
from backend.rl.recipe import RewardTerm, RunConfig, learns_from_pairs
from backend.services import glances, rewards, workers
from backend.services.glances import Glance
from backend.services.preflight.line import Fix, Line
from backend.services.studio import Studio

COMPARES, WIN_RATE = "pref-grpo", "win-rate"
"""The method that is about winning inside a group, and the kind of reward that says who wins."""
NOBODY = "No worker of the score queue is there to try it: start 'palate worker score'."
WATCHED = "watched"
STANDS_IN = "pocket-verifier"
"""What is trained on where the only reward of a run cannot be asked and nothing is watched."""


def reward_lines(studio: Studio, project_id: int, config: RunConfig) -> Iterator[Line]:
    """A line for each reward, from what it said of the project's newest samples."""
    seen = glances.known(studio, project_id, [*config.rewards, *config.watch])
    there = workers.alive(studio, "score")
    waiting = "A worker is asked to load it and to try it." if there else NOBODY
    for at, terms in (("rewards", config.rewards), ("watch", config.watch)):
        for number, term in enumerate(terms):
            use = f"weight {term.weight:g}" if at == "rewards" else WATCHED
            try:
                rewards.read_config(studio, term.kind, term.config, f"{at}.{number}.config")
            except ConfigError as error:
                fix = _newest(studio, project_id, config, term) or without(config, term)
                yield Line(f"Reward {term.name}", term.kind, "fail", str(error), fix)
            else:
                yield _tried(config, term, use, seen[term.name], waiting)


def _tried(config: RunConfig, term: RewardTerm, use: str, seen: Glance, waiting: str) -> Line:
    title = f"Reward {term.name}"
    if seen.state == "failed":
        return Line(title, use, "fail", seen.reason, without(config, term))
    if seen.state != "ready":
        return Line(title, f"{use}, not tried yet", "warn", waiting)
    if seen.compares:
        return Line(title, f"{use}, loads", reason="It compares pictures of one prompt.")
    if not seen.values:
        return Line(title, f"{use}, loads", reason="There is no sample to try it on yet.")
    finite = sum(value is not None for value in seen.values)
    value = f"{use}, a number for {finite} of {len(seen.values)} samples"
    if not finite:
        return Line(title, value, "fail", seen.reason, without(config, term))
    if finite < len(seen.values):
        return Line(title, value, "warn", seen.reason or "The others would be left out.")
    if seen.cheated and use != WATCHED:
        return Line(title, value, "warn", f"{seen.cheated} A run would learn to draw that.")
    return Line(title, value)


def without(config: RunConfig, term: RewardTerm) -> Fix:
    """Leave a reward out; if nothing else is trained, a watched one takes its place."""
    trained = [one.plain() for one in config.rewards if one.name != term.name]
    watched = [one.plain() for one in config.watch if one.name != term.name]
    text = f"leave '{term.name}' out"
    if not trained and not learns_from_pairs(config):
        usable = [one for one in watched if one["kind"] not in rewards.LEARNED]
        stand_in = usable[0] if usable else RewardTerm(name=STANDS_IN, kind=STANDS_IN).plain()
        trained, watched = [stand_in], [one for one in watched if one != stand_in]
        text = f"train on '{stand_in['name']}' instead"
    changes: dict[str, Any] = {"rewards": trained, "watch": watched}
    if config.early_stop.gold not in [one["name"] for one in watched]:
        changes["early_stop.gold"] = ""
    return {"text": text, "changes": changes}


def _newest(studio: Studio, project_id: int, config: RunConfig, term: RewardTerm) -> Fix | None:
    """The newest version that the project has learned of a reward which names no weights of its
    own."""
    for row in rewards.rows(studio, project_id):
        weights = row["config"].get("weights")
        if row["kind"] == term.kind and weights and studio.media.exists(weights):
            term_now = term.model_copy(update={"config": row["config"]})
            changes = {
                at: [(term_now if one is term else one).plain() for one in terms]
                for at, terms in (("rewards", config.rewards), ("watch", config.watch))
            }
            return {"text": f"take version {row['version']} of '{row['name']}'", "changes": changes}
    return None


def judge_line(config: RunConfig, cost: RunCost) -> Line:
    """How often a judge is asked; what one on a server costs stands in a line of its own."""
    if not cost.judge_calls:
        return Line("Questions to a judge", "none")
    whole = cost.judge_calls * config.num_steps
    value = f"{cost.judge_calls:,} an update, {whole:,} in all"
    paid = any(_is_paid(term) for term in config.rewards)
    reason = "" if paid else "Asked on your own workers: no charge."
    return Line("Questions to a judge", value, reason=reason)


def _is_paid(term: RewardTerm) -> bool:
    try:
        return _judge_price.asked(term.kind, term.config) is not None
    except ConfigError:
        return False


def comparing_lines(config: RunConfig) -> Iterator[Line]:
    """A method that is about winning inside a group needs a reward that says who wins."""
    if config.method.name != COMPARES or any(t.kind == WIN_RATE for t in config.rewards):
        return
    judge = config.rewards[0]
    settings = {"judge": judge.kind, "judge_config": judge.config}
    wins = RewardTerm(name=WIN_RATE, kind=WIN_RATE, config=settings).plain()
    others = [term.plain() for term in config.rewards[1:]]
    yield Line(
        "Who wins",
        "no win rate",
        "warn",
        f"Without a win rate among its rewards, {COMPARES} is Flow-GRPO.",
        {"text": f"let '{judge.name}' judge pairs", "changes": {"rewards": [wins, *others]}},
    )


def early_stop_lines(config: RunConfig) -> Iterator[Line]:
    """Whether a run would end by itself when its reward is cheated."""
    gold = config.early_stop.gold
    if gold:
        yield Line("Early stop", f"when '{gold}' falls")
        return
    trained = {term.kind for term in config.rewards}
    independent = [
        term.name
        for term in config.watch
        if term.kind not in trained and not getattr(kinds.get(term.kind), "STATISTIC", False)
    ]
    if independent:
        name = independent[0]
        yield Line(
            "Early stop",
            "off",
            "warn",
            f"'{name}' is watched, but the run goes on even if it falls while the rest rises.",
            {"text": f"stop when '{name}' falls", "changes": {"early_stop.gold": name}},
        )


def scoring_lines(studio: Studio, config: RunConfig) -> Iterator[Line]:
    """Who asks the rewards, where workers of their own do it."""
    if config.scoring.where == "inline":
        return
    alive = workers.alive(studio, "score")
    if alive:
        yield Line("Rewards", f"{len(alive)} on the score queue")
        return
    yield Line(
        "Rewards",
        "none on the score queue",
        "warn",
        "The run waits for its rewards until a worker comes: start 'palate worker score'.",
        {"text": "score inline", "changes": {"scoring.where": "inline"}},
    )
