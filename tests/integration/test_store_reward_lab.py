"""The Reward lab on a store: sets are scored once, held against people, mixed, edited, told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from backend.errors import ConfigError, InputError, NotFound
from backend.rewards._edits import PROBES
from backend.rewards.compose import Manner, Term, compose
from backend.rewards.interface import Scores
from backend.services import (
    jobs,
    labels,
    reward_edits,
    reward_lab,
    reward_mixing,
    reward_sets,
    reward_uses,
    rewards,
    runs,
    users,
)
from backend.services.reward_mixing import Mix
from backend.services.rewards import ScoreRow
from backend.services.studio import Studio
from db.tables import Pair
from tests import factory
from tests.factory import Made
from tests.integration.test_api_routes import Client
from workers import models
from workers.frame import JobFrame
from workers.jobs import edits, score_set

QUALITY = (0.80, 0.82, 0.84, 0.86)
TEXT = (1.0, 0.0, 0.0, 1.0)


@dataclass
class Frame:
    """What a job sees of its frame."""

    studio: Studio
    args: dict[str, Any]
    done: float = 0.0

    def step(self, done: int, total: int, _said: str) -> None:
        """How far it is."""
        assert done <= total
        self.done = done / total


class Light:
    """Mean light; it fails on a picture whose prompt it was told to fail on."""

    shape = "pointwise"
    asked = 0
    bad = "prompt 1"

    def score(self, images: np.ndarray, prompts: list[str]) -> Scores:
        self.asked += len(prompts)
        if self.bad in prompts:
            raise RuntimeError("this one is too much")
        return Scores.of(images.mean(axis=(1, 2, 3)), {"warmth": images[..., 0].mean(axis=(1, 2))})


class Twins(Light):
    """Groupwise: it must see a prompt's pictures together."""

    shape = "groupwise"
    bad = ""

    def score(self, images: np.ndarray, prompts: list[str], groups: Any = None) -> Scores:
        assert len(set(prompts)) == 1
        self.asked += len(prompts)
        return Scores.of(images.mean(axis=(1, 2, 3)) - images.mean())


def work(studio: Studio, job_id: int, job: Any) -> dict[str, Any]:
    frame = Frame(studio, jobs.get(studio, job_id)["args"])
    told = job.work(cast(JobFrame, frame))
    assert frame.done == 1.0
    return cast(dict[str, Any], told)


def reward(studio: Studio, made: Made, name: str, values: Any, kind: str = "brightness") -> int:
    """A reward that has said these values of the project's samples."""
    made_now = rewards.create(studio, made.project, name, kind, {})["id"]
    rows = [ScoreRow(s, v, "ok") for s, v in zip(made.samples, values, strict=True)]
    rewards.record_scores(studio, made_now, rows)
    return int(made_now)


# --- sets and scoring ---------------------------------------------------------------------------


def test_a_set_is_scored_once_by_each_version_and_what_fails_is_told_with_its_picture(
    services: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = factory.project(services, num_prompts=3, per_prompt=2, pairs_per_prompt=0)
    one = rewards.create(services, made.project, "light", "brightness", {})["id"]
    other = rewards.create(services, made.project, "also", "brightness", {})["id"]
    scorer = Light()
    monkeypatch.setattr(models, "reward", lambda kind, config: scorer)
    key = f"policy:{made.policy}"
    told = work(services, reward_sets.score(services, made.project, key, [one]), score_set)
    (row,) = told["rewards"]
    assert told["pictures"] == 6 and (row["asked"], row["missing"]) == (6, 2)
    assert "too much" in row["reason"]
    points = reward_lab.points(services, made.project, key, [one])
    (column,) = points["rewards"]
    failed = {points["prompts"][points["prompt"][f["row"]]] for f in column["faults"]}
    assert failed == {"prompt 1"} and column["missing"] == 2 and column["unasked"] == 0
    assert sum(value is not None for value in column["values"]) == 4

    scorer.bad, scorer.asked = "", 0
    again = work(services, reward_sets.score(services, made.project, key, [one, other]), score_set)
    mine, same = again["rewards"]
    assert (mine["asked"], mine["known"], mine["missing"]) == (2, 4, 0)
    assert (same["asked"], same["known"]) == (0, 6)  # the same version under another name
    assert scorer.asked == 2
    ids = points["ids"]
    values = [reward_sets.values(services, i, ids) for i in (one, other)]
    assert values[0].values.tolist() == values[1].values.tolist()
    assert reward_sets.part(services, other, ids, "warmth").tolist() == pytest.approx(
        reward_sets.part(services, one, ids, "warmth").tolist()
    )
    renewed = work(
        services, reward_sets.score(services, made.project, key, [one], again=True), score_set
    )
    assert renewed["rewards"][0]["asked"] == 6

    def refuse(kind: str, config: dict[str, Any]) -> Any:
        raise OSError("nothing has to be loaded for what is known")

    monkeypatch.setattr(models, "reward", refuse)
    known = work(services, reward_sets.score(services, made.project, key, [one]), score_set)
    assert known["rewards"][0] == {
        "id": one, "name": "light", "asked": 0, "known": 6, "missing": 0, "reason": ""
    }  # fmt: skip


def test_siblings_are_asked_about_together_and_a_reward_that_cannot_be_loaded_stops_nobody(
    services: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = factory.project(services, num_prompts=2, per_prompt=3, pairs_per_prompt=0)
    good = rewards.create(services, made.project, "twins", "brightness", {})["id"]
    lost = rewards.create(services, made.project, "lost", "saturation", {})["id"]

    def load(kind: str, config: dict[str, Any]) -> Any:
        if kind == "saturation":
            raise OSError("its file is gone")
        return Twins()

    monkeypatch.setattr(models, "reward", load)
    job = reward_sets.score(services, made.project, "newest", [lost, good])
    broken, whole = work(services, job, score_set)["rewards"]
    assert "its file is gone" in broken["reason"] and broken["missing"] == 6
    assert (whole["asked"], whole["missing"]) == (6, 0)
    other = factory.draw(services, made.project, made.policy, made.prompt_ids[:1], 1)
    job = reward_sets.score(services, made.project, "newest", [good])
    (later,) = work(services, job, score_set)["rewards"]
    assert (later["asked"], later["known"]) == (4, 3) and other  # the whole group again


def test_sets_are_models_studies_evaluations_and_imports(services: Studio) -> None:
    made = factory.project(services, num_prompts=2, per_prompt=2, pairs_per_prompt=0)
    run = factory.trained_run(services, made)
    found = {row["key"]: row for row in reward_sets.sources(services, made.project)}
    assert found["newest"]["pictures"] == found[f"policy:{made.policy}"]["pictures"] == 4
    key = f"run:{run}@3"
    assert found[key]["kind"] == "run" and found[key]["pictures"] == 1
    assert reward_sets.resolve(services, made.project, key) == []
    one = rewards.create(services, made.project, "light", "brightness", {})["id"]
    reward_sets.score(services, made.project, key, [one])
    reward_sets.score(services, made.project, key, [one])
    (shown,) = reward_sets.resolve(services, made.project, key)
    assert shown.prompt == "held-out 0" and shown.width == 8
    for wrong, error in (
        ("folder", InputError),
        ("policy:999999", NotFound),
        ("run:1@77", NotFound),
        ("study:999999", NotFound),
    ):
        with pytest.raises(error):
            reward_sets.resolve(services, made.project, wrong)
    with pytest.raises(InputError, match="no pictures"):
        reward_sets.score(services, made.project, "imported", [one])
    with pytest.raises(InputError, match="choose 1 to 8"):
        reward_sets.score(services, made.project, "newest", [])


# --- people -------------------------------------------------------------------------------------


def test_agreement_is_counted_by_aspect_and_kind_of_prompt_beside_peoples_own(
    services: Studio,
) -> None:
    """Two of three people take the first picture of every pair; the reward takes it in half of
    the prompts, says the same of both once and has no value once."""
    made = factory.project(services, num_prompts=6, per_prompt=2, pairs_per_prompt=1)
    persons = [users.create(services, f"person {n}")["id"] for n in range(3)]
    with services.read() as session:
        firsts = {one.id: one.sample_a_id for one in session.scalars(sa.select(Pair))}
    for pair in made.pairs:
        number, second = divmod(made.samples.index(firsts[pair]), 2)
        left = "b" if second else "a"
        for person, choice in zip(persons, ("left", "left", "right"), strict=True):
            given = factory.label(pair, choice, left=left)
            if number < 2:
                aspects = {"aspects": {"count": "right"}}
                given = type(given)(**{**vars_of(given), "answers": aspects})
            labels.store(services, person, given)
    first = [1, 2, 3, 0, 5, None]
    values = [v for a in first for v in (a, 1.5 if a != 5 else 5)]
    one = reward(services, made, "mine", values)
    found = reward_lab.agreement(services, made.project, [one], words=["prompt 2"])
    assert (found["pairs"], found["prompts"]) == (6, 6)
    rows = {row["name"]: row for row in found["rows"]}
    every = rows["all pairs"]["rewards"][one]
    # 1 < 1.5 against, 2 and 3 for, 0 against, 5 = 5 half: 2.5 of 5 pairs that have values
    assert (every["value"], every["num"]) == (0.5, 5)
    assert every["wilson"]["low"] == pytest.approx(0.1705, abs=2e-3)  # Wilson of 2.5 of 5
    assert every["low"] < 0.5 < every["high"]
    # of the three answers of a pair the two lefts stand against a tie, the right against two lefts
    assert rows["all pairs"]["people"]["value"] == 0.0
    assert rows["count"]["by"] == "aspect" and rows["count"]["pairs"] == 2
    assert rows["count"]["rewards"][one]["value"] == 0.5  # 1 < 1.5 with, 2 > 1.5 against
    assert rows["prompt 2"]["by"] == "words" and rows["prompt 2"]["rewards"][one]["value"] == 1.0
    assert rows["counting"]["by"] == "kind" and rows["counting"]["pairs"] == 6  # a digit in each
    judged = reward_lab.points(services, made.project, "newest", [one])["judged"]
    assert len(judged) == 6


def vars_of(given: Any) -> dict[str, Any]:
    return {name: getattr(given, name) for name in given.__dataclass_fields__}


# --- mixing -------------------------------------------------------------------------------------


def test_stages_are_those_of_the_library_and_what_cannot_stand_is_refused(
    services: Studio,
) -> None:
    made = factory.project(services, num_prompts=3, per_prompt=4, pairs_per_prompt=0)
    rng = np.random.default_rng(0)
    noise = 0.01 * rng.random(12)
    values = {"quality": np.array(QUALITY * 3) + noise, "text": np.array(TEXT * 3) - noise}
    ids = {name: reward(services, made, name, value.tolist()) for name, value in values.items()}
    groups = np.repeat(np.array(made.prompt_ids), 4)
    base = {name: tuple(value.tolist()) for name, value in values.items()}

    def told(compose_: dict[str, Any], **term: Any) -> dict[str, Any]:
        terms = [
            {"reward_id": ids["quality"], "weight": 1.0, **term},
            {"reward_id": ids["text"], "weight": 2.0},
        ]
        return reward_mixing.stages(services, made.project, Mix("newest", terms, compose_))

    order = np.array(made.samples)[::-1]  # a set is newest first
    cases: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]] = [
        ({"scale": "group", "floor": 0.0}, {}, {"scale": "group"}, {}),
        ({"floor": 0.0, "combine": "sum"}, {}, {"manner": Manner("sum")}, {}),
        ({"floor": 0.0, "combine": "pareto"}, {}, {"manner": Manner("pareto")}, {}),
        (
            {"floor": 0.0},
            {"transform": "log-sigmoid", "quantile": 0.7, "scale": "frozen"},
            {},
            {"transform": "log-sigmoid", "quantile": 0.7, "scale": "frozen"},
        ),
        (
            {"floor": 0.0},
            {"role": "soft-gate", "thresholds": [0.83], "temperature": 0.02},
            {},
            {"role": "soft-gate", "threshold": 0.83, "temperature": 0.02},
        ),
    ]
    for settings, term, library, extra in cases:
        found = told(settings, **term)
        terms = [
            Term("quality", 1.0, base=base["quality"], **extra),
            Term("text", 2.0, base=base["text"]),
        ]
        made_so = compose(values, groups, terms, floor=0.0, **library)
        rows = [made.samples.index(sample) for sample in order.tolist()]
        assert found["total"] == pytest.approx(made_so.total[rows].tolist(), abs=1e-6)
        for name, stage in made_so.stages.items():
            for part in ("raw", "shaped", "z", "share"):
                there = np.array(found["terms"][name][part], dtype=np.float64)
                assert there == pytest.approx(getattr(stage, part)[rows], abs=1e-6, nan_ok=True)
    gated = told({"floor": 0.0}, role="gate", thresholds=[0.83])
    assert gated["gated"] is not None and sum(gated["gated"]) == 6
    with pytest.raises(ConfigError, match="log-sigmoid"):
        told({"scale": "group"}, transform="log-sigmoid")
    with pytest.raises(ConfigError, match="how unsure"):
        told({}, doubtful=True)
    rising = told({"floor": 0.0}, transform="threshold", thresholds=[0.1, 0.9])
    assert rising["config"]["rewards"][0]["thresholds"] == [0.1, 0.9]
    lone = rewards.create(services, made.project, "lone", "saturation", {})["id"]
    with pytest.raises(ConfigError, match="score the set"):
        reward_mixing.stages(services, made.project, Mix("newest", [{"reward_id": lone}]))


# --- edits and versions -------------------------------------------------------------------------


def test_cheap_edits_are_tried_by_a_worker_and_the_report_stays_with_the_reward(
    services: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = factory.project(services, num_prompts=3, per_prompt=2, pairs_per_prompt=0)
    one = rewards.create(services, made.project, "light", "brightness", {})["id"]
    assert reward_edits.report(services, made.project, one) is None
    with pytest.raises(InputError, match="no edit 'glitter'"):
        reward_edits.ask(services, made.project, one, "newest", edits=["glitter"])
    scorer = Light()
    scorer.bad = ""
    monkeypatch.setattr(models, "reward", lambda kind, config: scorer)
    job = reward_edits.ask(services, made.project, one, "newest")
    told = work(services, job, edits)
    found = reward_edits.report(services, made.project, one)
    assert found is not None and found["pictures"] == 6 and found["prompts"] == 3
    assert {lever["edit"] for lever in found["levers"]} == set(PROBES)
    first = found["levers"][0]
    assert told["leverage"] == first["leverage"] == max(x["leverage"] for x in found["levers"])
    bright = next(x for x in found["levers"] if x["edit"] == "brightness")
    assert bright["low"] < bright["mean"] < bright["high"] and bright["raised"] == 1.0
    worst = bright["worst"][0]
    assert worst["change"] == max(x["change"] for x in bright["worst"])
    assert services.media.exists(worst["media"]) and worst["media"] in worst["edited"]


def test_versions_say_what_changed_and_which_runs_used_each(
    services: Studio, api_app: FastAPI
) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=2, pairs_per_prompt=0)
    first = rewards.create(services, made.project, "light", "brightness", {"prefer": "dark"})
    trained = {"name": "dark", "kind": "brightness", "config": {"prefer": "dark"}, "weight": 0.5}
    run = runs.create(services, made.project, "one", factory.config(rewards=[trained]))
    second = rewards.create(services, made.project, "light", "brightness", {"prefer": "bright"})
    newest, oldest = reward_uses.versions(services, first["id"])
    assert (newest["id"], oldest["id"]) == (second["id"], first["id"])
    assert newest["changed"] == [{"setting": "prefer", "was": "dark", "now": "bright"}]
    assert newest["runs"] == [] and oldest["changed"] == []
    (used,) = oldest["runs"]
    assert (used["id"], used["role"], used["weight"]) == (run["id"], "trained", 0.5)

    client, at = Client(api_app), f"?project={made.project}"
    assert client.get(f"/rewards/{first['id']}/versions{at}")[1]["runs"] == [used]
    assert client.get(f"/rewards/lab/sets{at}")[0]["key"] == "newest"
    asked = {"set": "newest", "reward_ids": [first["id"]]}
    assert client.post(f"/rewards/lab/score{at}", asked, 202)["job_id"] > 0
    got = client.get(f"/rewards/lab/values{at}&set=newest&reward_id={first['id']}")
    assert got["rewards"][0]["unasked"] == 2 and got["correlations"] == []
    assert client.get(f"/rewards/lab/agreement{at}&reward_id={first['id']}")["pairs"] == 0
    term = {"reward_id": first["id"]}
    said = client.post(f"/rewards/lab/mix{at}", {"set": "newest", "terms": [term]}, 422)
    assert "score the set" in said["error"]
    assert client.get(f"/rewards/{first['id']}/edits{at}") is None
    assert client.post(f"/rewards/{first['id']}/edits{at}", {"set": "newest"}, 202)["job_id"]
