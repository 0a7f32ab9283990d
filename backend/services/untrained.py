"""Better without training: best-of-N, and critique → rewrite → regenerate, measured beside runs.

A measurement is a job. What it draws are samples, what a reward says of them are scores, what a
critic asks for next is the score of that picture under the name `request`; the figures are the
job's result. So a job that is done again, or asked for twice, pays for nothing twice, and there is
no table of its own. The ways themselves: `backend.rl.refining`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import ConfigError, Conflict, InputError, NotFound
from backend.preferences.intervals import Z95
from backend.recipes import untrained as recipes
from backend.recipes.untrained import UntrainedConfig
from backend.registry import rewards as kinds
from backend.rewards.interface import Failure
from backend.services import jobs, policies, prompts, rewards, run_gains, runs, samples
from backend.services.rewards import ScoreRow
from backend.services.studio import Studio
from db import queries
from db.tables import Evaluation, Job, PromptSet, Reward, Score

KIND = "untrained"
REQUEST = "request"
"""The criterion under which a critic's word on a picture is kept: 0 with the next request as its
detail, nothing where it asks for none; a critique that failed is missing with its reason."""
MEASURES = ("picker", "gold")


@dataclass(frozen=True)
class Wanted:
    """What somebody asked for: who draws what, who picks, who says what came of it."""

    policy_id: int
    prompt_set_id: int
    picker_id: int
    gold_id: int | None
    """Asked by nobody else; None: only the picker itself says what was gained."""
    critic_id: int | None
    """Of the way "refine"."""
    settings: UntrainedConfig

    @classmethod
    def of(cls, args: dict[str, Any]) -> Wanted:
        """From a job's arguments, or from what a browser sent."""
        settings = UntrainedConfig.read(args.get("settings"))
        critic = args.get("critic_id") if settings.way == "refine" else None
        needed = [int(args[name]) for name in ("policy_id", "prompt_set_id", "picker_id")]
        return cls(needed[0], needed[1], needed[2], args.get("gold_id"), critic, settings)

    def plain(self) -> dict[str, Any]:
        """As a job's arguments."""
        ids = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**ids, "settings": self.settings.plain()}


def can_critique(kind: str, config: dict[str, Any]) -> bool:
    """Whether a reward says what to ask of the generator next."""
    says = getattr(kinds.get(kind), "critiques", None)
    try:
        return bool(says and says(kinds.get(kind).Config.read(config)))
    except ConfigError:
        return False


def found(session: Session, project_id: int, wanted: Wanted) -> tuple[dict[str, Reward], PromptSet]:
    """({picker, gold, critic}, the prompts); NotFound or InputError where they are not of the
    project."""
    policy = policies.find(session, wanted.policy_id)
    chosen = prompts.find(session, wanted.prompt_set_id)
    ids = {"picker": wanted.picker_id, "gold": wanted.gold_id, "critic": wanted.critic_id}
    asked = {name: rewards.find(session, i) for name, i in ids.items() if i is not None}
    rows: list[tuple[str, Any]] = [("Policy", policy), ("Prompt set", chosen)]
    for what, row in [*rows, *(("Reward", reward) for reward in asked.values())]:
        if row.project_id != project_id:
            raise InputError(f"{what} {row.id} is of another project; choose one of this project.")
    return asked, chosen


def ask(studio: Studio, project_id: int, wanted: Wanted, faults: Sequence[str]) -> int:
    """Ask the workers to draw, judge and measure; returns the job's id. `faults` are the checks of
    the preflight that fail."""
    if faults:
        raise Conflict(f"It would fail: {'; '.join(faults)}. Mend that, then start it again.")
    return jobs.create(studio, KIND, {"project_id": project_id, **wanted.plain()})


def options(studio: Studio, project_id: int) -> dict[str, Any]:
    """{recipes, critics, measured}: what can be asked for, and what was, newest first."""
    critics = [
        row["id"]
        for row in rewards.rows(studio, project_id)
        if can_critique(row["kind"], row["config"])
    ]
    asked = [job for job in jobs.of_kind(studio, KIND) if job["args"]["project_id"] == project_id]
    with studio.read() as session:
        measured = [_brief(session, job) for job in asked]
    return {"recipes": recipes.cards(), "critics": critics, "measured": measured}


def report(studio: Studio, project_id: int, job_id: int) -> dict[str, Any]:
    """All of one measurement: its brief, rows, pictures, and the runs that it is the baseline of.

    {…brief, rows, apart, shown, questions, drawn, runs}; `runs` as `run_gains.of_policy` with
    {same, verdict: {picker, gold}}: whether it was evaluated on the same prompts in the same way,
    and whether it beats the best of these ways (beats, level, below; None where nobody measured).
    """
    job = jobs.get(studio, job_id)
    if job["kind"] != KIND or job["args"].get("project_id") != project_id:
        raise NotFound(f"There is no measurement {job_id} in this project.")
    wanted, result = Wanted.of(job["args"]), job["result"]
    with studio.read() as session:
        asked, chosen = found(session, project_id, wanted)
        by = {name: asked.get(name) for name in MEASURES}
        began = run_gains.of_policy(session, project_id, wanted.policy_id, by)
        size = queries.prompt_counts(session, [chosen.id]).get(chosen.id, 0)
        brief = _brief(session, job)
    ended = [run for run in began if run["status"] in jobs.OVER]
    for run in ended:
        run["same"] = is_same(wanted, chosen.name, size, run["heldout"])
        run["verdict"] = {
            name: _verdict(run[name], strongest(result.get("rows", []), name), name)
            for name in MEASURES
        }
    kept = ("rows", "apart", "questions", "drawn", "unanswered")
    figures = {key: result.get(key) for key in kept}
    return {**brief, **figures, "shown": _shown(studio, result.get("shown", [])), "runs": ended}


def _shown(studio: Studio, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first picture and the kept ones of some prompts, with what was asked for them: {prompt,
    first: {id, url}, kept: {way: {id, url, request}}}."""
    ids = {i for row in rows for i in (row["first"], *(k["sample"] for k in row["kept"].values()))}
    media = {file.id: file.media for file in samples.files_of(studio, sorted(ids))}

    def picture(sample_id: int) -> dict[str, Any]:
        return {"id": sample_id, "url": samples.url(media[sample_id])}

    return [
        {
            "prompt": row["prompt"],
            "first": picture(row["first"]),
            "kept": {
                way: {**picture(one["sample"]), "request": one["request"]}
                for way, one in row["kept"].items()
            },
        }
        for row in rows
    ]


def beside_run(studio: Studio, run_id: int) -> list[dict[str, Any]]:
    """What the run's base gains without training, where that was measured by a reward of the run on
    the prompts of its evaluations, drawn as there: [{reward, job_id, way, rounds, calls, gain, se,
    verdict}], one for each reward, the newest."""
    with studio.read() as session:
        run = runs.find(session, run_id)
        last = session.scalar(
            select(Evaluation)
            .where(Evaluation.run_id == run_id)
            .order_by(Evaluation.step.desc())
            .limit(1)
        )
        done = select(Job).where(Job.kind == KIND, Job.status == "done").order_by(Job.id.desc())
        measured = [
            (job, wanted)
            for job in session.scalars(done)
            if (wanted := Wanted.of(job.args)).policy_id == run.policy_id
            and job.args["project_id"] == run.project_id
        ]
        sizes = queries.prompt_counts(session, [wanted.prompt_set_id for _job, wanted in measured])
        heldout, told = run_gains.heldout_of(run.config), {}
        for job, wanted in measured:
            chosen = session.get(PromptSet, wanted.prompt_set_id)
            if chosen is None or not is_same(wanted, chosen.name, sizes.get(chosen.id, 0), heldout):
                continue
            for measure, reward_id in (("gold", wanted.gold_id), ("picker", wanted.picker_id)):
                reward = session.get(Reward, reward_id) if reward_id else None
                name = run_gains.named(run.config, reward) if reward else None
                row = strongest(job.result.get("rows", []), measure)
                if reward is None or name is None or name in told or row is None:
                    continue
                gain = run_gains.gain(run.config, last.metrics, reward) if last else None
                told[name] = {
                    "reward": name,
                    "job_id": job.id,
                    **{key: row[key] for key in ("way", "rounds", "calls")},
                    **{key: row["gains"][measure][key] for key in ("gain", "se")},
                    "verdict": _verdict(gain, row, measure),
                }
    return list(told.values())


def is_same(wanted: Wanted, set_name: str, size: int, heldout: dict[str, Any]) -> bool:
    """Whether a run is evaluated on the same prompts, its pictures drawn in the same way."""
    settings = wanted.settings
    mine = (set_name, min(settings.num_prompts, size), settings.num_steps, settings.guidance)
    theirs = (
        heldout["set"],
        min(heldout["num_prompts"] or 0, size),
        heldout["num_steps"],
        heldout["guidance"],
    )
    return mine == theirs


def strongest(rows: Sequence[dict[str, Any]], measure: str) -> dict[str, Any] | None:
    """The way that gains most by a measure when all of its rounds are drawn; None where nobody
    knows."""
    most = max((row["rounds"] for row in rows), default=0)
    known = [
        row
        for row in rows
        if row["rounds"] == most and (row["gains"].get(measure) or {}).get("gain") is not None
    ]
    return max(known, key=lambda row: row["gains"][measure]["gain"], default=None)


def _verdict(gain: dict[str, float] | None, row: dict[str, Any] | None, measure: str) -> str | None:
    """Whether a run gains more than a way without training, by more than chance."""
    if gain is None or row is None:
        return None
    mine = row["gains"][measure]
    apart, error = gain["gain"] - mine["gain"], math.hypot(gain["se"], mine["se"] or 0.0)
    if abs(apart) <= Z95 * error:
        return "level"
    return "beats" if apart > 0 else "below"


def _brief(session: Session, job: dict[str, Any]) -> dict[str, Any]:
    """A measurement in a line: its settings with names, how far it is, the strongest way of each
    measure."""
    wanted = Wanted.of(job["args"])
    ids = {"picker": wanted.picker_id, "gold": wanted.gold_id, "critic": wanted.critic_id}
    asked = {key: session.get(Reward, i) if i else None for key, i in ids.items()}
    policy = policies.find(session, wanted.policy_id)
    chosen = session.get(PromptSet, wanted.prompt_set_id)
    rows = job["result"].get("rows", [])
    return {
        "job_id": job["id"],
        "status": job["status"],
        "error": job["error"],
        "created_at": job["created_at"],
        "wanted": wanted.plain(),
        "calls_per_picture": wanted.settings.calls_per_picture,
        "prompts": job["result"].get("prompts"),
        "names": {
            "policy": policy.name,
            "set": chosen.name if chosen else "",
            **{key: reward.name if reward else None for key, reward in asked.items()},
        },
        "strongest": {name: strongest(rows, name) for name in MEASURES},
    }


# ---------------------------------------------------------------- what workers ask


def said_before(
    studio: Studio, reward_id: int, version: str, criterion: str, sample_ids: Sequence[int]
) -> dict[int, tuple[float | None, str]]:
    """Sample → (value, detail) of those that this very version of a reward has judged."""
    told: dict[int, tuple[float | None, str]] = {}
    with studio.read() as session:
        for some in queries.batches(sample_ids):
            rows = session.execute(
                select(Score.sample_id, Score.value, Score.detail).where(
                    Score.reward_id == reward_id,
                    Score.criterion == criterion,
                    Score.version == version,
                    Score.sample_id.in_(some),
                )
            )
            told |= {sample_id: (value, detail) for sample_id, value, detail in rows}
    return told


def keep_requests(
    studio: Studio, critic_id: int, version: str, said: Mapping[int, str | Failure | None]
) -> None:
    """Keep what a critic asks for next of each sample; None: nothing."""

    def row(sample_id: int, request: str | Failure | None) -> ScoreRow:
        if isinstance(request, Failure):
            return ScoreRow(sample_id, None, request.status, request.text, REQUEST)
        if request is None:
            return ScoreRow(sample_id, None, "n/a", "", REQUEST)
        return ScoreRow(sample_id, 0.0, "ok", request, REQUEST)

    rows = [row(i, request) for i, request in said.items()]
    rewards.record_scores(studio, critic_id, rows, version)
