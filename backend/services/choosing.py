"""Utilities of a study's open pairs, worked out again after every few labels.

Labels ask for it (`after_label`), a job of the score queue does it (`refresh`), and handing out
reads what it wrote (`Pair.utility`). Until the first time, and for pairs that came later, a utility
is 0, the average: nothing waits for it, and where it fails the study is handed out by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import update

from backend.errors import NotFound
from backend.preferences import choosing
from backend.preferences.choosing import Known
from backend.preferences.studies import StudyConfig
from backend.registry import choosers
from backend.rewards.interface import Floats, Ints
from backend.services import jobs
from backend.services.studio import Studio
from db import choosing as queries
from db.queries import by_sample
from db.tables import Pair, Study

MOST_PAIRS = 20_000
"""Open pairs whose utilities are worked out at a time; of more, the first in their shuffled order.
The others stay average."""
BATCH = 1000
"""Utilities written in one transaction, so that nobody who labels waits for all of them."""

Features = Callable[[Sequence[tuple[str, str]]], tuple[Floats, Ints]]
"""Of pictures, each its media hash and its prompt: features (S, F) and their blocks (F,)."""


class Sampled(NamedTuple):
    """A sample as a policy needs it."""

    media: str
    prompt: str
    policy_id: int
    step: int | None


@dataclass(frozen=True)
class _Labels:
    """Standing verdicts of a study, (L,) each; a and b are sample ids."""

    a: Ints
    b: Ints
    outcome: Ints
    side: Floats
    weight: Floats


def after_label(studio: Studio, study_id: int | None, label_id: int) -> int | None:
    """Ask for a refresh after every `choosing.EVERY` labels; returns its job's id if there is one.

    Counted by the labels' ids, which costs nothing, and so over all studies together.
    """
    if study_id is None or label_id % choosing.EVERY:
        return None
    return request(studio, study_id)


def request(studio: Studio, study_id: int) -> int | None:
    """Ask the workers for a refresh, unless one is due or there is nothing to work out."""
    with studio.read() as session:
        policy = _policy(session.get(Study, study_id))
        is_bare = "labels" in policy.NEEDS and not queries.has_verdicts(session, study_id)
    if not policy.NEEDS or is_bare:
        return None
    with studio.write() as session:
        studio.store.serialise(session, "choose", study_id)
        waits = queries.waiting_jobs(session, "choose")
        if any(args["study_id"] == study_id for args in waits):
            return None
        job_id = jobs.add(session, "choose", {"study_id": study_id}).id
    jobs.enqueue(studio, job_id)
    return job_id


def refresh(studio: Studio, study_id: int, features: Features) -> dict[str, Any]:
    """Work the utilities of a study out and write them; {chooser, pairs, labels, written}."""
    with studio.read() as session:
        study = session.get(Study, study_id)
        policy = _policy(study)
        open_ = queries.open_pairs_of_study(session, study_id, MOST_PAIRS)
    labels = _labels(studio, study_id) if "labels" in policy.NEEDS else _NONE
    values = np.zeros(len(open_))
    is_taught = "labels" not in policy.NEEDS or len(labels.outcome) >= choosing.EVERY
    if len(open_) and policy.NEEDS and is_taught:
        known = _known(studio, policy, open_, labels, features)
        values = choosing.standardised(policy.utility(known))
    changed = [
        {"id": pair.pair_id, "utility": float(value)}
        for pair, value in zip(open_, values, strict=True)
        if abs(pair.utility - value) > 1e-6
    ]
    for start in range(0, len(changed), BATCH):
        with studio.write() as session:
            session.execute(update(Pair), changed[start : start + BATCH])
    return {
        "chooser": policy.NAME,
        "pairs": len(open_),
        "labels": len(labels.outcome),
        "written": len(changed),
    }


def forget(studio: Studio, study_id: int) -> None:
    """All pairs of a study are average again: what another policy thought of them is no use."""
    with studio.write() as session:
        session.execute(
            update(Pair).where(Pair.study_id == study_id, Pair.utility != 0).values(utility=0.0)
        )


def _policy(study: Study | None) -> ModuleType:
    """The study's policy; chance where it cannot be followed, as only pictures have features."""
    if study is None:
        raise NotFound("This study is not there any more.")
    policy = choosers.get(StudyConfig.read(study.config).chooser)
    is_possible = study.kind == "images" or set(policy.NEEDS) <= {"sources"}
    return policy if is_possible else choosers.get("random")


def _labels(studio: Studio, study_id: int) -> _Labels:
    """People's verdicts; those of simulated annotators in a study that has no others."""
    with studio.read() as session:
        rows = queries.verdicts_of_study(session, study_id)
    people = [row for row in rows if row.kind == "person"]
    rows = people or rows
    toward = [by_sample(row.choice, row.shown_left) for row in rows]
    propensity = np.array([row.propensity for row in rows], dtype=np.float64)
    return _Labels(
        a=np.array([row.sample_a for row in rows], dtype=np.int64),
        b=np.array([row.sample_b for row in rows], dtype=np.int64),
        outcome=np.array([{"a": 1, "b": -1}.get(said, 0) for said in toward], dtype=np.int64),
        side=np.array([1.0 if row.shown_left == "a" else -1.0 for row in rows]),
        weight=1 / np.maximum(propensity, choosing.SHARE),
    )


def _known(
    studio: Studio,
    policy: ModuleType,
    open_: Sequence[queries.OpenOfStudy],
    labels: _Labels,
    features: Features,
) -> Known:
    a = np.array([pair.sample_a for pair in open_], dtype=np.int64)
    b = np.array([pair.sample_b for pair in open_], dtype=np.int64)
    ids, place = np.unique(np.concatenate([a, b, labels.a, labels.b]), return_inverse=True)
    a_N, b_N, a_L, b_L = np.split(place, np.cumsum([len(a), len(b), len(labels.a)]))
    with studio.read() as session:
        found = queries.sampled(session, ids.tolist())
    samples = [Sampled(*found[sample_id]) for sample_id in ids.tolist()]
    source, age = _sources(samples)
    of, block = np.zeros((len(ids), 0)), np.zeros(0, dtype=np.int64)
    if "features" in policy.NEEDS:
        of, block = features([(one.media, one.prompt) for one in samples])
    return Known(
        a=a_N,
        b=b_N,
        label_a=a_L,
        label_b=b_L,
        outcome=labels.outcome,
        side=labels.side,
        weight=labels.weight,
        features=of,
        block=block,
        source=source,
        age=age,
    )


def _sources(samples: Sequence[Sampled]) -> tuple[Ints, Floats]:
    """A number for each sample's policy, and how many newer policies there are. (S,) each

    Policies are made in the order of their ids; those of no run (base models, imports) are oldest.
    """
    order = sorted({(one.step is not None, one.policy_id) for one in samples})
    number = {policy_id: i for i, (_, policy_id) in enumerate(order)}
    source = np.array([number[one.policy_id] for one in samples], dtype=np.int64)
    return source, (len(order) - 1 - source).astype(np.float64)


_NO_INTS, _NO_FLOATS = np.zeros(0, dtype=np.int64), np.zeros(0)
_NONE = _Labels(_NO_INTS, _NO_INTS, _NO_INTS, _NO_FLOATS, _NO_FLOATS)
