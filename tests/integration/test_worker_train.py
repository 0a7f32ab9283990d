"""Runs trained by a real worker that is killed, paused, stopped and cut off: the same bits in the
end.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from backend.errors import Conflict
from backend.services import events, jobs, orders, policies, records, rollouts, runs
from db.tables import RunOrder
from tests.tiny_sd3 import tiny_sd3  # noqa: F401
from tests.workshop import Workshop, opened_for
from workers import reconciler

UPDATES = 12


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def running(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_sd3: Path,  # noqa: F811
) -> Iterator[Workshop]:
    with opened_for(request, tmp_path_factory, tiny_sd3, "train") as workshop:
        yield workshop


@pytest.fixture
def workshop(running: Workshop) -> Workshop:
    """The same running worker, an empty project."""
    running.new_project()
    return running


@pytest.fixture(scope="module")
def undisturbed(running: Workshop) -> dict[str, Any]:
    """What the run records when nothing happens to it."""
    running.new_project()
    return outcome(running, finished(running, start(running)))


PROCESSES = pytest.mark.parametrize("running", ["sqlite"], indirect=True)
"""What happens to Redis, to wishes and to files, not to the store."""


def start(workshop: Workshop, **changes: Any) -> int:
    config = {
        "method": {
            "name": "g2rpo",
            "settings": {"fork_steps": [0, 1], "forks_per_prompt": 1, "group_size": 3},
        },
        "policy": {"family": "sd3", "config": {"weights": str(workshop.tiny)}},
        "rewards": [{"name": "light", "kind": "brightness"}],
        "watch": [{"name": "colour", "kind": "saturation"}],
        "compose": {"floor": 0.0},
        "sampling": {"num_steps": 4, "prompts_per_step": 2, "bf16": False},
        "optim": {"lr": 0.01, "lora_rank": 2, "lora_alpha": 4, "ema_decay": 0.5},
        "evaluation": {"every": 4, "num_prompts": 4, "fixed_prompts": 2},
        "num_steps": UPDATES,
        "checkpoint_every": 3,
        "record_groups": 2,
    }
    return int(runs.create(workshop.studio, workshop.project, "run", config | changes)["id"])


def finished(workshop: Workshop, run_id: int) -> int:
    over = ("done", "failed", "stopped")
    workshop.until(lambda: runs.get(workshop.studio, run_id)["status"] in over)
    row = runs.get(workshop.studio, run_id)
    assert row["status"] == "done", f"{row['error']}\n{workshop.last_words()}"
    return run_id


def outcome(workshop: Workshop, run_id: int) -> dict[str, Any]:
    """Everything a run recorded but the time it took; weights are named by their content."""
    studio = workshop.studio
    found = runs.metrics(studio, run_id)
    groups = rollouts.page(studio, run_id, limit=100)["groups"]
    saved = records.latest_checkpoint(studio, run_id)
    tuned = policies.spec(studio, runs.get(studio, run_id)["tuned_policy_id"])
    assert saved is not None
    return {
        "steps": found["steps"],
        "series": found["series"],
        "nfe": found["nfe"],
        "evaluations": found["evaluations"],
        "groups": sorted((g["step"], g["tree"], g["prompt"], g["sheet_url"]) for g in groups),
        "weights": (saved.step, saved.adapter, saved.optimiser, saved.ema, tuned.adapter),
    }


def paused(workshop: Workshop, run_id: int) -> bool:
    """Have a run paused; False where it was over before it heard of that."""
    try:
        runs.want(workshop.studio, run_id, "pause")
    except Conflict:
        return False
    at_rest = ("paused", "done", "failed")
    workshop.until(lambda: runs.get(workshop.studio, run_id)["status"] in at_rest)
    row = runs.get(workshop.studio, run_id)
    assert row["status"] != "failed", row["error"]
    return bool(row["status"] == "paused")


def until_step(workshop: Workshop, run_id: int, step: int) -> None:
    workshop.until(lambda: runs.get(workshop.studio, run_id)["step"] >= step)


def test_the_undisturbed_run_records_every_update(undisturbed: dict[str, Any]) -> None:
    assert undisturbed["steps"] == list(range(1, UPDATES + 1))
    assert [row["step"] for row in undisturbed["evaluations"]] == [0, 4, 8, 12]
    assert len(undisturbed["groups"]) == 2 * UPDATES
    assert undisturbed["weights"][0] == UPDATES and undisturbed["weights"][4]


@pytest.mark.slow
def test_a_run_whose_worker_is_killed_ends_with_the_same_bits(
    workshop: Workshop, undisturbed: dict[str, Any]
) -> None:
    """Three times over SQLite; over PostgreSQL, which alone sees a connection break off, once,
    before or after the first checkpoint."""
    moments, studio = random.Random(time.time_ns()), workshop.studio
    often = studio.store.dialect == "sqlite"

    def killed_at(run_id: int, step: int) -> bool:
        """Kill the worker some time after a step; False where that was too late."""
        until_step(workshop, run_id, step)
        time.sleep(moments.random() * 0.1)
        workshop.kill_worker("train")
        job = jobs.get(studio, runs.get(studio, run_id)["job_id"])
        looks = workshop.looks_until_released(job["id"], job["attempt"])
        if jobs.get(studio, job["id"])["status"] == "done":
            return False
        assert looks * reconciler.ROUND_S < 30
        said = [signal.text for signal in events.of_run(studio, run_id, 0)]
        assert "The run is crashed." in said
        workshop.until(lambda: jobs.get(studio, job["id"])["attempt"] > job["attempt"])
        return True

    steps = sorted(moments.sample(range(UPDATES - 1 if often else 4), 3 if often else 1))
    run_id = workshop.in_mid(lambda: start(workshop), lambda run: killed_at(run, steps[0]))
    for step in steps[1:]:
        if not killed_at(run_id, step):
            break
    assert outcome(workshop, finished(workshop, run_id)) == undisturbed


@PROCESSES
def test_emptying_redis_in_mid_run_changes_nothing(
    workshop: Workshop, undisturbed: dict[str, Any]
) -> None:
    run_id = start(workshop)
    until_step(workshop, run_id, 2)
    assert workshop.supervisor.redis is not None
    Redis.from_url(workshop.supervisor.redis.url).flushall()
    assert outcome(workshop, finished(workshop, run_id)) == undisturbed


@PROCESSES
def test_a_paused_run_waits_and_goes_on_to_the_same_bits(
    workshop: Workshop, undisturbed: dict[str, Any]
) -> None:
    def paused_at_four(run_id: int) -> bool:
        until_step(workshop, run_id, 4)
        return paused(workshop, run_id)

    studio, run_id = workshop.studio, workshop.in_mid(lambda: start(workshop), paused_at_four)
    step = runs.get(studio, run_id)["step"]
    assert 4 <= step < UPDATES
    time.sleep(1)
    assert runs.get(studio, run_id)["step"] == step
    runs.want(studio, run_id, "run")
    assert outcome(workshop, finished(workshop, run_id)) == undisturbed


def test_a_run_changed_and_cut_off_in_an_update_goes_on_to_the_bits_of_one_left_alone(
    workshop: Workshop,
) -> None:
    studio = workshop.studio

    def is_over(run_id: int) -> bool:
        return runs.get(studio, run_id)["status"] in jobs.OVER

    def waiting(run_id: int) -> list[int]:
        return [o["id"] for o in orders.rows(studio, run_id)["orders"] if o["step"] is None]

    def changed_and_cut_off(run_id: int) -> bool:
        until_step(workshop, run_id, 2)
        try:
            orders.change(studio, run_id, "optim.lr", 0.05, "Ada")
            orders.ask(studio, run_id, "sample", "Ada")
            workshop.until(lambda: not waiting(run_id) or is_over(run_id))
            runs.want(studio, run_id, "halt")
        except Conflict:
            return False
        workshop.until(lambda: is_over(run_id))
        steps = [order["step"] for order in orders.rows(studio, run_id)["orders"]]
        stopped = runs.get(studio, run_id)["status"] == "stopped"
        return stopped and None not in steps and max(steps) < UPDATES

    run_id = workshop.in_mid(lambda: start(workshop), changed_and_cut_off)
    heeded, row = orders.rows(studio, run_id)["orders"], runs.get(studio, run_id)
    assert row["step"] <= UPDATES and row["tuned_policy_id"]
    runs.want(studio, run_id, "run")
    told = outcome(workshop, finished(workshop, run_id))
    left_alone = runs.create(studio, workshop.project, "again", row["config"])["id"]
    with studio.write() as session:
        for order in heeded:
            detail = {key: order[key] for key in ("key", "value", "was") if key in order}
            kind, step = order["kind"], order["step"]
            session.add(RunOrder(run_id=left_alone, kind=kind, detail=detail, step=step))
    assert outcome(workshop, finished(workshop, left_alone)) == told
    rates = told["series"]["lr"]
    assert rates[heeded[0]["step"]] == 0.05 and rates[heeded[0]["step"] - 1] == 0.01
    drawn = [e["step"] for e in told["evaluations"] if not e["metrics"]]
    assert drawn in ([heeded[1]["step"]], []), "an evaluation of that step has drawn them already"


@PROCESSES
def test_a_stopped_run_delivers_what_it_has(workshop: Workshop) -> None:
    studio, run_id = workshop.studio, start(workshop, num_steps=400)
    until_step(workshop, run_id, 2)
    runs.want(studio, run_id, "stop")
    workshop.until(lambda: runs.get(studio, run_id)["status"] == "stopped")
    row = runs.get(studio, run_id)
    tuned = policies.get(studio, row["tuned_policy_id"])
    assert tuned["step"] == row["step"] < 400
    assert row["step"] in row["checkpoints"]


@PROCESSES
def test_a_checkpoint_whose_file_is_gone_gets_a_sentence(workshop: Workshop) -> None:
    studio, run_id = workshop.studio, start(workshop, num_steps=400)
    until_step(workshop, run_id, 4)
    runs.want(studio, run_id, "pause")
    workshop.until(lambda: runs.get(studio, run_id)["status"] == "paused")
    saved = records.latest_checkpoint(studio, run_id)
    assert saved is not None
    studio.media.local_path(saved.optimiser).unlink()
    before = runs.metrics(studio, run_id)["steps"]
    runs.want(studio, run_id, "run")
    workshop.until(lambda: runs.get(studio, run_id)["status"] == "failed")
    error = runs.get(studio, run_id)["error"]
    assert f"checkpoint at step {saved.step}" in error and "clone the run" in error
    assert runs.metrics(studio, run_id)["steps"] == before, "nothing was thrown away"


@PROCESSES
def test_a_run_goes_on_after_the_studio_was_stopped_and_started(
    workshop: Workshop, undisturbed: dict[str, Any]
) -> None:
    run_id = start(workshop)
    until_step(workshop, run_id, 3)
    workshop.restart()
    assert outcome(workshop, finished(workshop, run_id)) == undisturbed
    job = jobs.get(workshop.studio, runs.get(workshop.studio, run_id)["job_id"])
    assert job["attempt"] <= 2
