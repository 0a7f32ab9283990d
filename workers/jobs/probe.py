"""Probes a run's settings before it is started: where it should explore, and how much."""

from __future__ import annotations

from typing import Any

from backend.rl.recipe import RunConfig
from backend.services import probes, rewards
from workers import models
from workers.frame import JobFrame, run_job


def run(job_id: int, attempt: int) -> None:
    """Args: project_id, config, kind ("spread" or "psi")."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """Sample with the base model and score with the trained rewards; nothing is stored."""
    from backend.rl.probe import probe
    from backend.rl.psi import calibrate_psi

    studio, args = frame.studio, frame.args
    config = RunConfig.read(args["config"])
    texts = probes.prompts_of(studio, args["project_id"], config.prompt_set)
    scorers = {t.name: rewards.load_term(studio, t.kind, t.config) for t in config.rewards}
    policy = models.policy(config.policy.family, config.policy.config)
    measure = calibrate_psi if args["kind"] == "psi" else probe
    return measure(config, policy, scorers, texts, say=frame.step).plain()
