"""Better without training: what there is to choose, the preflight, and the measurements."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from app.api.deps import Body, ProjectDep, StudioDep
from backend.services import untrained
from backend.services.preflight import untrained as preflight
from backend.services.untrained import Wanted

router = APIRouter(prefix="/best-of-n/untrained", tags=["comparisons"])


class Measure(Body):
    """Who draws what, who picks, and who says what came of it."""

    policy_id: int
    prompt_set_id: int
    picker_id: int
    """The reward that keeps the best of a prompt's pictures."""
    gold_id: int | None = None
    """A reward that is asked by nobody else."""
    critic_id: int | None = None
    """A judge that says what to ask for instead; of the way `refine`."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """way, rounds, num_prompts, num_steps, guidance, seed."""


@router.get("")
def list_untrained(studio: StudioDep, project: ProjectDep) -> dict[str, Any]:
    """The recipes, the rewards that can criticise, and the measurements, newest first."""
    return untrained.options(studio, project)


@router.post("/preflight")
def preflight_untrained(body: Measure, studio: StudioDep, project: ProjectDep) -> dict[str, Any]:
    """What it will draw, ask and cost, and what would fail."""
    return preflight.check(studio, project, Wanted.of(body.model_dump()))


@router.post("", status_code=202)
def measure_untrained(body: Measure, studio: StudioDep, project: ProjectDep) -> dict[str, int]:
    """Ask the workers to draw, judge and measure."""
    wanted = Wanted.of(body.model_dump())
    faults = preflight.failing(preflight.check(studio, project, wanted))
    return {"job_id": untrained.ask(studio, project, wanted, faults)}


@router.get("/beside/{run_id}")
def read_untrained_beside(
    run_id: int, studio: StudioDep, _project: ProjectDep
) -> list[dict[str, Any]]:
    """What a run's base gains without training, by each reward of the run that it was measured
    by."""
    return untrained.beside_run(studio, run_id)


@router.get("/{job_id}")
def read_untrained(job_id: int, studio: StudioDep, project: ProjectDep) -> dict[str, Any]:
    """One measurement: its figures, its pictures, and the runs it is the baseline of."""
    return untrained.report(studio, project, job_id)
