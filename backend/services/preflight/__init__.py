"""Preflight of a run: what it will cost and what would fail, each line with the change that
helps."""

from __future__ import annotations

from typing import Any

from backend.rl.cost import RunCost, predict
from backend.rl.recipe import RunConfig
from backend.services import probes
from backend.services.preflight import data, judging, machine, scoring
from backend.services.preflight.line import Line
from backend.services.studio import Studio


def check(studio: Studio, project_id: int, config: dict[str, Any]) -> dict[str, Any]:
    """{lines, cost, nfe_per_step, seconds_per_step, total_seconds}; raises ConfigError on a bad
    setting."""
    read = RunConfig.read(config)
    cost, model = predict(read), machine.read_files(read)
    trial = probes.latest_trial(studio, read)
    pace = machine.pace(studio, project_id, cost, trial)
    lines = [
        machine.memory_line(read, model, trial),
        machine.time_line(read, pace),
        _cost_line(read, cost),
        scoring.judge_line(read, cost),
        *data.pairs_lines(studio, project_id, read),
        *data.prompt_lines(studio, project_id, read),
        *scoring.reward_lines(studio, project_id, read),
        *judging.audit_lines(studio, project_id, read),
        *judging.price_lines(studio, read),
        *scoring.comparing_lines(read),
        *scoring.early_stop_lines(read),
        machine.process_line(read),
        machine.model_line(read),
        machine.disk_line(studio, read, cost, model, trial),
        machine.output_line(studio),
        machine.worker_line(studio),
        *scoring.scoring_lines(studio, read),
    ]
    return {
        "lines": [line.plain() for line in lines],
        "cost": _cost_parts(cost),
        "nfe_per_step": cost.nfe,
        "seconds_per_step": pace.seconds_per_step,
        "total_seconds": pace.total(read),
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
    value = f"{cost.nfe:,} evaluations"
    if cost.pictures:
        value = f"{cost.nfe:,} evaluations, {cost.pictures:,} pictures"
    return Line("Cost of an iteration", value, reason=f"{letters}. {whole}")
