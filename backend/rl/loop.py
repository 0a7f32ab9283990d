"""The one training loop: plan → sample → decode → reward → credit → update → record.

It knows no method, model family, reward or store: a method gives plans, credit and objective; a
policy gives velocities and pictures; scorers give values; records go to a sink. Everything random
follows from (seed, step, purpose), so a run resumed from a checkpoint ends as one that was never
interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from backend.errors import InputError
from backend.rl.recipe import RunConfig
from backend.rl.trainer import Trainer
from backend.types import CheckpointState, Control, Policy, Scorer, Sink, TrainResult


def train(
    config: RunConfig,
    *,
    policy: Policy,
    rewards: Mapping[str, Scorer],
    prompts: Sequence[str],
    heldout: Sequence[str],
    sink: Sink,
    control: Control,
    resume: CheckpointState | None = None,
) -> TrainResult:
    """Train `policy`'s adapter in place; returns when done, paused or stopped, checkpoint written.

    `rewards` has a scorer for every term of the config, trained or watched. A policy that already
    carries an adapter goes on from it. With `resume`, records after the checkpoint's step are made
    again, equal to the first ones; a sink replaces what it has.
    """
    if not prompts or len(heldout) < 2:
        raise InputError(
            f"There are {len(prompts)} prompts to train on and {len(heldout)} to evaluate on; "
            "a run needs at least 1 and 2."
        )
    trainer = Trainer(config, policy, rewards, prompts, heldout, sink)
    trainer.restore(resume) if resume is not None else trainer.begin()
    status: Literal["done", "paused", "stopped"] = "done"
    while trainer.step < config.num_steps and not trainer.out_of_time():
        done, total = trainer.step, config.num_steps
        control.progress(done, total, f"update {done + 1} of {total}")
        wanted = control.wanted()
        if wanted != "run":
            status = "paused" if wanted == "pause" else "stopped"
            break
        trainer.iterate()
        if trainer.step % config.evaluation.every == 0:
            trainer.evaluate()
        if trainer.step % config.checkpoint_every == 0:
            trainer.checkpoint()
    if status != "paused":
        trainer.evaluate()
    trainer.checkpoint()
    control.progress(trainer.step, config.num_steps, status)
    return TrainResult(status, trainer.step, trainer.nfe, trainer.metrics)
