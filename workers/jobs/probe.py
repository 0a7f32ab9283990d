"""Probes a run's settings before it is started: where it should explore, and how much."""

from __future__ import annotations

from typing import Any

from backend.rl.recipe import RunConfig
from backend.services import probes, rewards
from workers import models
from workers.frame import Interrupted, JobFrame, run_job


def run(job_id: int, attempt: int) -> None:
    """Args: project_id, config, kind ("spread", "psi" or "step")."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """Sample with the base model and score with the trained rewards; nothing is stored."""
    from backend.rl.probe import probe
    from backend.rl.psi import calibrate_psi

    studio, args = frame.studio, frame.args
    config = RunConfig.read(args["config"])
    texts = probes.prompts_of(studio, args["project_id"], config.prompt_set)
    if args["kind"] == "step":
        return _tried(frame, config, texts)
    scorers = {t.name: rewards.load_term(studio, t.kind, t.config) for t in config.rewards}
    policy = models.policy(config.policy.family, config.policy.config)
    measure = calibrate_psi if args["kind"] == "psi" else probe
    return measure(config, policy, scorers, texts, say=frame.step).plain()


def _tried(frame: JobFrame, config: RunConfig, texts: list[str]) -> dict[str, Any]:
    """A step of the run itself, everything loaded; its records are thrown away."""
    from backend.rl.collect import Data
    from backend.rl.trial import measure

    studio = frame.studio
    heldout = probes.prompts_of(studio, frame.args["project_id"], config.heldout_set)
    terms = [*config.rewards, *config.watch]
    scorers = {t.name: rewards.load_term(studio, t.kind, t.config) for t in terms}
    policy = models.fresh(config.policy.family, config.policy.config)
    found = measure(config, policy, scorers, Data(texts, heldout), _Step(frame))
    if found is None:
        raise Interrupted
    return found.plain()


class _Step:
    """How people reach a trial: it can be stopped, and has no other orders."""

    def __init__(self, frame: JobFrame) -> None:
        self.wanted, self.progress = frame.wanted, frame.progress

    def orders(self, step: int) -> Any:
        """None but to go on."""
        from backend.types import Orders

        return Orders()
