"""Simulated annotators judge open pairs; their labels are kept apart from people's."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from backend.errors import InputError
from backend.preferences.simulated import Annotator, annotators
from backend.services import labels, pairs, users
from backend.services.labels import NewLabel
from backend.services.studies import scope_of
from workers.frame import JobFrame, run_job
from workers.sheets import stack

CHUNK = 50


def run(job_id: int, attempt: int) -> None:
    """Args: project_id, annotators, labels, seed, tastes (1 or 2), and comparison_id or study_id to
    judge that."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """Deal the open pairs out among the annotators; each one's labels are stored at once."""
    studio, args = frame.studio, frame.args
    people = annotators(args["annotators"], args["seed"], args.get("tastes", 1))
    rows = [users.simulated(studio, person.name, asdict(person)) for person in people]
    scope = scope_of(args.get("study_id"), args.get("comparison_id"))
    where = args["project_id"], rows[0]["id"], args["labels"], scope
    waiting = pairs.unlabelled(studio, *where)
    if not waiting:
        raise InputError("No pair waits for a simulated annotator; generate pairs first.")
    stored = done = 0
    for number, (person, row) in enumerate(zip(people, rows, strict=True)):
        mine, answers = waiting[number :: len(people)], []
        for start in range(0, len(mine), CHUNK):
            part = mine[start : start + CHUNK]
            answers += _judge(frame, person, part)
            done += len(part)
            frame.step(done, len(waiting), f"{done} of {len(waiting)} pairs judged")
        stored += labels.store_many(studio, row["id"], answers)
    return {"labels": stored, "annotators": len(people)}


def _judge(frame: JobFrame, person: Annotator, part: list[Any]) -> list[NewLabel]:
    """One annotator's answers; which side each sample is shown on is drawn for each pair."""
    media = frame.studio.media
    a = stack([media.read(pair.media_a) for pair in part])
    b = stack([media.read(pair.media_b) for pair in part])
    prompts, keys = [pair.prompt for pair in part], [pair.pair_id for pair in part]
    now = time.time()
    return [
        NewLabel(
            client_id=f"simulated-{pair.pair_id}",
            pair_id=pair.pair_id,
            choice=answer.choice,
            shown_left=side,
            t_shown=now - answer.seconds,
            t_answer=now,
        )
        for pair, (answer, side) in zip(
            part, person.judge_shuffled(a, b, prompts, keys), strict=True
        )
    ]
