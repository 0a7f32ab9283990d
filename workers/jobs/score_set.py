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
        if not frame.args["again"] and not _unsettled(frame, reward["id"], version, files):
            return _told(frame, reward["id"], files, 0)  # known in full: nothing is loaded
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
    return _told(frame, reward["id"], files, len(wanted))


def _told(
    frame: JobFrame, reward_id: int, files: Sequence[SampleFile], asked: int
) -> dict[str, Any]:
    """What is said of a reward that was asked about so many of the pictures."""
    now = reward_sets.values(frame.studio, reward_id, [file.id for file in files])
    missing = [i for i, status in enumerate(now.status) if status != "ok"]
    reason = next((now.detail[i] for i in missing if now.detail[i]), "")
    known = len(files) - asked
    return {"asked": asked, "known": known, "missing": len(missing), "reason": reason}


def _unsettled(
    frame: JobFrame, reward_id: int, version: str, files: Sequence[SampleFile]
) -> list[int]:
    """Rows of the pictures that this version of a reward has not settled in their own samples."""
    ids = [file.id for file in files]
    return reward_sets.to_ask(reward_sets.values(frame.studio, reward_id, ids), version)


def _wanted(
    frame: JobFrame, reward_id: int, version: str, scorer: Checked, files: Sequence[SampleFile]
) -> list[SampleFile]:
    """The pictures that must be asked about, newest first; of a group all or none."""
    if frame.args["again"]:
        return list(files)
    rows = _unsettled(frame, reward_id, version, files)
    if scorer.shape == "groupwise":
        touched = {files[i].prompt for i in rows}
        return [file for file in files if file.prompt in touched]
    if rows and reward_sets.take_over(frame.studio, reward_id, version, [files[i] for i in rows]):
        rows = _unsettled(frame, reward_id, version, files)
    return [files[i] for i in rows]


def _parts(scorer: Checked, files: Sequence[SampleFile]) -> list[list[SampleFile]]:
    """Batches; of a reward that compares inside a group one prompt each."""
    if scorer.shape != "groupwise":
        return [list(files[start : start + BATCH]) for start in range(0, len(files), BATCH)]
    groups: dict[int, list[SampleFile]] = {}
    for file, group in zip(files, by_prompt([f.prompt for f in files]).tolist(), strict=True):
        groups.setdefault(group, []).append(file)
    return list(groups.values())
