"""Preflight of a run: what it will cost and what would fail, each line with the change that
helps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from backend.errors import ConfigError
from backend.registry import policies as families
from backend.registry import rewards as kinds
from backend.rl.cost import RunCost, predict
from backend.rl.recipe import RewardTerm, RunConfig, learns_from_pairs
from backend.services import prompts, rewards, run_rows, run_settings, workers
from backend.services.studio import Studio
from db import queries
from db.tables import Iteration, Run

GROUP_BYTES = 150_000
"""Rough size of one recorded group: its strip of pictures, its trunk, its nodes."""
CHECKPOINT_BYTES = 15_000_000
"""Rough size of one checkpoint of a pocket run: adapter, optimiser, state."""
ROOM = 3
"""The disk should hold this many times what the run is expected to write."""
COMPARES, WIN_RATE = "pref-grpo", "win-rate"
"""The method that is about winning inside a group, and the kind of reward that says who wins."""


@dataclass(frozen=True)
class Line:
    """One check. `fix` is {text, changes: {path: value}} or {text, url}."""

    name: str
    value: str
    status: str = "pass"
    reason: str = ""
    fix: dict[str, Any] | None = None

    def plain(self) -> dict[str, Any]:
        """As the API gives it."""
        return {
            "name": self.name,
            "value": self.value,
            "status": self.status,
            "reason": self.reason,
            "fix": self.fix,
        }


def check(studio: Studio, project_id: int, config: dict[str, Any]) -> dict[str, Any]:
    """{lines, cost, nfe_per_step, seconds_per_step, total_seconds}; raises ConfigError on a bad
    setting."""
    read = RunConfig.read(config)
    cost = predict(read)
    seconds = _seconds_per_step(studio, project_id, cost.nfe)
    lines = [
        _cost_line(read, cost),
        *_pairs_lines(studio, project_id, read),
        *_prompt_lines(studio, project_id, read),
        *_reward_lines(studio, read),
        *_comparing_lines(read),
        *_early_stop_lines(read),
        *_process_lines(read),
        _model_line(read),
        _disk_line(studio, read),
        _worker_line(studio),
        *_scoring_lines(studio, read),
    ]
    total = None if seconds is None else seconds * read.num_steps
    if total is not None and read.minutes is not None:
        total = min(total, read.minutes * 60)
    return {
        "lines": [line.plain() for line in lines],
        "cost": _cost_parts(cost),
        "nfe_per_step": cost.nfe,
        "seconds_per_step": seconds,
        "total_seconds": total,
    }


def _cost_parts(cost: RunCost) -> list[dict[str, Any]]:
    """What an update is made of, in the order of work: [{letter, name, value, about}]; what a
    method does not do is left out."""
    parts = (
        ("S", "to draw the pictures", cost.nfe_sample, "network evaluations without gradient"),
        (
            "U",
            "to learn from them",
            cost.nfe_update,
            "network evaluations with gradient; each takes about as long as three others",
        ),
        (
            "R",
            "of the base or a copy",
            cost.nfe_reference,
            "network evaluations of the weights that the policy is compared with",
        ),
        ("K", "pictures scored", cost.pictures, "pictures decoded and shown to every reward"),
        ("J", "questions to a judge", cost.judge_calls, "pairs that a judge compares"),
    )
    return [
        {"letter": letter, "name": name, "value": value, "about": f"{letter}: {about}"}
        for letter, name, value, about in parts
        if value
    ]


def _cost_line(config: RunConfig, cost: RunCost) -> Line:
    letters = " · ".join(f"{part['letter']} {part['value']:,}" for part in _cost_parts(cost))
    whole = (
        f"{config.num_steps:,} iterations make {config.num_steps * cost.nfe:,} evaluations, "
        f"an evaluation on held-out prompts {cost.nfe_evaluation:,} more."
    )
    pictures = f", {cost.pictures:,} pictures" if cost.pictures else ""
    value = f"{cost.nfe:,} evaluations{pictures}"
    return Line("Cost of an iteration", value, reason=f"{letters}. {whole}")


def _pairs_lines(studio: Studio, project_id: int, config: RunConfig) -> Iterator[Line]:
    """How many judged pairs a method has to learn from that learns from nothing else."""
    if not learns_from_pairs(config):
        return
    found, people, simulated = run_settings.judged_pairs(studio, project_id, config)
    words = {"people": "from people", "simulated": "simulated", "both": "from people or simulated"}
    value = f"{found:,} {words[config.labels]}"
    need = config.sampling.prompts_per_step
    if found >= need:
        yield Line("Judged pairs", value)
    elif found:
        reason = f"An update asks for {need:,}, so every pair would be learned again each time."
        fix = {"text": "Label more pairs", "url": "/label"}
        yield Line("Judged pairs", value, "warn", reason, fix)
    else:
        yield Line("Judged pairs", value, "fail", *_no_pairs(config, people, simulated))


def _no_pairs(config: RunConfig, people: int, simulated: int) -> tuple[str, dict[str, Any]]:
    method = config.method.name
    reason = f"{method} learns from judged pairs alone, and of prompts that are not held out "
    if config.labels == "people" and simulated:
        fix = {"text": f"learn from {simulated:,} simulated", "changes": {"labels": "simulated"}}
        return f"{reason}people have judged none.", fix
    if config.labels == "simulated" and people:
        fix = {"text": f"learn from {people:,} of people", "changes": {"labels": "people"}}
        return f"{reason}none is simulated.", fix
    return f"{reason}there is none.", {"text": "Label pairs", "url": "/label"}


def _prompt_lines(studio: Studio, project_id: int, config: RunConfig) -> Iterator[Line]:
    sets = prompts.rows(studio, project_id)
    by_name = {row["name"]: row for row in sets}
    chosen: dict[str, dict[str, Any]] = {}
    at_once = 1 if learns_from_pairs(config) else config.sampling.prompts_per_step
    wants = (
        ("prompt_set", "Prompts to train on", "train", at_once),
        ("heldout_set", "Prompts to evaluate on", "heldout", config.evaluation.num_prompts),
    )
    for field, title, split, need in wants:
        name = getattr(config, field)
        fitting = [row for row in sets if row["split"] == split]
        row = by_name.get(name) if name else (fitting[0] if fitting else None)
        if row is None:
            yield _missing_set(title, field, name, split, fitting)
            continue
        chosen[field] = row
        yield _set_line(title, field, row, split, need, fitting)
    if len(chosen) == 2:
        yield _overlap_line(studio, config, chosen)


def _missing_set(
    title: str, field: str, name: str, split: str, fitting: list[dict[str, Any]]
) -> Line:
    fix: dict[str, Any] = {"text": "Import prompts", "url": "/prompts"}
    if fitting:
        other = fitting[0]["name"]
        fix = {"text": f"take '{other}'", "changes": {field: other}}
    what = f"There is no prompt set '{name}'." if name else f"There is no set of split '{split}'."
    return Line(title, name or "none", "fail", what, fix)


def _set_line(
    title: str,
    field: str,
    row: dict[str, Any],
    split: str,
    need: int,
    fitting: list[dict[str, Any]],
) -> Line:
    value = f"{row['name']}, {row['num_prompts']:,}"
    if row["split"] != split:
        fix = None
        if fitting:
            other = fitting[0]["name"]
            fix = {"text": f"take '{other}'", "changes": {field: other}}
        return Line(title, value, "warn", f"This set is of split '{row['split']}'.", fix)
    if row["num_prompts"] < need:
        reason = f"{need:,} are asked for at once; there are {row['num_prompts']:,}."
        path = "sampling.prompts_per_step" if split == "train" else "evaluation.num_prompts"
        few = {"text": f"take {row['num_prompts']:,}", "changes": {path: row["num_prompts"]}}
        return Line(title, value, "warn", reason, few)
    return Line(title, value)


def _overlap_line(studio: Studio, config: RunConfig, chosen: dict[str, dict[str, Any]]) -> Line:
    train, heldout = chosen["prompt_set"], chosen["heldout_set"]
    with studio.read() as session:
        shared = queries.shared_prompts(session, train["id"], heldout["id"])
    if not shared:
        return Line("Train and held-out overlap", "no shared prompt")
    return Line(
        "Train and held-out overlap",
        f"{shared:,} shared",
        "fail",
        "What is trained on would be evaluated on, which flatters the run.",
        {"text": "Import prompts that are held out", "url": "/prompts"},
    )


def _reward_lines(studio: Studio, config: RunConfig) -> Iterator[Line]:
    for at, terms in (("rewards", config.rewards), ("watch", config.watch)):
        for number, term in enumerate(terms):
            title = f"Reward {term.name}"
            try:
                rewards.read_config(studio, term.kind, term.config, f"{at}.{number}.config")
            except ConfigError as error:
                fix = {"text": "Train it from labels", "url": "/rewards"}
                untrained = term.kind == "learned"
                yield Line(title, term.kind, "fail", str(error), fix if untrained else None)
            else:
                use = f"weight {term.weight:g}" if at == "rewards" else "watched"
                yield Line(title, use)


def _comparing_lines(config: RunConfig) -> Iterator[Line]:
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


def _early_stop_lines(config: RunConfig) -> Iterator[Line]:
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


def _process_lines(config: RunConfig) -> Iterator[Line]:
    """Processes share the prompts of an update; a remainder leaves some of them waiting."""
    num, prompts_ = config.processes, config.sampling.prompts_per_step
    if num == 1:
        return
    value = f"{num} share {prompts_:,} prompts"
    if prompts_ % num == 0:
        yield Line("Processes", value)
        return
    more = prompts_ + num - prompts_ % num
    yield Line(
        "Processes",
        value,
        "warn",
        f"{prompts_:,} does not divide by {num}, so some wait for the others in every update.",
        {"text": f"{more:,} prompts", "changes": {"sampling.prompts_per_step": more}},
    )


def _model_line(config: RunConfig) -> Line:
    settings = config.policy.config
    weights = str(settings.get("weights", ""))
    title = families.get(config.policy.family).TITLE
    if weights == "pocket":
        from backend.pocket import PIPELINE_DIR

        if (PIPELINE_DIR / "model_index.json").is_file():
            return Line("Model", f"{title}, pocket")
        reason = (
            f"The pocket model is not in {PIPELINE_DIR}; get the repository's static folder again."
        )
        return Line("Model", "pocket", "fail", reason)
    folder = Path(weights).expanduser()
    if (folder / "model_index.json").is_file():
        return Line("Model", f"{title}, {folder.name}")
    pocket = {"text": "the pocket model", "changes": {"policy.config.weights": "pocket"}}
    if weights.count("/") == 1 and not weights.startswith((".", "/", "~")):
        reason = "A hub id: its files are fetched when the run starts, if the worker may."
        return Line("Model", weights, "warn", reason, pocket)
    return Line("Model", weights, "fail", f"There is no model in the folder {weights}.", pocket)


def _disk_line(studio: Studio, config: RunConfig) -> Line:
    free = studio.media.free_bytes()
    steps = config.num_steps
    need = steps * config.record_groups * GROUP_BYTES
    need += (steps // config.checkpoint_every + 1) * CHECKPOINT_BYTES
    if free is None:
        return Line("Disk", f"about {need / 1e9:.1f} GB", reason="Media are kept elsewhere.")
    value = f"about {need / 1e9:.1f} of {free / 1e9:.1f} GB free"
    if need > free:
        less = {"text": "record no groups", "changes": {"record_groups": 0}}
        return Line("Disk", value, "fail", "The run would fill the disk.", less)
    if need * ROOM > free:
        return Line("Disk", value, "warn", "Little would be left for anything else.")
    return Line("Disk", value)


def _worker_line(studio: Studio) -> Line:
    alive = workers.alive(studio, "train")
    if alive:
        return Line("Worker", f"{len(alive)} on the train queue")
    return Line(
        "Worker",
        "none on the train queue",
        "warn",
        "The run waits until a worker comes: start one with 'palate worker train'.",
        {"text": "See the workers", "url": "/workers"},
    )


def _scoring_lines(studio: Studio, config: RunConfig) -> Iterator[Line]:
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


def _seconds_per_step(studio: Studio, project_id: int, nfe: int) -> float | None:
    """Seconds of a step as the latest run took them, by its number of evaluations."""
    with studio.read() as session:
        last = session.scalar(
            select(Run.id)
            .where(Run.project_id == project_id, Run.step > 0)
            .order_by(Run.id.desc())
            .limit(1)
        )
        if last is None:
            return None
        seconds = queries.recent_step_seconds(session, [last], run_rows.RECENT).get(last)
        measured = session.scalar(select(func.avg(Iteration.nfe)).where(Iteration.run_id == last))
    return seconds * nfe / float(measured) if seconds and measured else None
