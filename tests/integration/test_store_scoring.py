"""Asking a reward through the store: what fails is missing, what is left is removed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from backend.errors import ConfigError, RewardError
from backend.rewards.interface import Scores, checked
from backend.services import jobs, preflight, projects, workers
from backend.services.studio import Studio
from backend.types import Orders, Wanted
from workers import models, remote_scorer
from workers.frame import Interrupted, JobFrame
from workers.jobs import judge
from workers.remote_scorer import Desk, RemoteScorer, forget_leftovers

PICTURES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
PROMPTS = ["a", "a", "b", "b"]


@dataclass
class Wish:
    """A control that wants what it is told to want."""

    wish: Wanted = "run"

    def wanted(self) -> Wanted:
        return self.wish

    def orders(self, step: int) -> Orders:
        return Orders()

    def progress(self, done: int, total: int, message: str) -> None:
        pass


class Siblings:
    """Groupwise: how many siblings a picture has, and how bright it is; one cannot be judged."""

    shape = "groupwise"
    calls = 0

    def judge_calls(self, sizes: Any) -> int:
        return int(sizes.sum())

    def score(self, images: np.ndarray, prompts: list[str], groups: list[int]) -> Scores:
        self.calls += len(images)
        values = np.array([groups.count(g) for g in groups]) + images.mean(axis=(1, 2, 3)) / 3
        return Scores.of(np.where(np.arange(len(values)) == 1, np.nan, values), why="too grey")


class Critic(Siblings):
    """One that learns during the run."""

    def observe(self, images: Any, prompts: Any, step: int) -> dict[str, float]:
        return {}

    def state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: Any) -> None:
        pass


def desk(studio: Studio, control: Wish | None = None) -> Desk:
    return Desk(studio, 7, 0, control or Wish())


def is_clear(studio: Studio) -> bool:
    """Whether no order is left, and of those that were at most an empty row."""
    left = jobs.recent(studio)
    return len(left) <= 1 and all(job["args"] == {} == job["result"] for job in left)


@contextmanager
def worker(studio: Studio, work: Callable[[JobFrame], dict[str, Any]]) -> Iterator[None]:
    """Somebody who does the judge jobs of the store, as a score worker would."""
    ended = threading.Event()

    def serve() -> None:
        while not ended.wait(0.01):
            for job in jobs.due(studio):
                mine = jobs.claim(studio, job["id"], job["attempt"] + 1, "here")
                if mine is None:
                    continue
                try:
                    result = work(JobFrame(studio, mine.id, mine.attempt, mine.args))
                    jobs.finish(studio, mine.id, mine.attempt, result)
                except Exception as error:  # noqa: BLE001
                    jobs.fail(studio, mine.id, mine.attempt, str(error))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def served(services: Studio, monkeypatch: pytest.MonkeyPatch) -> Siblings:
    scorer = Siblings()
    monkeypatch.setattr(models, "reward", lambda kind, config, run_id=None: scorer)
    return scorer


def test_a_worker_says_what_the_trainer_would_have_heard(
    services: Studio, served: Siblings
) -> None:
    here = checked(Siblings(), "wins").score(PICTURES, PROMPTS, [0, 0, 1, 1])
    with worker(services, judge.work):
        remote = RemoteScorer(desk(services), "wins", "win-rate", {})
        there = checked(remote, "wins").score(PICTURES, PROMPTS, np.array([0, 0, 1, 1]))
    assert (remote.shape, remote.calls) == ("groupwise", 4)
    assert np.array_equal(here.values, there.values, equal_nan=True)
    assert (here.status, here.reasons) == (there.status, there.reasons)
    assert there.reasons[1] == "too grey"
    assert is_clear(services)


def test_a_job_that_fails_is_missing_values_with_its_reason(
    services: Studio, served: Siblings
) -> None:
    def broken(frame: JobFrame) -> dict[str, Any]:
        if frame.args["pictures"]:
            raise RuntimeError("the judge is out of credit")
        return judge.work(frame)

    with worker(services, broken):
        remote = RemoteScorer(desk(services), "wins", "win-rate", {})
        said = checked(remote, "wins").score(PICTURES, PROMPTS, [0, 0, 1, 1])
    assert np.isnan(said.values).all() and set(said.status) == {"error"}
    assert set(said.reasons) == {"the judge is out of credit"}
    assert is_clear(services)


def test_a_reward_that_cannot_be_loaded_or_learns_ends_the_run_before_it_starts(
    services: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "reward", lambda kind, config, run_id=None: Critic())
    with worker(services, judge.work), pytest.raises(ConfigError, match="learns during the run"):
        RemoteScorer(desk(services), "critic", "adversarial", {})
    monkeypatch.setattr(models, "reward", lambda kind, config, run_id=None: {}["weights"])
    with worker(services, judge.work), pytest.raises(RewardError, match="cannot be asked"):
        RemoteScorer(desk(services), "critic", "learned", {})


def test_a_stop_breaks_off_the_wait_and_lonely_waits_are_told_of(
    services: Studio, served: Siblings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_scorer, "PATIENCE_S", 0.2)
    monkeypatch.setattr(remote_scorer, "LONELY_S", 0.1)
    told: list[str] = []
    control = Wish()
    with worker(services, judge.work):
        scorer = checked(RemoteScorer(desk(services, control), "wins", "win-rate", {}), "wins")

    def say(*row: Any, **_: Any) -> None:
        told.append(row[3])
        control.wish = "stop"

    monkeypatch.setattr(remote_scorer.records, "say", say)
    with pytest.raises(Interrupted):
        scorer.score(PICTURES, PROMPTS, [0, 0, 1, 1])
    assert len(told) == 1 and "palate worker score" in told[0]
    assert is_clear(services)


def test_what_a_killed_trainer_left_is_removed(services: Studio) -> None:
    pictures = services.media.put(b"a parcel")
    mine = {"run_id": 7, "pictures": pictures}
    jobs.create(services, "judge", mine)
    other = jobs.create(services, "judge", {"run_id": 8, "pictures": None})
    forget_leftovers(services, 7)
    assert not services.media.exists(pictures)
    assert [job["id"] for job in jobs.due(services)] == [other]
    services.media.remove(pictures)  # twice is no matter


def test_a_forgotten_job_is_no_longer_anybodys(services: Studio) -> None:
    job_id = jobs.create(services, "judge", {"run_id": 7, "pictures": None})
    assert jobs.claim(services, job_id, 1, "w")
    jobs.forget(services, job_id)
    assert not jobs.finish(services, job_id, 1, {"said": 1})
    assert not jobs.heartbeat(services, job_id, 1)
    after = jobs.create(services, "judge", {"run_id": 7, "pictures": None})
    assert after != job_id, "a number that a worker may still hold was given again"
    jobs.forget(services, after)
    assert [job["id"] for job in jobs.recent(services)] == [after]


def test_the_preflight_warns_while_no_score_worker_is_there(services: Studio) -> None:
    project = projects.create(services, "Test")["id"]
    config = {
        "rewards": [{"name": "light", "kind": "brightness"}],
        "policy": {"config": {"weights": "pocket"}},
    }

    def line(where: str) -> list[dict[str, Any]]:
        lines = preflight.check(services, project, config | {"scoring": {"where": where}})["lines"]
        return [row for row in lines if row["name"] == "Rewards"]

    assert line("inline") == []
    assert line("workers")[0]["status"] == "warn"
    assert line("workers")[0]["fix"]["changes"] == {"scoring.where": "inline"}
    workers.beat(services, "w", "generate,score", "here", 1, "idle")
    assert line("workers")[0]["status"] == "pass"
