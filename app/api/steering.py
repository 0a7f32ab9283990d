"""A run that goes on: stop at once, settings that may change, orders, alarms and its log."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from app.api.deps import Body, Limit, ProjectDep, StudioDep, UserDep
from backend.services import alarms, orders, run_log, runs
from backend.types import HALT

router = APIRouter(tags=["runs"])


class Change(Body):
    """Another value of a setting, from the next update on."""

    key: str
    """A changeable setting by its path, such as optim.lr or rewards.verifier.weight."""
    value: float | int
    """Its value from now on."""


class Order(Body):
    """Something to do before the next update."""

    what: Literal["sample", "checkpoint"]
    """Draw the fixed prompts, or keep the whole state."""


@router.post("/runs/{run_id}/halt")
def halt_run(run_id: int, studio: StudioDep, _project: ProjectDep) -> dict[str, Any]:
    """End a run at once, in the middle of an update: its last checkpoint counts."""
    return runs.want(studio, run_id, HALT)


@router.get("/runs/{run_id}/orders")
def list_orders(run_id: int, studio: StudioDep, _project: ProjectDep) -> dict[str, Any]:
    """What people asked of a run while it went on, and which settings may change."""
    return orders.rows(studio, run_id)


@router.post("/runs/{run_id}/changes", status_code=201)
def change_run(
    run_id: int, body: Change, studio: StudioDep, user: UserDep, _project: ProjectDep
) -> dict[str, Any]:
    """Change a setting of a run from its next update on; kept with step and person."""
    return orders.change(studio, run_id, body.key, body.value, user["name"])


@router.post("/runs/{run_id}/orders", status_code=201)
def order_run(
    run_id: int, body: Order, studio: StudioDep, user: UserDep, _project: ProjectDep
) -> dict[str, Any]:
    """Draw the fixed prompts or write a checkpoint before the next update."""
    return orders.ask(studio, run_id, body.what, user["name"])


@router.get("/runs/{run_id}/alarms")
def list_alarms(run_id: int, studio: StudioDep, _project: ProjectDep) -> list[dict[str, Any]]:
    """All alarms of a run with their evidence, the newest first, closed ones too."""
    return alarms.of_run(studio, run_id)


@router.post("/runs/{run_id}/alarms/{alarm_id}/close")
def close_alarm(
    run_id: int, alarm_id: int, studio: StudioDep, user: UserDep, _project: ProjectDep
) -> dict[str, Any]:
    """Put an alarm away; it does not fire anew."""
    return alarms.close(studio, run_id, alarm_id, user["name"], again=False)


@router.post("/runs/{run_id}/alarms/{alarm_id}/open")
def open_alarm(
    run_id: int, alarm_id: int, studio: StudioDep, user: UserDep, _project: ProjectDep
) -> dict[str, Any]:
    """Open an alarm again."""
    return alarms.close(studio, run_id, alarm_id, user["name"], again=True)


@router.get("/alarm-rules")
def list_rules() -> list[dict[str, Any]]:
    """Every rule that runs are watched by, and when it fires."""
    return alarms.rules()


@router.get("/runs/{run_id}/log")
def read_log(
    run_id: int,
    studio: StudioDep,
    _project: ProjectDep,
    level: Literal["info", "warning", "error"] = "info",
    words: Annotated[str, Query(max_length=200)] = "",
    before: int | None = None,
    around: int | None = None,
    limit: Limit = run_log.PAGE,
) -> dict[str, Any]:
    """Lines of a run's log from a level on, the newest first."""
    return run_log.page(
        studio, run_id, level=level, words=words, before=before, around=around, limit=limit
    )
