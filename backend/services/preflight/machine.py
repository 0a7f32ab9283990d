"""Where a run is done: its model, the memory and the time it takes, the disk, the workers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from backend.pocket import PIPELINE_DIR
from backend.registry import policies as families
from backend.rl.cost import RunCost
from backend.rl.footprint import PROCESS, Model, footprint, less, read_model
from backend.rl.peak import memory_of_machine
from backend.rl.recipe import RunConfig
from backend.services import jobs, probes, run_rows, workers
from backend.services.durations import spell
from backend.services.preflight.line import Fix, Line, amount, between, changing
from backend.services.studio import Studio
from db import queries
from db.tables import Iteration, Run

POCKET = "pocket"
PICTURE_BYTES = 1.2
"""A pixel of a recorded picture as PNG; pictures of the pocket world need less."""
LATENT_BYTES = 0.5
"""A pixel's part of its latent: 16 channels in half precision at an eighth of the side."""
NODES_BYTES = 40_000
"""The nodes of a recorded group in the store."""
CHECKPOINT_BYTES = 15_000_000
"""One checkpoint, where no probe has measured it: adapter, optimiser, state."""
ROOM = 3
"""The disk should hold this many times what the run is expected to write."""
TIGHT, FULL = 0.85, 0.97
"""Shares of a device's memory from which a run is warned about, and from which it would not fit."""
GPU = Path("/dev/nvidia0")


@dataclass(frozen=True)
class Pace:
    """How long a run takes, and who says so."""

    seconds_per_step: float | None = None
    seconds_evaluation: float = 0.0
    by: str = ""

    def total(self, config: RunConfig) -> float | None:
        """Seconds of the whole run, its evaluations included; `minutes` bounds its updates."""
        if self.seconds_per_step is None:
            return None
        steps = self.seconds_per_step * config.num_steps
        if config.minutes is not None:
            steps = min(steps, config.minutes * 60)
        evaluations = 1 + -(-config.num_steps // config.evaluation.every)
        return steps + evaluations * self.seconds_evaluation


def model_line(config: RunConfig) -> Line:
    """That the model's files are at hand, or where they will come from."""
    settings = config.policy.config
    weights = str(settings.get("weights", ""))
    title = families.get(config.policy.family).TITLE
    if weights == POCKET:
        if (PIPELINE_DIR / "model_index.json").is_file():
            return Line("Model", f"{title}, pocket")
        reason = (
            f"The pocket model is not in {PIPELINE_DIR}; get the repository's static folder again."
        )
        return Line("Model", POCKET, "fail", reason)
    folder = Path(weights).expanduser()
    if (folder / "model_index.json").is_file():
        return Line("Model", f"{title}, {folder.name}")
    pocket = {"text": "the pocket model", "changes": {"policy.config.weights": "pocket"}}
    if weights.count("/") == 1 and not weights.startswith((".", "/", "~")):
        reason = (
            "A hub id: its files are fetched when the run starts, if the worker may; where its "
            "licence has to be accepted, do that on its page first."
        )
        return Line("Model", weights, "warn", reason, pocket)
    return Line("Model", weights, "fail", f"There is no model in the folder {weights}.", pocket)


def read_files(config: RunConfig) -> Model | None:
    """The facts of the model that a run names, where its folder is at hand."""
    settings = config.policy.config
    weights = str(settings.get("weights", ""))
    folder = PIPELINE_DIR if weights == POCKET else Path(weights).expanduser()
    return read_model(folder, settings) if folder.is_dir() else None


def memory_line(config: RunConfig, model: Model | None, trial: probes.Trial | None) -> Line:
    """Measured by a probe of these very settings, else a range from the model's files."""
    title, asked = "Memory", {"text": "Measure it with a step of this run", "probe": "step"}
    if trial is not None and trial.fits:
        value = f"{amount(trial.peak_bytes)} of {amount(trial.total_bytes)}"
        share = trial.peak_bytes / trial.total_bytes if trial.total_bytes else 0.0
        reason = f"Measured: the peak of a step on {trial.device}, rewards and checkpoint included."
        if share >= FULL:
            return Line(title, value, "fail", reason, _smaller(config, model, trial.total_bytes))
        if share >= TIGHT:
            return Line(title, value, "warn", f"{reason} Little is left for anything else.")
        return Line(title, value, reason=reason)
    if model is None:
        reason = "The files of this model are not here, so nothing is known before a probe."
        return Line(title, "unknown", "warn", reason, asked)
    found, rest = footprint(config, model), 0.0 if GPU.exists() else PROCESS
    low, high = found.low + rest, found.high + rest
    total = trial.total_bytes if trial else 0 if GPU.exists() else memory_of_machine()
    value = between(low, high) + (f" of {amount(total)}" if total else "")
    if total and low > FULL * total:
        reason = "Estimated: even the least it may need does not fit."
        return Line(title, value, "fail", reason, _smaller(config, model, total))
    if total and high > TIGHT * total:
        return Line(title, value, "warn", "Estimated: it may not fit, so measure it first.", asked)
    return Line(
        title, value, reason="Estimated from the model's files, without the rewards.", fix=asked
    )


def _smaller(config: RunConfig, model: Model | None, total: float) -> Fix:
    """Smaller batches, the largest that fit by the estimate; the numbers of the run are the same
    to rounding."""
    share, changes = 0.5, less(config, 0.5)
    while model is not None and share > 1 / 64:
        changes = less(config, share)
        tried = config.model_copy(
            update={
                "sampling": config.sampling.model_copy(
                    update={
                        path.removeprefix("sampling."): value
                        for path, value in changes.items()
                        if path.startswith("sampling.")
                    }
                ),
                "optim": config.optim.model_copy(
                    update={"checkpointing": changes.get("optim.checkpointing", False)}
                ),
            }
        )
        if footprint(tried, model).high + PROCESS < TIGHT * total:
            break
        share /= 2
    return {"text": f"batches of {changes['sampling.update_batch_size']}", "changes": changes}


def pace(studio: Studio, project_id: int, cost: RunCost, trial: probes.Trial | None) -> Pace:
    """From a probe of these settings; else from the latest run, by its number of evaluations."""
    if trial is not None and trial.fits:
        return Pace(
            trial.seconds_per_step, trial.seconds_evaluation, f"Measured on {trial.device}."
        )
    with studio.read() as session:
        last = session.scalar(
            select(Run.id)
            .where(Run.project_id == project_id, Run.step > 0)
            .order_by(Run.id.desc())
            .limit(1)
        )
        if last is None:
            return Pace()
        seconds = queries.recent_step_seconds(session, [last], run_rows.RECENT).get(last)
        nfe = session.scalar(select(func.avg(Iteration.nfe)).where(Iteration.run_id == last))
    if not seconds or not nfe:
        return Pace()
    each = seconds / float(nfe)
    by = f"Estimated: the latest run, {last}, took {1000 * each:.1f} ms an evaluation."
    return Pace(each * cost.nfe, each * cost.nfe_evaluation / 2, by)


def time_line(config: RunConfig, pace: Pace) -> Line:
    """Seconds of an update and of the whole run."""
    total = pace.total(config)
    if pace.seconds_per_step is None or total is None:
        reason = "No run of this project has been timed yet."
        return Line("Time", "unknown before a probe", reason=reason)
    value = f"{spell(pace.seconds_per_step)} an update, {spell(total)} in all"
    return Line("Time", value, reason=pace.by)


def process_line(config: RunConfig) -> Line:
    """Processes share the prompts of an update; a remainder leaves some of them waiting."""
    num, prompts_ = config.processes, config.sampling.prompts_per_step
    if num == 1:
        return Line("Processes", f"1 takes all {prompts_:,} prompts of an update")
    value = f"{num} share {prompts_:,} prompts"
    if prompts_ % num == 0:
        return Line("Processes", value)
    more = prompts_ + num - prompts_ % num
    return Line(
        "Processes",
        value,
        "warn",
        f"{prompts_:,} does not divide by {num}, so some wait for the others in every update.",
        {"text": f"{more:,} prompts", "changes": {"sampling.prompts_per_step": more}},
    )


def disk_line(
    studio: Studio,
    config: RunConfig,
    cost: RunCost,
    model: Model | None,
    trial: probes.Trial | None,
) -> Line:
    """What the run writes, against what is free."""
    free, steps = studio.media.free_bytes(), config.num_steps
    side = model.side if model else 1024
    each = cost.pictures / max(config.sampling.prompts_per_step, 1)
    group = NODES_BYTES + each * side**2 * PICTURE_BYTES
    kept = trial.disk_bytes if trial and trial.disk_bytes else CHECKPOINT_BYTES
    checkpoints = (steps // config.checkpoint_every + 1) * kept
    latents = config.record_groups * each * side**2 * LATENT_BYTES
    recorded = config.record_groups * group + min(latents, config.record_latents * 1e6)
    need = steps * recorded + checkpoints
    if free is None:
        return Line("Disk", f"about {amount(need)}", reason="Media are kept elsewhere.")
    value = f"about {amount(need)} of {amount(free)} free"
    if need > free:
        reason = "The run would fill the disk."
        return Line("Disk", value, "fail", reason, _lighter(steps, kept, free))
    if need * ROOM > free:
        fix = changing("record one group an update", record_groups=1)
        reason = "Little would be left for anything else."
        return Line("Disk", value, "warn", reason, fix if config.record_groups > 1 else None)
    return Line("Disk", value)


def _lighter(steps: int, kept: float, free: float) -> Fix:
    """No pictures, and as many checkpoints as fit; where not even two do, a shorter way is none."""
    num = max(int(free / kept / 2), 1)
    every = max(-(-steps // num), 1)
    return changing(
        f"record no pictures, a checkpoint every {every:,}",
        record_groups=0,
        checkpoint_every=every,
    )


def output_line(studio: Studio) -> Line:
    """A run has a number of its own, so nothing of another is ever overwritten."""
    if studio.media.is_writable():
        return Line("Output", "free", reason="Its own number: nothing is overwritten.")
    reason = "The folder of the media cannot be written; let the studio's user write there."
    return Line("Output", "closed", "fail", reason)


def worker_line(studio: Studio) -> Line:
    """Who will do it, and who waits before it."""
    alive = [row for row in workers.rows(studio) if row["state"] != "gone"]
    alive = [row for row in alive if "train" in row["queue"].split(",")]
    waiting = sum(job["queue"].startswith("train") for job in jobs.due(studio))
    if not alive:
        return Line(
            "Worker",
            "none on the train queue",
            "warn",
            "The run waits until a worker comes: start one with 'palate worker train'.",
            {"text": "See the workers", "url": "/workers"},
        )
    free = sum(row["state"] == "idle" for row in alive)
    value = f"{free} of {len(alive)} free on the train queue"
    if free and not waiting:
        return Line("Worker", value)
    if waiting:
        reason = f"{waiting} wait before it; the Runs page changes the order."
    else:
        reason = "It waits for the next free one; the Runs page changes the order."
    return Line("Worker", value, reason=reason)
