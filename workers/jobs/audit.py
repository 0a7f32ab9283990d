"""Puts a stored judge through the tests of its audit and keeps the report with it."""

from __future__ import annotations

from typing import Any

from backend.services import rewards
from workers import auditing
from workers.frame import JobFrame, run_job


def run(job_id: int, attempt: int) -> None:
    """Args: reward_id, pairs, groups, own, simulated."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """Audit; what a judge on a server does not answer is counted, and no test is passed by it."""
    args = frame.args
    reward = rewards.get(frame.studio, args["reward_id"])
    sizes = (args["pairs"], args["groups"])
    plan = auditing.Plan(
        reward["name"],
        (),
        *sizes,
        seed=0,
        json=None,
        home=None,
        own=args.get("own", False),
        simulated=args.get("simulated", False),
    )
    judge = auditing.stored(frame.studio, reward["id"])
    report = auditing.examine(judge, plan)
    judge.keep(report)
    return {"passed": report["passed"], "failed": report["failed"], "calls": report["calls"]}
