"""Probes of a run that is still being written: where it should explore, measured by a worker."""

from __future__ import annotations

from typing import Any

from backend.errors import InputError
from backend.rl.probe import probe_cost
from backend.rl.psi import psi_cost
from backend.services import jobs, projects, prompts, run_settings
from backend.services.studio import Studio

KINDS = ("spread", "psi")
"""Where forks make the reward differ, and how much noise each step bears."""


def probe(studio: Studio, project_id: int, config: dict[str, Any], kind: str) -> dict[str, Any]:
    """Ask the workers to probe a run's settings; returns the job, whose args foretell its cost.

    Its result is {rows, independent, proposal: {changes, text}, nfe, pictures, seconds}.
    """
    if kind not in KINDS:
        raise InputError(f"There is no probe '{kind}'; there are: {', '.join(KINDS)}.")
    projects.get(studio, project_id)
    settings = run_settings.resolve(studio, project_id, config)
    cost = psi_cost(settings) if kind == "psi" else probe_cost(settings)
    args = {
        "project_id": project_id,
        "config": settings.plain(),
        "kind": kind,
        "nfe": cost.nfe,
        "pictures": cost.pictures,
    }
    return jobs.get(studio, jobs.create(studio, "probe", args))


def prompts_of(studio: Studio, project_id: int, prompt_set: str) -> list[str]:
    """The prompts that the run would train on."""
    row = prompts.named(studio, project_id, prompt_set)
    return [text for _id, text in prompts.texts(studio, row["id"])]
