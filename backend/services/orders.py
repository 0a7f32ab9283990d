"""Orders: what people ask of a run that goes on, besides its end.

A setting to change, pictures now, a checkpoint now. An order waits until the loop stands between
two updates, and is then written down with the step where it was heeded. There a resumed run heeds
it again, so what was changed stays changed and the same bits come out.
"""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import ConfigError, Conflict, InputError
from backend.rl import steering
from backend.rl.recipe import RunConfig
from backend.services import events, run_rows, runs
from backend.services.studio import Studio
from backend.types import Orders
from db.tables import RunOrder

NOW = {"sample": "draw the fixed prompts", "checkpoint": "write a checkpoint"}
"""What a running run can be asked to do at once."""
WORD = {"sample": "The fixed prompts were drawn", "checkpoint": "A checkpoint was written"}


def change(studio: Studio, run_id: int, key: str, value: float, by: str) -> dict[str, Any]:
    """Ask for another value of a setting from the next update on; returns the order.

    Raises a ConfigError for a setting that has to stay, a value that cannot be or that holds
    already, and Conflict once the run is done.
    """
    if not math.isfinite(value):
        raise ConfigError(f"'{key}' was given {value}; give a finite number.", field=key)
    with studio.write() as session:
        run = runs.find(session, run_id, lock=True)
        if run.status == "done":
            raise Conflict(f"Run {run_id} is done; clone it to train with other settings.")
        config = RunConfig.read(run.config)
        given = [(o.detail["key"], o.detail["value"]) for o in _settings(session, run_id)]
        was = steering.value_of(steering.changed(config, given), key)
        read = steering.value_of(steering.changed(config, [*given, (key, value)]), key)
        if read == was:
            raise ConfigError(f"'{key}' is {was} already; nothing would change.", field=key)
        detail = {"key": key, "value": read, "was": was}
        order = RunOrder(run_id=run_id, kind="setting", detail=detail, by=by)
        session.add(order)
        session.flush()
        what = steering.changeable(config)[key]
        text = f"{what}: {by} asked for {_text(read)} instead of {_text(was)}."
        events.write(session, text, run_id=run_id, kind="change", data=detail)
        return _row(order)


def ask(studio: Studio, run_id: int, what: str, by: str) -> dict[str, Any]:
    """Ask a running run to do something before its next update; returns the order."""
    if what not in NOW:
        raise InputError(f"A run can be asked to {', '.join(NOW)} now, not to '{what}'.")
    with studio.write() as session:
        run = runs.find(session, run_id, lock=True)
        if run.status != "running" or run.wanted != "run":
            raise Conflict(f"Run {run_id} is not at work, so it cannot {NOW[what]}; resume it.")
        if what == "sample" and not RunConfig.read(run.config).evaluation.fixed_prompts:
            raise Conflict(
                f"Run {run_id} keeps no pictures (evaluation.fixed_prompts is 0); clone it with "
                "some."
            )
        waiting = session.scalar(
            select(RunOrder).where(
                RunOrder.run_id == run_id, RunOrder.kind == what, RunOrder.step.is_(None)
            )
        )
        if waiting is not None:
            return _row(waiting)
        order = RunOrder(run_id=run_id, kind=what, detail={}, by=by)
        session.add(order)
        session.flush()
        text = f"{by} asked the run to {NOW[what]} now."
        events.write(session, text, run_id=run_id, kind="change", data={"order": what})
        return _row(order)


def rows(studio: Studio, run_id: int) -> dict[str, Any]:
    """{orders, settings}: every order by age, and what may change with its value as asked last;
    nothing of a run that another trainer made."""
    with studio.read() as session:
        run = runs.find(session, run_id)
        if run_rows.is_imported(run):
            return {"orders": [], "settings": []}
        config = RunConfig.read(run.config)
        found = list(_all(session, run_id))
        given = [(o.detail["key"], o.detail["value"]) for o in found if o.kind == "setting"]
        now = steering.changed(config, given)
        return {
            "orders": [_row(order) for order in found],
            "settings": [
                {
                    "key": key,
                    "title": title,
                    "value": steering.value_of(now, key),
                    "given": steering.value_of(config, key),
                }
                for key, title in steering.changeable(config).items()
            ],
        }


def heed(studio: Studio, run_id: int, step: int) -> list[dict[str, Any]]:
    """All orders; those that waited are heeded after `step` updates, and say so."""
    with studio.read() as session:
        found = _all(session, run_id)
        if all(order.step is not None for order in found):
            return [_row(order) for order in found]
    with studio.write() as session:
        found = _all(session, run_id)
        for order in found:
            if order.step is None:
                order.step = step
                _say(session, run_id, order)
        return [_row(order) for order in found]


def holding(orders: list[dict[str, Any]], step: int) -> Orders:
    """What these orders ask after `step` updates: a function of the two alone."""
    changes = [
        (order["key"], order["value"])
        for order in orders
        if order["kind"] == "setting" and order["step"] <= step
    ]
    now = {order["kind"] for order in orders if order["step"] == step}
    return Orders(tuple(changes), "sample" in now, "checkpoint" in now)


def _say(session: Session, run_id: int, order: RunOrder) -> None:
    step, told = order.step or 0, order.detail
    if order.kind == "setting":
        text = (
            f"From update {step + 1} on {told['key']} is {_text(told['value'])} (was "
            f"{_text(told['was'])}), as {order.by} asked."
        )
    else:
        text = f"{WORD[order.kind]} at step {step}, as {order.by} asked."
    data = {"step": step, **told}
    events.write(session, text, run_id=run_id, kind="change", data=data)


def _all(session: Session, run_id: int) -> list[RunOrder]:
    query = select(RunOrder).where(RunOrder.run_id == run_id).order_by(RunOrder.id)
    return list(session.scalars(query))


def _settings(session: Session, run_id: int) -> list[RunOrder]:
    return [order for order in _all(session, run_id) if order.kind == "setting"]


def _row(order: RunOrder) -> dict[str, Any]:
    return {
        "id": order.id,
        "kind": order.kind,
        "step": order.step,
        "by": order.by,
        "asked_at": order.asked_at,
        **order.detail,
    }


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
