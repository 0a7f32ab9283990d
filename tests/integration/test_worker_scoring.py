"""Rewards asked of real score workers: the numbers of a run that asks them itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.services import jobs, records, runs
from tests.integration.test_worker_train import finished, paused, until_step
from tests.tiny_sd3 import tiny_sd3  # noqa: F401
from tests.workshop import Workshop, opened_for


@pytest.fixture(scope="module", params=["sqlite"])  # the store is asked for jobs alone, as ever
def workshop(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_sd3: Path,  # noqa: F811
) -> Iterator[Workshop]:
    with opened_for(request, tmp_path_factory, tiny_sd3, "train", "score") as running:
        yield running


@pytest.fixture(scope="module")
def inline(workshop: Workshop) -> dict[str, Any]:
    """What a run records that asks its rewards itself."""
    return outcome(workshop, finished(workshop, start(workshop, "inline")))


def config_of(workshop: Workshop, where: str, **changes: Any) -> dict[str, Any]:
    """A pointwise reward, one for some prompts only, one that compares siblings, one watched."""
    return {
        "method": {"name": "one-fork", "settings": {"group_size": 4}},
        "policy": {"family": "sd3", "config": {"weights": str(workshop.tiny)}},
        "rewards": [
            {"name": "light", "kind": "brightness"},
            {"name": "red", "kind": "saturation", "only": "red"},
            {"name": "wins", "kind": "win-rate", "config": {"judge": "saturation"}},
        ],
        "watch": [{"name": "verifier", "kind": "pocket-verifier"}],
        "scoring": {"where": where},
        "compose": {"floor": 0.0},
        "sampling": {"num_steps": 4, "prompts_per_step": 3, "trees_at_once": 2, "bf16": False},
        "optim": {"lr": 0.01, "lora_rank": 2, "lora_alpha": 4},
        "evaluation": {"every": 2, "num_prompts": 4, "fixed_prompts": 2},
        "num_steps": 4,
        "checkpoint_every": 2,
        "record_groups": 4,
        **changes,
    }


def start(workshop: Workshop, where: str, **changes: Any) -> int:
    config = config_of(workshop, where, **changes)
    return int(runs.create(workshop.studio, workshop.project, f"run {where}", config)["id"])


def outcome(workshop: Workshop, run_id: int) -> dict[str, Any]:
    studio = workshop.studio
    found, saved = runs.metrics(studio, run_id), records.latest_checkpoint(studio, run_id)
    assert saved is not None
    found["series"].pop("diversity")  # of the first process's pictures, where there are several
    said = {name: found[name] for name in ("steps", "series", "nfe", "evaluations")}
    return said | {"weights": (saved.adapter, saved.optimiser)}


def without_style(said: dict[str, Any]) -> dict[str, Any]:
    """All but what looks explain of the first process's advantages, which is none of few."""
    series = {name: row for name, row in said["series"].items() if "style_r2" not in name}
    return {**said, "series": series}


def parcels(workshop: Workshop) -> list[Path]:
    """Media that are neither pictures nor weights."""
    folder = workshop.studio.media.folder
    assert folder is not None
    found = [path for path in folder.rglob("*") if path.is_file()]
    heads = {path: path.read_bytes()[:32] for path in found}
    return [p for p, head in heads.items() if head[:4] != b"\x89PNG" and b"{" not in head]


def test_score_workers_give_the_bits_of_the_trainer_and_nothing_is_left(
    workshop: Workshop, inline: dict[str, Any]
) -> None:
    run_id = finished(workshop, start(workshop, "workers"))
    assert outcome(workshop, run_id) == inline
    assert {"reward/light", "reward/red", "reward/wins"} <= set(inline["series"])
    assert jobs.ordered_by(workshop.studio, run_id, "judge") == []
    assert parcels(workshop) == []


@pytest.mark.slow
def test_several_processes_ask_the_same_workers(workshop: Workshop, inline: dict[str, Any]) -> None:
    """The first one draws two of three trees, so that gradients are added up in the same order."""
    run_id = finished(workshop, start(workshop, "workers", processes=2))
    assert without_style(outcome(workshop, run_id)) == without_style(inline)
    assert jobs.ordered_by(workshop.studio, run_id, "judge") == []


def test_killing_the_score_worker_only_delays(workshop: Workshop, inline: dict[str, Any]) -> None:
    run_id = start(workshop, "workers")
    until_step(workshop, run_id, 1)
    workshop.kill_worker("score")
    assert outcome(workshop, finished(workshop, run_id)) == inline


def test_a_run_that_waits_for_a_worker_can_be_stopped_and_goes_on(
    workshop: Workshop, inline: dict[str, Any]
) -> None:
    """The score worker neither answers nor dies."""
    studio = workshop.studio

    def paused_in_vain(run_id: int) -> bool:
        until_step(workshop, run_id, 2)
        with workshop.frozen("score"):
            in_time = paused(workshop, run_id)
            assert jobs.ordered_by(studio, run_id, "judge") == []
        return in_time

    run_id = workshop.in_mid(lambda: start(workshop, "workers"), paused_in_vain)
    runs.want(studio, run_id, "run")
    assert outcome(workshop, finished(workshop, run_id)) == inline
    assert parcels(workshop) == []
