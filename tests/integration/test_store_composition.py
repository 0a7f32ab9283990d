"""What weights come to, on values that the store has."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

from backend.services import composition, jobs, rewards, runs
from backend.services.rewards import ScoreRow
from backend.services.studio import Studio
from backend.types import TrainResult
from tests import factory
from tests.integration.test_api_routes import Client
from workers import models
from workers.frame import run_job
from workers.jobs import train

QUALITY = (0.80, 0.82, 0.84, 0.86)
TEXT = (1.0, 0.0, 0.0, None)


def asked(**compose: Any) -> dict[str, Any]:
    terms = [
        {"name": "quality", "kind": "brightness", "config": {"prefer": "dark"}},
        {"name": "text", "kind": "saturation"},
    ]
    return factory.config(rewards=terms, compose={"floor": 0.0, **compose})


def test_weights_are_previewed_on_scored_samples(services: Studio) -> None:
    made = factory.project(services, num_prompts=2, per_prompt=4, pairs_per_prompt=0)
    nothing = composition.preview(services, made.project, asked())
    assert nothing["source"] == "" and nothing["rewards"] == [] and nothing["example"] is None
    for kind, settings, said in (
        ("brightness", {"prefer": "dark"}, QUALITY),
        ("saturation", {}, TEXT),
    ):
        reward = rewards.create(services, made.project, kind, kind, settings)["id"]
        rows = [
            ScoreRow(sample, value, "ok" if value is not None else "error")
            for start in (0, 4)
            for sample, value in zip(made.samples[start : start + 4], said, strict=True)
        ]
        rewards.record_scores(services, reward, rows)
    told = composition.preview(services, made.project, asked(combine="sum"))
    assert told["source"] == "scored samples of this project"
    assert (told["pictures"], told["groups"]) == (8, 2)
    quality, text = told["rewards"]
    assert quality["spread"] == pytest.approx(0.02582, abs=1e-5) and text["missing"] == 0.25
    assert quality["influence"]["sum"] < 0.1 < 0.4 < quality["influence"]["each"]
    assert quality["influence"]["as_set"] == pytest.approx(quality["influence"]["sum"], abs=0.02)
    example = told["example"]
    assert example["prompt"].startswith("prompt ") and len(example["pictures"]) == 4
    assert all(abs(p["sum"]) < 5 and abs(p["each"]) < 5 for p in example["pictures"])
    assert {p["raw"]["text"] for p in example["pictures"]} == {1.0, 0.0, None}


def test_without_scored_samples_the_latest_runs_rollouts_are_taken(
    services: Studio, api_app: FastAPI
) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=0, pairs_per_prompt=0)
    factory.trained_run(services, made)
    told = composition.preview(services, made.project, factory.config())
    assert told["source"] == "rollouts of 'small'" and told["pictures"] > 4
    assert told["rewards"][0]["influence"]["as_set"] == 0.0  # every leaf has the same value
    assert composition.preview(services, made.project, asked())["source"] == ""
    asked_of = f"/runs/composition?project={made.project}"
    answer = Client(api_app).post(asked_of, {"config": factory.config()})
    assert answer == told


def test_a_run_that_paused_for_a_failing_reward_is_not_taken_up_by_another_worker(
    services: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is paused as if somebody had asked for it, not handed back; asked to, it goes on."""
    made = factory.project(services, num_prompts=2, per_prompt=0, pairs_per_prompt=0)
    run_id = runs.create(services, made.project, "ill", factory.config())["id"]
    (job,) = jobs.due(services)
    ended = TrainResult("paused", 3, 0, {}, None, lacking=True)
    monkeypatch.setattr(models, "studio", lambda: services)
    monkeypatch.setattr(train, "_train", lambda *_given: ended)
    run_job(job["id"], job["attempt"] + 1, train.work)
    assert runs.get(services, run_id)["status"] == "paused" and not jobs.due(services)
    runs.want(services, run_id, "run")
    assert runs.get(services, run_id)["status"] != "paused"
