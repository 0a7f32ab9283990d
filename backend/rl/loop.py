"""The one training loop: plan → sample → decode → reward → credit → update → record.

It knows no method, model family, reward or store: a method gives plans, credit and objective; a
policy gives velocities and pictures; scorers give values; records go to a sink. Everything random
follows from (seed, step, purpose), so a run resumed from a checkpoint ends as one that was never
interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from backend.errors import InputError
from backend.rl.collect import Data
from backend.rl.recipe import RunConfig
from backend.rl.team import Team
from backend.rl.trainer import Trainer
from backend.types import CheckpointState, Control, Policy, Scorer, Sink, TrainResult


def train(
    config: RunConfig,
    *,
    policy: Policy,
    rewards: Mapping[str, Scorer],
    data: Data,
    sink: Sink,
    control: Control,
    resume: CheckpointState | None = None,
    team: Team | None = None,
) -> TrainResult:
    """Train `policy`'s adapter in place; returns when done, paused or stopped, checkpoint written.

    `rewards` has a scorer for every term of the config, trained or watched. A policy that already
    carries an adapter goes on from it. Of a team, every process calls this with the same arguments.
    With `resume`, records after the checkpoint's step are made again, equal to the first ones; a
    sink replaces what it has.
    """
    if not data.prompts or len(data.heldout) < 2:
        raise InputError(
            f"There are {len(data.prompts)} prompts to train on and {len(data.heldout)} to "
            "evaluate on; a run needs at least 1 and 2."
        )
    trainer = Trainer(config, policy, rewards, data, sink, team)
    trainer.restore(resume) if resume is not None else trainer.begin()
    status: Literal["done", "paused", "stopped"] = "done"
    lacking = False
    while trainer.step < config.num_steps and not trainer.out_of_time():
        done, total = trainer.step, config.num_steps
        control.progress(done, total, f"update {done + 1} of {total}")
        wanted = trainer.team.agree(control.wanted())
        if wanted != "run":
            status = "paused" if wanted == "pause" else "stopped"
            break
        trainer.heed(trainer.team.agree(control.orders(done)))
        trainer.iterate()
        measured = trainer.step % trainer.config.evaluation.every == 0
        if measured:
            trainer.evaluate()
        if trainer.step % config.checkpoint_every == 0 or (measured and config.early_stop.gold):
            trainer.checkpoint()  # the best evaluation must be there to be delivered
        if lacking := trainer.is_lacking():
            status = "paused"
            break
        if measured and trainer.is_cheating():
            status = "stopped"
            break
    if status != "paused":
        trainer.evaluate()
    trainer.checkpoint()
    control.progress(trainer.step, config.num_steps, status)
    best = trainer.history.best_step
    return TrainResult(status, trainer.step, trainer.nfe, trainer.metrics, best, lacking)
