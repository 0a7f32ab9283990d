"""Puts a stored judge through the eight tests of its audit and keeps the report with it."""

from __future__ import annotations

from typing import Any

from backend.services import judge_audits, rewards
from workers import auditing
from workers.frame import JobFrame, run_job


def run(job_id: int, attempt: int) -> None:
    """Args: reward_id, pairs, groups."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """Audit; what a judge on a server does not answer is counted, and no test is passed by it."""
    reward = rewards.get(frame.studio, frame.args["reward_id"])
    plan = auditing.Plan(
        reward["name"], (), frame.args["pairs"], frame.args["groups"], 0, None, None
    )
    report = auditing.examine(rewards.load(frame.studio, reward["id"]), reward["name"], plan)
    judge_audits.record(frame.studio, reward["id"], report)
    return {"passed": report["passed"], "failed": report["failed"], "calls": report["calls"]}
