"""Tells a run's webhook of an alarm, trying again for a while; how it went stays with the alarm."""

from __future__ import annotations

import time
from typing import Any

from backend import hooks
from backend.errors import EnvironmentProblem
from backend.services import alarms, runs
from workers.frame import JobFrame, run_job

PAUSES_S = (0.0, 1.0, 5.0, 20.0)
"""Before each try."""


def run(job_id: int, attempt: int) -> None:
    """Args: alarm_id. A run whose webhook was taken out meanwhile tells nobody."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """Post the alarm; the last failure is the job's, and the alarm's, sentence."""
    studio, alarm_id = frame.studio, frame.args["alarm_id"]
    told = alarms.message(studio, alarm_id)
    address = runs.config_of(studio, told["run"]).alarms.webhook
    if not address:
        return {}
    for tries, pause_s in enumerate(PAUSES_S, start=1):
        frame.step(tries - 1, len(PAUSES_S), f"try {tries}")
        time.sleep(pause_s)
        try:
            status = hooks.post(address, told)
        except EnvironmentProblem as error:
            alarms.note_told(studio, alarm_id, ok=False, tries=tries, text=str(error))
            problem = error
        else:
            alarms.note_told(studio, alarm_id, ok=True, tries=tries, text=f"status {status}")
            return {"status": status, "tries": tries}
    raise problem
