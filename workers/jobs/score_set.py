"""Scores a set of pictures with several rewards; what the store knows already is not asked again.

A reward that cannot be loaded, or that compares two pictures, is told with its reason and the
others go on; a picture that one cannot judge is stored as missing, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backend.errors import PalateError
from backend.rewards.interface import Checked, by_prompt, checked
from backend.services import reward_sets, rewards
from backend.services.samples import SampleFile
from workers import models
from workers.frame import JobFrame, run_job, sentence
from workers.sheets import stack

BATCH = 64


def run(job_id: int, attempt: int) -> None:
    """Args: project_id, set, reward_ids, again."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """{pictures, rewards: [{id, name, asked, known, missing, reason}]}: of each reward how many
    pictures it was asked about, how many were known, how many it has no value for, and why."""
    studio, args = frame.studio, frame.args
    shown = reward_sets.resolve(studio, args["project_id"], args["set"])
    files = reward_sets.files_of(shown)
    told = []
    total = len(args["reward_ids"]) * max(len(files), 1)
    for number, reward_id in enumerate(args["reward_ids"], 1):
        reward = rewards.get(studio, reward_id)
        said = _one(frame, reward, files, ((number - 1) * len(files), total))
        told.append({"id": reward_id, "name": reward["name"], **said})
        frame.step(number * len(files), total, f"{reward['name']}: all pictures are scored")
    return {"pictures": len(files), "rewards": told}


def _one(
    frame: JobFrame, reward: dict[str, Any], files: Sequence[SampleFile], whole: tuple[int, int]
) -> dict[str, Any]:
    nothing = {"asked": 0, "known": 0, "missing": len(files)}
    try:
        version = rewards.version_of(reward)
        scorer = checked(models.reward(reward["kind"], reward["config"]), reward["name"])
    except PalateError as error:
        return {**nothing, "reason": str(error)}
    except Exception as error:  # noqa: BLE001  a reward's own code may raise anything
        return {**nothing, "reason": sentence(error)}
    if scorer.shape == "pairwise":
        reason = "It compares two pictures and has no value for one; use it in a win rate."
        return {**nothing, "reason": reason}
    wanted = _wanted(frame, reward["id"], version, scorer, files)
    done = 0
    for part in _parts(scorer, wanted):
        images = stack([frame.studio.media.read(file.media) for file in part])
        said = scorer.score(images, [file.prompt for file in part])
        rows = reward_sets.rows_of(part, said)
        rewards.record_scores(frame.studio, reward["id"], rows, version)
        done += len(part)
        message = f"{reward['name']}: {done} of {len(wanted)} pictures scored"
        frame.step(whole[0] + len(files) - len(wanted) + done, whole[1], message)
    said_now = reward_sets.values(frame.studio, reward["id"], [file.id for file in files])
    missing = [i for i, status in enumerate(said_now.status) if status != "ok"]
    reason = next((said_now.detail[i] for i in missing if said_now.detail[i]), "")
    return {
        "asked": len(wanted),
        "known": len(files) - len(wanted),
        "missing": len(missing),
        "reason": reason,
    }


def _wanted(
    frame: JobFrame, reward_id: int, version: str, scorer: Checked, files: Sequence[SampleFile]
) -> list[SampleFile]:
    """The pictures that must be asked about, newest first; of a group all or none."""
    studio = frame.studio
    ids = [file.id for file in files]
    if frame.args["again"]:
        return list(files)
    rows = reward_sets.to_ask(reward_sets.values(studio, reward_id, ids), version)
    if scorer.shape == "groupwise":
        touched = {files[i].prompt for i in rows}
        return [file for file in files if file.prompt in touched]
    if rows and reward_sets.take_over(studio, reward_id, version, [files[i] for i in rows]):
        rows = reward_sets.to_ask(reward_sets.values(studio, reward_id, ids), version)
    return [files[i] for i in rows]


def _parts(scorer: Checked, files: Sequence[SampleFile]) -> list[list[SampleFile]]:
    """Batches; of a reward that compares inside a group one prompt each."""
    if scorer.shape != "groupwise":
        return [list(files[start : start + BATCH]) for start in range(0, len(files), BATCH)]
    groups: dict[int, list[SampleFile]] = {}
    for file, group in zip(files, by_prompt([f.prompt for f in files]).tolist(), strict=True):
        groups.setdefault(group, []).append(file)
    return list(groups.values())
