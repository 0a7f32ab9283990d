"""Runs of two processes on a real worker: records written once, nobody left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.services import jobs, records, rollouts, runs
from backend.services.studio import Studio
from tests.integration.test_worker_train import finished, paused, until_step
from tests.processes import is_alive, table, wait_until
from tests.tiny_sd3 import tiny_sd3  # noqa: F401
from tests.workshop import LONG_S, Workshop, opened_for

UPDATES = 8


@pytest.fixture(scope="module", params=["sqlite"])
def workshop(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_sd3: Path,  # noqa: F811
) -> Iterator[Workshop]:
    with opened_for(request, tmp_path_factory, tiny_sd3, "train") as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(workshop: Workshop) -> dict[str, Any]:
    """What one process makes of the run."""
    return outcome(workshop.studio, finished(workshop, start(workshop, processes=1)))


def start(workshop: Workshop, **changes: Any) -> int:
    """Two trees with one gradient each: their sum has the same bits, whoever adds it up."""
    config = {
        "method": {"name": "one-fork", "settings": {"group_size": 3}},
        "policy": {"family": "sd3", "config": {"weights": str(workshop.tiny)}},
        "rewards": [{"name": "light", "kind": "brightness"}],
        "compose": {"floor": 0.0},
        "sampling": {"num_steps": 4, "prompts_per_step": 2, "trees_at_once": 1, "bf16": False},
        "optim": {"lr": 0.01, "lora_rank": 2, "lora_alpha": 4, "ema_decay": 0.5},
        "evaluation": {"every": 4, "num_prompts": 4, "fixed_prompts": 2},
        "num_steps": UPDATES,
        "checkpoint_every": 3,
        "record_groups": 2,
        "processes": 2,
    }
    return int(runs.create(workshop.studio, workshop.project, "run", config | changes)["id"])


def outcome(studio: Studio, run_id: int) -> dict[str, Any]:
    """What a run recorded and learned; diversity is of the first process's pictures alone."""
    found, saved = runs.metrics(studio, run_id), records.latest_checkpoint(studio, run_id)
    assert saved is not None
    found["series"].pop("diversity")
    return {
        "steps": found["steps"],
        "series": found["series"],
        "nfe": found["nfe"],
        "evaluations": found["evaluations"],
        "weights": (saved.step, saved.adapter, saved.optimiser, saved.ema),
    }


def members(workshop: Workshop, run_id: int) -> list[int]:
    """The processes that train a run now, in no order."""
    job_id = runs.get(workshop.studio, run_id)["job_id"]
    ours = re.compile(rf"^\S+ -m workers\.member {job_id} ")
    return [pid for pid, (_, _, command) in table().items() if ours.match(command)]


def test_two_processes_record_once_and_learn_what_one_does(
    workshop: Workshop, undisturbed: dict[str, Any]
) -> None:
    run_id = finished(workshop, start(workshop))
    assert outcome(workshop.studio, run_id) == undisturbed
    assert undisturbed["steps"] == list(range(1, UPDATES + 1))
    groups = rollouts.page(workshop.studio, run_id, limit=100)["groups"]
    assert [(g["step"], g["tree"]) for g in groups[::-1]] == [(n + 1, 0) for n in range(UPDATES)]
    assert members(workshop, run_id) == []


@pytest.mark.slow
def test_a_killed_process_ends_the_run_and_a_killed_worker_only_delays_it(
    workshop: Workshop, undisturbed: dict[str, Any]
) -> None:
    studio = workshop.studio

    def is_over(run_id: int) -> bool:
        return runs.get(studio, run_id)["status"] in jobs.OVER

    def one_killed(run_id: int) -> bool:
        """False where the run was over before that."""
        until_step(workshop, run_id, 1)
        found = members(workshop, run_id)
        with contextlib.suppress(ProcessLookupError):
            for pid in found[1:]:
                os.kill(pid, signal.SIGKILL)
        workshop.until(lambda: is_over(run_id))
        wait_until(LONG_S, lambda: not any(map(is_alive, found)), "the other process to end")
        return bool(runs.get(studio, run_id)["status"] == "failed")

    run_id = workshop.in_mid(lambda: start(workshop), one_killed)
    error = runs.get(studio, run_id)["error"]
    assert re.search("Process [12] of the run's 2 was killed by signal 9", error), error
    assert "resume the run" in error

    runs.want(studio, run_id, "run")
    workshop.until(lambda: len(members(workshop, run_id)) == 2 or is_over(run_id))
    until_step(workshop, run_id, 3)
    left = members(workshop, run_id)
    workshop.kill_worker("train")
    wait_until(LONG_S, lambda: not any(map(is_alive, left)), "them to end after their worker")
    assert outcome(studio, finished(workshop, run_id)) == undisturbed


@pytest.mark.slow
def test_a_paused_run_goes_on_with_any_number_of_processes(
    workshop: Workshop, undisturbed: dict[str, Any]
) -> None:
    def paused_at_two(run_id: int) -> bool:
        until_step(workshop, run_id, 2)
        return paused(workshop, run_id)

    studio, run_id = workshop.studio, workshop.in_mid(lambda: start(workshop), paused_at_two)
    assert 2 <= runs.get(studio, run_id)["step"] < UPDATES and members(workshop, run_id) == []
    runs.want(studio, run_id, "run")
    until_step(workshop, run_id, runs.get(studio, run_id)["step"] + 1)
    workshop.restart()
    assert outcome(workshop.studio, finished(workshop, run_id)) == undisturbed
    job = jobs.get(workshop.studio, runs.get(workshop.studio, run_id)["job_id"])
    assert job["attempt"] <= 2
