"""Which pair next, in the store: utilities are written, asked for in time, and followed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from backend.preferences import choosing as policy
from backend.preferences.studies import StudyConfig
from backend.registry import choosers
from backend.services import choosing, jobs, labels, pairs, studies
from backend.services.studies import NewStudy
from backend.services.studio import Studio
from db.queries import Scope
from db.tables import Job, Label, Pair
from tests import factory
from tests.factory import Made
from workers.frame import JobFrame
from workers.jobs import choose


def study(services: Studio, made: Made, chooser: str, kind: str = "images") -> int:
    wanted = NewStudy("A study", kind, StudyConfig(chooser=chooser), sample_ids=tuple(made.samples))
    return int(studies.create(services, made.project, wanted)["id"])


def features(pictures: Sequence[tuple[str, str]]) -> tuple[Any, Any]:
    """Two numbers a picture, made of its name."""
    seeds = [int(media[:8], 16) for media, _prompt in pictures]
    rows = np.stack([np.random.default_rng(seed).standard_normal(2) for seed in seeds])
    return rows, np.array([3, 0])


def never(pictures: Sequence[tuple[str, str]]) -> tuple[Any, Any]:
    raise AssertionError("features were worked out for a policy that looks at none")


def utilities(services: Studio, study_id: int) -> list[float]:
    with services.read() as session:
        query = sa.select(Pair.utility).where(Pair.study_id == study_id).order_by(Pair.id)
        return list(session.scalars(query))


def choose_jobs(services: Studio) -> list[dict[str, Any]]:
    with services.read() as session:
        return list(session.scalars(sa.select(Job.args).where(Job.kind == "choose")))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Utilities are worked out after every four labels."""
    monkeypatch.setattr(policy, "EVERY", 4)


def judge(services: Studio, made: Made, study_id: int, num: int) -> None:
    for _ in range(num):
        scope = Scope(study=study_id)
        (shown,) = pairs.next_pairs(services, made.project, made.user, 1, scope=scope)["pairs"]
        sent = factory.label(shown["pair_id"], left=shown["shown_left"])
        labels.store(services, made.user, sent, veiled=True)


def test_labels_ask_for_utilities_and_what_they_say_is_handed_out(services: Studio) -> None:
    """12 pairs, 5 labels: the job that they asked for writes what is then followed."""
    made = factory.project(services, num_prompts=4, per_prompt=3)
    one = study(services, made, "disagreement")
    assert choose_jobs(services) == [], "nothing is known before the first label"
    judge(services, made, one, 5)
    assert choose_jobs(services) == [{"study_id": one}], "once in four labels, and once at most"
    assert utilities(services, one) == [0.0] * 12

    said = choosing.refresh(services, one, features)
    assert said == {"chooser": "disagreement", "pairs": 7, "labels": 5, "written": 7}
    with services.read() as session:
        query = sa.select(Pair.utility, Pair.settled).where(Pair.study_id == one)
        rows = list(session.execute(query))
    open_ = [utility for utility, settled in rows if not settled]
    assert np.mean(open_) == pytest.approx(0, abs=1e-9) and np.std(open_) == pytest.approx(1)
    assert not any(utility for utility, settled in rows if settled), "nobody needs those"
    assert choosing.refresh(services, one, features)["written"] == 0, "the same again"

    judge(services, made, one, 3)
    with services.read() as session:
        drawn = list(
            session.execute(
                sa.select(Label.chooser, Label.propensity).order_by(Label.id.desc()).limit(3)
            )
        )
    assert {chooser for chooser, _ in drawn} <= {"uniform", "disagreement"}
    assert all(propensity >= policy.SHARE for _, propensity in drawn)
    assert any(propensity != pytest.approx(1) for _, propensity in drawn)


def test_frontier_needs_no_labels_and_no_pictures(services: Studio) -> None:
    made = factory.project(services, num_prompts=2, per_prompt=2)
    one = study(services, made, "frontier")
    assert choose_jobs(services) == [{"study_id": one}]
    assert choosing.refresh(services, one, never)["chooser"] == "frontier"
    assert utilities(services, one) == [0.0, 0.0], "a single checkpoint has no newer one"


def test_another_policy_forgets_what_the_last_one_thought(services: Studio) -> None:
    made = factory.project(services, num_prompts=2, per_prompt=3)
    one = study(services, made, "random")
    with services.write() as session:
        session.execute(sa.update(Pair).where(Pair.study_id == one).values(utility=1.5))
    studies.change(services, one, config=StudyConfig(chooser="bradley-terry"))
    assert not any(utilities(services, one))


def test_too_few_labels_and_what_has_no_features_stay_average(services: Studio) -> None:
    made = factory.project(services, num_prompts=4, per_prompt=4)
    few = study(services, made, "disagreement")
    judge(services, made, few, 2)
    assert choosing.refresh(services, few, never)["written"] == 0
    fours = study(services, made, "disagreement", "best_worst")
    assert choosing.request(services, fours) is None
    assert choosing.refresh(services, fours, never)["chooser"] == "random"


def test_sources_are_numbered_from_the_oldest() -> None:
    """Bases and imports, which have no step, are older than any checkpoint of a run."""
    made = [choosing.Sampled("", "", i, step) for i, step in ((7, None), (3, 10), (5, 20), (3, 10))]
    source, age = choosing._sources(made)
    assert source.tolist() == [0, 1, 2, 1] and age.tolist() == [2.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_job_looks_at_a_picture_once(services: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of another size than the encoder's; a damaged memory is as good as none."""
    made = factory.project(services, num_prompts=4, per_prompt=3)
    one = study(services, made, "disagreement")
    judge(services, made, one, 4)
    job_id = jobs.create(services, "choose", {"study_id": one})
    frame = JobFrame(services, job_id, 1, {"study_id": one})
    monkeypatch.setattr(frame, "wanted", lambda: "run")
    assert choose.work(frame)["written"] == 8
    first = utilities(services, one)
    (kept,) = (services.settings.home / "cache").glob("seen-*.npz")

    with monkeypatch.context() as without:
        without.setattr(type(services.media), "read", None)
        choosing.forget(services, one)
        assert choose.work(frame)["written"] == 8 and utilities(services, one) == first
    kept.write_bytes(b"damaged")
    choosing.forget(services, one)
    assert choose.work(frame)["written"] == 8 and utilities(services, one) == first


def test_every_policy_is_on_the_page_about_labelling() -> None:
    page = (Path(__file__).parents[2] / "docs" / "labelling.md").read_text()
    assert [name for name in choosers.names() if f"`{name}`" not in page] == []
