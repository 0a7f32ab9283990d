"""A run as a file: the bundle replays to the bit in another studio, and does not grow in memory
with the run."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest

from backend.errors import InputError
from backend.services import bundles, jobs, policies, projects, records, replays, runs
from backend.services.records import StoredCheckpoint
from backend.services.studio import Studio, open_studio
from backend.settings import read_settings
from tests import factory, tiny_runs
from tests.tiny_sd3 import tiny_sd3  # noqa: F401
from workers.frame import JobFrame
from workers.jobs import train


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """One kind of store is enough here: what is read and written is tested on both elsewhere."""
    from tests.conftest import empty_database

    with empty_database(request, tmp_path) as url:
        yield url


def trained(studio: Studio, run_id: int) -> None:
    """Do a run's job as a worker does."""
    job = next(j for j in jobs.due(studio) if j["args"].get("run_id") == run_id)
    claim = jobs.claim(studio, job["id"], job["attempt"] + 1, "here")
    assert claim is not None
    frame = JobFrame(studio, claim.id, claim.attempt, claim.args)
    assert jobs.finish(studio, claim.id, claim.attempt, train.work(frame))


def settings(tiny: Path, **more: Any) -> dict[str, Any]:
    """A run of two updates that keeps a checkpoint of each."""
    given = {"fork_steps": [0, 2], "group_size": 3, "strides": [1]}
    return tiny_runs.settings(tiny, "g2rpo", given, checkpoint_every=1, **more)


def saved(studio: Studio, run_id: int, path: Path) -> Path:
    """The bundle in a file."""
    path.write_bytes(b"".join(bundles.stream(studio, run_id)))
    return path


def test_a_bundle_replays_to_the_bit_in_another_studio(
    services: Studio,
    tmp_path: Path,
    tiny_sd3: Path,  # noqa: F811
) -> None:
    made = factory.project(services, per_prompt=0)
    run = runs.create(services, made.project, "the one", settings(tiny_sd3))["id"]
    trained(services, run)
    path = saved(services, run, tmp_path / "one.zip")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
        about = json.loads(archive.read("bundle.json"))
        assert json.loads(archive.read("config.json")) == runs.get(services, run)["config"]
        assert len(archive.read("metrics.jsonl").splitlines()) == 2
    assert {"adapters/step-000002.safetensors", bundles.DELIVERED, "prompts/train.jsonl"} <= names
    assert about["run"]["seed"] == 0 and about["code_version"] and about["packages"]["torch"]

    other = open_studio(read_settings(home=tmp_path / "other"), migrate=True)
    try:
        again = replays.bring(other, path)
        assert again["name"] == "the one" and again["config"]["seed"] == about["run"]["seed"]
        assert replays.verdict(other, again["id"], path).steps == 0
        trained(other, again["id"])
        found = replays.verdict(other, again["id"], path)
        assert (found.steps, found.adapters, found.first) == (2, 3, "")
        changed = runs.clone(other, again["id"], {"seed": 1})["id"]
        trained(other, changed)
        differs = replays.verdict(other, changed, path)
        assert differs.steps == 0 and "At step" in differs.first
        assert replays.bring(other, path)["project_id"] != again["project_id"]
    finally:
        other.close()


def test_judged_pairs_weights_and_the_policy_it_began_from_travel_along(
    services: Studio,
    tmp_path: Path,
    tiny_sd3: Path,  # noqa: F811
) -> None:
    made = factory.project(services, per_prompt=2)
    from backend.services import labels

    for pair in made.pairs:
        labels.store(services, made.user, factory.label(pair, "right"))
    config = tiny_runs.settings(tiny_sd3, "flow-dpo", {}, labels="people")
    first = runs.create(services, made.project, "first", config)
    adapter = services.media.put(b"an adapter")
    with services.write() as session:
        row = runs.find(session, first["id"])
        start = policies.taught(session, row, adapter, 7).id
    run = runs.create(services, made.project, "pairs", config, policy_id=start)["id"]
    path = saved(services, run, tmp_path / "pairs.zip")
    other = open_studio(read_settings(home=tmp_path / "other"), migrate=True)
    try:
        again = replays.bring(other, path, "elsewhere")
        mine, theirs = (
            train.data_of(studio, run_id, runs.config_of(studio, run_id)).pairs
            for studio, run_id in ((services, run), (other, again["id"]))
        )
        assert mine is not None and theirs is not None
        assert mine.prompts == theirs.prompts and len(mine.prompts) == len(made.pairs)
        assert (mine.winners == theirs.winners).all() and (mine.losers == theirs.losers).all()
        begun = policies.spec(other, runs.get(other, again["id"])["policy_id"])
        assert begun.adapter == adapter and other.media.read(adapter) == b"an adapter"
    finally:
        other.close()


def test_a_damaged_or_foreign_archive_is_refused(services: Studio, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"no archive")
    with pytest.raises(InputError, match="cannot be read"):
        replays.bring(services, path)
    for about, said in (({}, "no bundle of a run"), ({"version": 9}, "version 9")):
        with zipfile.ZipFile(path, "w") as archive:
            form = {"format": bundles.FORMAT} if about else {}
            archive.writestr("bundle.json", json.dumps(form | about))
            archive.writestr("config.json", "{}")
        with pytest.raises(InputError, match=said):
            replays.bring(services, path)
    made = factory.project(services, per_prompt=0)
    run = factory.trained_run(services, made)
    whole = saved(services, run, tmp_path / "whole.zip")
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr(f"media/{'0' * 64}", b"something else")
    with pytest.raises(InputError, match="damaged"):
        replays.bring(services, whole)
    before = len(projects.rows(services))
    for change in ({"prompt_sets": 7}, {"policy": {}}, {"run": None}):
        with pytest.raises(InputError, match="the file does not hold what a bundle does"):
            replays.bring(services, changed(whole, tmp_path / "y.zip", change), title="the file")
    assert len(projects.rows(services)) == before, "a faulty bundle leaves no project"


def changed(bundle: Path, to: Path, change: dict[str, Any]) -> Path:
    """A bundle whose own description says something else."""
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(to, "w") as new:
        for name in old.namelist():
            if name == "bundle.json":
                about = json.loads(old.read(name)) | change
                new.writestr(name, json.dumps(about))
            elif not name.startswith("media/"):
                new.writestr(name, old.read(name))
    return to


def test_an_adapter_that_is_gone_is_named_as_missing(services: Studio, tmp_path: Path) -> None:
    made = factory.project(services, per_prompt=0)
    run = factory.trained_run(services, made)
    data = services.media.put(b"weights")
    for step, name in ((1, data), (2, "0" * 64)):
        records.checkpoint(services, run, StoredCheckpoint(step, name, name, None, {}))
    with zipfile.ZipFile(saved(services, run, tmp_path / "some.zip")) as archive:
        about = json.loads(archive.read("bundle.json"))
        assert [one["step"] for one in about["adapters"]] == [1]
        assert about["missing"] == ["adapters/step-000002.safetensors"]
        assert archive.read("adapters/step-000001.safetensors") == b"weights"


def test_memory_does_not_grow_with_the_run(services: Studio, tmp_path: Path) -> None:
    made = factory.project(services, per_prompt=0)
    run = factory.trained_run(services, made)
    for step in range(4):
        data = services.media.put(bytes([step]) * (8 << 20))
        records.checkpoint(services, run, StoredCheckpoint(step, data, data, None, {}))
    tracemalloc.start()
    total = sum(len(part) for part in bundles.stream(services, run))
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total > 32 << 20 and peak < 8 << 20
