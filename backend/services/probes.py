"""Probes of a run that is still being written: where it should explore, measured by a worker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backend.errors import ConfigError, InputError
from backend.rl import trial as trials
from backend.rl.cost import predict
from backend.rl.probe import ProbeCost, probe_cost
from backend.rl.psi import psi_cost
from backend.rl.recipe import RunConfig, learns_from_pairs
from backend.services import glances, jobs, projects, prompts, run_settings
from backend.services.studio import Studio

KINDS = ("spread", "psi", "step")
"""Where forks make the reward differ, how much noise each step bears, and what a step takes."""
NO_MATTER = {
    *("recipe", "num_steps", "minutes", "checkpoint_every", "record_groups", "early_stop", "seed"),
    *("prompt_set", "heldout_set", "labels", "scoring"),
}
"""Settings that change neither the memory nor the time of a step."""


@dataclass(frozen=True)
class Trial(trials.Trial):
    """What a step of some settings took."""

    fits: bool = False
    """It was made with the very settings that are asked about."""


def probe(studio: Studio, project_id: int, config: dict[str, Any], kind: str) -> dict[str, Any]:
    """Ask the workers to probe a run's settings; returns the job, whose args foretell its cost.

    Its result is {rows, independent, proposal: {changes, text}, nfe, pictures, seconds}, or of a
    step what `Trial` has.
    """
    if kind not in KINDS:
        raise InputError(f"There is no probe '{kind}'; there are: {', '.join(KINDS)}.")
    projects.get(studio, project_id)
    settings = run_settings.resolve(studio, project_id, config)
    cost = COSTS[kind](settings)
    args = {
        "project_id": project_id,
        "config": settings.plain(),
        "kind": kind,
        "nfe": cost.nfe,
        "pictures": cost.pictures,
        "key": key_of(settings),
    }
    return jobs.get(studio, jobs.create(studio, "probe", args))


def step_cost(config: RunConfig) -> ProbeCost:
    """What trying a step costs: its updates, an evaluation before and one after."""
    if learns_from_pairs(config):
        raise ConfigError(
            f"'{config.method.name}' learns from judged pairs, and only a run reads those; "
            "start it with few updates to see what one takes.",
            field="method.name",
        )
    cost = predict(trials.short(config))
    updates = trials.UPDATES
    return ProbeCost(updates * cost.nfe + 2 * cost.nfe_evaluation, updates * cost.pictures)


COSTS: dict[str, Callable[[RunConfig], ProbeCost]] = {
    "psi": psi_cost,
    "spread": probe_cost,
    "step": step_cost,
}
"""Kind of probe → what it will cost."""


def key_of(config: RunConfig) -> str:
    """The same for settings whose steps take the same."""
    said = config.model_dump(mode="json", exclude=NO_MATTER)
    said["evaluation"] = config.evaluation.num_prompts
    for at, terms in (("rewards", config.rewards), ("watch", config.watch)):
        said[at] = [[term.kind, term.name, glances.settled(term)] for term in terms]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:24]


def latest_trial(studio: Studio, config: RunConfig) -> Trial | None:
    """The latest step that was tried with these settings, else the latest of any."""
    done = [
        job
        for job in jobs.of_kind(studio, "probe")
        if job["status"] == "done" and job["args"].get("kind") == "step" and job["result"]
    ]
    key = key_of(config)
    mine = next((job for job in done if job["args"].get("key") == key), None)
    job = mine or next(iter(done), None)
    return Trial(**job["result"], fits=mine is not None) if job else None


def prompts_of(studio: Studio, project_id: int, prompt_set: str) -> list[str]:
    """The prompts that the run would train on."""
    row = prompts.named(studio, project_id, prompt_set)
    return [text for _id, text in prompts.texts(studio, row["id"])]
