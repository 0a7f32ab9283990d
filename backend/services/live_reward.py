"""The reward of a project as its labels stand now, refitted whenever somebody looks.

Pictures are looked at once, by a job (`workers/jobs/look.py`), whose result is a file of features;
the fit itself is numpy and takes some milliseconds, so it happens here, in the process that was
asked (`backend.rewards._live`). What is not looked at yet is counted, and the job asked for.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from backend.rewards import _features, _figures, _weights
from backend.rewards._live import Live
from backend.rewards._posterior import Labels
from backend.rewards.interface import Floats, Ints
from backend.services import jobs, labels
from backend.services.judged import JudgedPair
from backend.services.studio import Studio
from db import choosing as queries

FORMAT: Final = "palate-looked-1"
MOST_PICTURES: Final = 8000
"""Pictures that are looked at; of more pairs, the newest."""
FEWEST: Final = 20
"""Decided answers from which on figures are shown, as of a trained reward."""
MOST_WARM: Final = 8
JOB: Final = "look"


@dataclass
class _Warm:
    """What is known of one project, with or without simulated answers."""

    features: str = ""
    """Hash of the file of features."""
    rows: dict[str, int] | None = None
    table: Floats | None = None
    live: Live | None = None
    prompts: dict[str, int] | None = None
    newest: tuple[int, int] = (-1, -1)


Seen = tuple[JudgedPair, tuple[int, int]]
"""A judged pair, and the rows of its left and its right picture."""

_warm: OrderedDict[tuple[int, int, bool], _Warm] = OrderedDict()
_lock = threading.Lock()


def pictures(studio: Studio, project_id: int) -> list[tuple[str, str]]:
    """(media hash, prompt) of the pictures of the project's pairs, each once."""
    with studio.read() as session:
        return queries.pictures_of_pairs(session, project_id, MOST_PICTURES)


def key(media: str, prompt: str) -> str:
    """The name of a picture under a prompt in the file of features."""
    return hashlib.sha256(f"{media} {prompt}".encode()).hexdigest()[:24]


def state(studio: Studio, project_id: int, *, simulated: bool = False) -> dict[str, Any]:
    """{labels, decided, unseen, looking, figures?, people?, refit_ms_p95?} of the labels so far.

    `unseen` labels are of pictures that nobody has looked at yet; they are left out meanwhile.
    `figures` are those of a trained reward, from `FEWEST` decided answers on.
    """
    judged = list(labels.judged(studio, project_id, simulated=None if simulated else False))
    judged = [one for one in judged if one.choice != "skip"]
    at = (id(studio.store), project_id, simulated)
    with _lock:
        warm = _warm.setdefault(at, _Warm())
        _warm.move_to_end(at)
        while len(_warm) > MOST_WARM:
            _warm.popitem(last=False)
        _read_features(studio, project_id, warm)
        looked = ((one, _rows(warm, one)) for one in judged)
        known = [(one, rows) for one, rows in looked if rows is not None]
        unseen = len(judged) - len(known)
        found: dict[str, Any] = {
            "labels": len(judged),
            "decided": sum(one.choice in ("left", "right") for one in judged),
            "unseen": unseen,
            "looking": _look(studio, project_id) if unseen else False,
        }
        return found | _figures_of(warm, known)


def _figures_of(warm: _Warm, known: Sequence[Seen]) -> dict[str, Any]:
    judged = [one for one, _ in known]
    decided = sum(one.choice in ("left", "right") for one in judged)
    if warm.live is None or warm.table is None or decided < FEWEST:
        return {}
    given, a, b = _labels(warm, known)
    if len(np.unique(given.prompt)) < 5:
        return {}
    newest = (judged[-1].label_id, len(judged))
    if newest != warm.newest:
        warm.live.refit(given)
        warm.newest = newest
    found: dict[str, Any] = {
        "figures": warm.live.figures(_figures.repeats(a, b, given.outcome)),
        "refit_ms_p95": warm.live.p95_ms(),
    }
    crowd = warm.live.posterior.crowd if warm.live.posterior else None
    if crowd is not None:
        names = {one.user_id: one.user for one in judged}
        columns = zip(crowd.annotators, crowd.information, crowd.lapse, strict=True)
        found["people"] = [
            {"name": names[int(who)], "weight": float(weight), "lapse": float(lapse)}
            for who, weight, lapse in columns
        ]
    return found


def _labels(warm: _Warm, known: Sequence[Seen]) -> tuple[Labels, Ints, Ints]:
    """Labels with the rows of their pictures."""
    assert warm.table is not None and warm.prompts is not None
    judged = [one for one, _ in known]
    rows = np.array([at for _, at in known], dtype=np.int64)
    left = np.array([one.left == "a" for one in judged])
    a, b = np.where(left, rows[:, 0], rows[:, 1]), np.where(left, rows[:, 1], rows[:, 0])
    toward = np.array([{"left": 1, "right": -1}.get(one.choice, 0) for one in judged])
    side = np.where(left, 1.0, -1.0)
    numbers = [warm.prompts.setdefault(one.prompt, len(warm.prompts)) for one in judged]
    x = warm.table[a] - warm.table[b]
    who = np.array([one.user_id for one in judged], dtype=np.int64)
    outcome = (toward * side).astype(np.int64)
    return Labels(x, outcome, side, who, np.array(numbers, np.int64), warm.table[b]), a, b


def _rows(warm: _Warm, one: JudgedPair) -> tuple[int, int] | None:
    """The rows of the left and the right picture; None while they were not looked at."""
    rows = warm.rows or {}
    left, right = (
        rows.get(key(one.left_media, one.prompt)),
        rows.get(key(one.right_media, one.prompt)),
    )
    return None if left is None or right is None else (left, right)


def _read_features(studio: Studio, project_id: int, warm: _Warm) -> None:
    """Take the newest file of features in; the fit then begins anew."""
    done = next(
        (
            job["result"]
            for job in jobs.of_kind(studio, JOB)
            if job["status"] == "done" and (job["result"] or {}).get("project_id") == project_id
        ),
        None,
    )
    if done is None or done["features"] == warm.features:
        return
    data = studio.media.read(done["features"])
    otherwise = "The file of features is not of this version of Palate; it is made again."
    arrays, about = _weights.unpack(data, FORMAT, otherwise)
    warm.features, warm.newest = done["features"], (-1, -1)
    warm.rows = {name: i for i, name in enumerate(about["keys"])}
    warm.table = arrays["features"].astype(np.float64)
    warm.live = Live(arrays["block"], _features.prior_of(arrays["block"]))
    warm.prompts = {}


def _look(studio: Studio, project_id: int) -> bool:
    """Ask for the job where pairs came after the last one; whether one is waiting or at work."""
    asked = (job for job in jobs.of_kind(studio, JOB) if job["args"]["project_id"] == project_id)
    last = next(asked, None)
    with studio.read() as session:
        newest = queries.newest_pair(session, project_id)
    if last is None or (last["status"] in jobs.OVER and last["args"]["newest"] < newest):
        jobs.create(studio, JOB, {"project_id": project_id, "newest": newest})
        return True
    return last["status"] not in jobs.OVER
