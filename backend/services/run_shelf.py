"""What people do to runs as they lie in the list: order those that wait, send one to a place, tag
them, put them away, stop many at once. Nothing here changes what a run trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import Conflict, InputError, PalateError
from backend.services import events, jobs, run_rows, runs, tickets
from backend.services.studio import Studio
from db.tables import Job, Run

ACTIONS = ("stop", "tag", "untag", "hide", "show")
MOST_TAGS = 20
TAG = 40
"""Characters of a tag."""


def together(studio: Studio, run_ids: Sequence[int], action: str, tag: str = "") -> dict[str, Any]:
    """Do one thing to several runs: {done: [id], refused: [{id, reason}]}."""
    if action not in ACTIONS:
        raise InputError(f"Runs cannot be asked to '{action}'; they can {', '.join(ACTIONS)}.")
    word = _checked_tag(tag) if action in ("tag", "untag") else ""
    done, refused = [], []
    for run_id in dict.fromkeys(run_ids):
        try:
            if action == "stop":
                runs.want(studio, run_id, "stop")
            else:
                _mark(studio, run_id, action, word)
            done.append(run_id)
        except PalateError as error:
            refused.append({"id": run_id, "reason": str(error)})
    return {"done": done, "refused": refused}


def change(
    studio: Studio, run_id: int, *, tags: Sequence[str] | None = None, note: str | None = None
) -> dict[str, Any]:
    """Write a run's tags and its note anew; what is None stays."""
    with studio.write() as session:
        run = runs.find(session, run_id, lock=True)
        if tags is not None:
            run.tags = _checked_tags(tags)
        if note is not None:
            run.note = note.strip()[: runs.NOTE]
    return runs.get(studio, run_id)


def arrange(studio: Studio, run_ids: Sequence[int]) -> list[int]:
    """Let these waiting runs go in this order, in the places of the queue that they have among
    them; returns all that wait, the next one first.

    A run that was taken by a worker meanwhile is left out.
    """
    with studio.write() as session:
        before = _in_order(session)
        known = {run_id: job for run_id, job in before}
        wanted = [run_id for run_id in dict.fromkeys(run_ids) if run_id in known]
        turn = iter(wanted)
        after = [next(turn) if run_id in wanted else run_id for run_id, _job in before]
        for number, run_id in enumerate(after):
            known[run_id].priority = len(after) - number
        queues = {job.queue for job in known.values()}
        session.flush()
        orders = {queue: jobs.waiting_order(session, queue) for queue in queues}
    for queue, order in orders.items():
        tickets.sort(studio, queue, order)
    return after


def send(studio: Studio, run_id: int, place: str) -> dict[str, Any]:
    """Let a waiting run be done at one place only, or (empty) wherever a worker is free."""
    if len(place) > 200 or not (place.isprintable() and tickets.AT not in place):
        raise InputError("A place is named by its machine, as the Workers page shows it.")
    with studio.write() as session:
        run = runs.find(session, run_id)
        job = session.get(Job, run.job_id, with_for_update=True) if run.job_id else None
        if job is None or job.status != "due":
            raise Conflict(f"Run {run_id} is {run.status}; only a run that waits can be moved.")
        job.queue = jobs.queue_at("train", place)
        where = f"on {place}" if place else "wherever a worker is free"
        events.write(session, f"The run is to be done {where}.", run_id=run_id, kind="status")
        job_id = job.id
    jobs.enqueue(studio, job_id, anew=True)
    return runs.get(studio, run_id)


def _in_order(session: Session) -> list[tuple[int, Job]]:
    """(run, its job) of all that wait, the next one first."""
    found = session.execute(
        select(Run.id, Job)
        .join(Job, Job.id == Run.job_id)
        .where(Job.status == "due", Run.status.in_(run_rows.IN_QUEUE))
        .order_by(Job.priority.desc(), Job.id)
    )
    return [(run_id, job) for run_id, job in found]


def _mark(studio: Studio, run_id: int, action: str, tag: str) -> None:
    change: dict[str, Callable[[Run], None]] = {
        "tag": lambda run: setattr(run, "tags", _checked_tags([*run.tags, tag])),
        "untag": lambda run: setattr(run, "tags", [one for one in run.tags if one != tag]),
        "show": lambda run: setattr(run, "hidden", False),
        "hide": _hide,
    }
    with studio.write() as session:
        change[action](runs.find(session, run_id, lock=True))


def _hide(run: Run) -> None:
    if run.status in ("running", *run_rows.IN_QUEUE):
        raise Conflict(f"'{run.name}' is {run.status}; stop it before you put it away.")
    run.hidden = True


def _checked_tags(tags: Sequence[str]) -> list[str]:
    clean = list(dict.fromkeys(_checked_tag(tag) for tag in tags))
    if len(clean) > MOST_TAGS:
        raise InputError(f"A run has at most {MOST_TAGS} tags; take some away first.")
    return clean


def _checked_tag(tag: str) -> str:
    clean = " ".join(tag.split())
    if not 1 <= len(clean) <= TAG or not clean.isprintable() or any(c in clean for c in '",\\'):
        raise InputError(
            f"A tag has 1 to {TAG} printable characters, without commas, quotation marks and "
            "backslashes."
        )
    return clean
