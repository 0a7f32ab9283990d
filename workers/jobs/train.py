"""Trains a run: loads its model, rewards and last checkpoint, and keeps what the loop records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backend.errors import CheckpointError, NotFound
from backend.services import alarms, jobs, labels, policies, records, rewards, runs
from backend.services.records import Fence
from backend.services.studio import Studio
from backend.types import CheckpointState
from workers import launch, models, remote_scorer
from workers.frame import Interrupted, JobFrame, run_job
from workers.lookout import Lookout, Watched
from workers.remote_scorer import Desk, RemoteScorer
from workers.sheets import stack
from workers.sink import StoreSink
from workers.steering import Steering

if TYPE_CHECKING:
    from backend.rl.collect import Data
    from backend.rl.recipe import RunConfig
    from backend.rl.team import Team
    from backend.services.policies import PolicySpec
    from backend.types import Control, Sink, TrainResult
    from workers.member import Follower


def run(job_id: int, attempt: int) -> None:
    """Args: run_id. Goes on from the run's last checkpoint if there is one."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """Train here, or let the processes that the run asks for do it together."""
    from backend.rl.team import Alone

    num = runs.config_of(frame.studio, frame.args["run_id"]).processes
    try:
        return trained(frame, Alone()) if num == 1 else launch.run(frame, num)
    except Interrupted:
        return _broken_off(frame)


def trained(frame: JobFrame, team: Team) -> dict[str, Any]:
    """Train until done, paused or stopped; then deliver the adapter as a policy."""
    studio, run_id = frame.studio, frame.args["run_id"]
    fence = Fence(frame.job_id, frame.attempt)
    config = runs.config_of(studio, run_id)
    data = data_of(studio, run_id, config)
    remote_scorer.forget_leftovers(studio, run_id)
    saved = last_checkpoint(studio, run_id)
    records.rewind(studio, run_id, saved.step if saved else -1, fence=fence)
    alarms.rewind(studio, run_id, saved.step if saved else -1)
    start = policies.spec(studio, runs.get(studio, run_id)["policy_id"])
    steering = Steering(frame, run_id)
    sink = Watched(StoreSink(studio, run_id, fence), Lookout(studio, run_id, config, steering))
    task = _Task(run_id, frame.job_id, config, data, saved, start)
    result = _train(studio, team.agree(task), team, sink, steering)
    if result.lacking:  # as if somebody had asked, or another worker would take it up at once
        runs.want(studio, run_id, "pause")
    if result.status != "paused":
        adapter, step = sink.store.delivered, result.step
        if config.early_stop.gold and result.best_step:
            adapter, step = records.adapter_at(studio, run_id, result.best_step), result.best_step
        records.save_tuned_policy(studio, run_id, adapter, step, fence=fence)
    return {"ended": result.status, "step": result.step, "nfe": result.nfe}


def followed(studio: Studio, team: Team, follower: Follower) -> None:
    """Do this process's share of a run whose first process is at `trained`."""
    task: _Task | None = team.agree(None)
    assert task is not None, "only the first process of a team reads the run"
    _train(studio, task, team, follower, follower)


@dataclass(frozen=True)
class _Task:
    """All that a process needs to know of a run; the first one reads it for the others."""

    run_id: int
    job_id: int
    config: RunConfig
    data: Data
    saved: CheckpointState | None
    start: PolicySpec


def _train(studio: Studio, task: _Task, team: Team, sink: Sink, control: Control) -> TrainResult:
    from backend.rl.loop import train

    start, desk = task.start, Desk(studio, task.run_id, task.job_id, control)
    terms = [*task.config.rewards, *task.config.watch]
    inline = task.config.scoring.where == "inline"
    scorers = {
        term.name: rewards.load_term(studio, term.kind, term.config, task.run_id)
        if inline
        else RemoteScorer(desk, term.name, term.kind, term.config)
        for term in terms
    }
    policy = models.fresh(start.family, start.config, start.adapter)
    return train(
        task.config,
        policy=control.hurried(policy) if isinstance(control, Steering) else policy,
        rewards=scorers,
        data=task.data,
        sink=sink,
        control=control,
        resume=task.saved,
        team=team,
    )


def _broken_off(frame: JobFrame) -> dict[str, Any]:
    """The end of a run that was stopped in the middle of an update: its last checkpoint counts."""
    studio, run_id = frame.studio, frame.args["run_id"]
    saved = records.latest_checkpoint(studio, run_id)
    ended = jobs.OBEYED.get(frame.wanted(), "paused")
    if saved is not None and ended == "stopped":
        fence, adapter = Fence(frame.job_id, frame.attempt), saved.ema or saved.adapter
        records.save_tuned_policy(studio, run_id, adapter, saved.step, fence=fence)
    return {"ended": ended, "step": saved.step if saved else 0}


def data_of(studio: Studio, run_id: int, config: RunConfig) -> Data:
    """Prompts, and the judged pairs if the method learns from them.

    Pairs of held-out prompts are left out: the run is measured on those.
    """
    from backend.rl.collect import Data, Pairs
    from backend.rl.recipe import learns_from_pairs

    prompts, heldout = runs.prompts_of(studio, run_id)
    if not learns_from_pairs(config):
        return Data(prompts, heldout)
    simulated = {"people": False, "simulated": True, "both": None}[config.labels]
    project_id = runs.get(studio, run_id)["project_id"]
    held = set(heldout)
    found = [
        pair
        for pair in labels.judged(studio, project_id, simulated=simulated)
        if pair.choice in ("left", "right") and pair.prompt not in held
    ]
    if not found:
        return Data(prompts, heldout)
    sides = [(p.left_media, p.right_media)[:: 1 if p.choice == "left" else -1] for p in found]
    read = {name: studio.media.read(name) for pair in sides for name in pair}
    winners, losers = (stack([read[pair[side]] for pair in sides]) for side in (0, 1))
    return Data(prompts, heldout, Pairs([pair.prompt for pair in found], winners, losers))


def last_checkpoint(studio: Studio, run_id: int) -> CheckpointState | None:
    """The state a run goes on from, read back from the media; None before its first checkpoint."""
    from backend.rl.checkpoint import unpack

    row = records.latest_checkpoint(studio, run_id)
    if row is None:
        return None
    names = {"adapter": row.adapter, "optimiser": row.optimiser, "ema": row.ema}
    try:
        files = {part: studio.media.read(name) for part, name in names.items() if name}
    except NotFound as error:
        raise CheckpointError(
            f"Run {run_id} cannot go on: a file of its checkpoint at step {row.step} is gone "
            f"({error}) Put the file back, or clone the run to begin anew."
        ) from error
    return unpack(row.step, files, row.state)
