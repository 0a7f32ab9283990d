"""Rollouts of other trainers become a run: both layouts, faulty rows, hostile files, twice."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from backend.errors import Conflict, InputError
from backend.rl import logged
from backend.services import (
    projects,
    rollout_imports,
    rollout_pairs,
    rollouts,
    runs,
    samples,
    sources,
    users,
)
from backend.services.files import BrokenFile
from backend.services.rollout_filter import Filter
from backend.services.rollout_imports import Report
from backend.services.studio import Studio
from tests import factory
from workers import exchange

OCR, PICK = [1.0, 0.5, 0.0, 0.25], [0.2, 0.4, 0.8, 0.6]


@pytest.fixture
def project(services: Studio) -> int:
    """An empty project."""
    return int(projects.current(services, users.local(services)["id"])["id"])


def bring(studio: Studio, project: int, path: Path, name: str = "elsewhere") -> Report:
    """Import what lies at a path."""
    with sources.opened(path, beside=True) as parts:
        return rollout_imports.bring(studio, project, name, parts)


def flow_grpo(folder: Path, epochs: int = 2) -> list[dict[str, Any]]:
    """Rows as flow_grpo has them: an average of weighed rewards, an advantage a denoising step."""
    folder.mkdir(exist_ok=True)
    rows = []
    for epoch in range(epochs):
        for number, prompt in enumerate(("a red fox", "two cups")):
            average = 0.25 * np.array(OCR) + 0.75 * np.array(PICK) + 0.01 * number
            advantage = (average - average.mean()) / (average.std() + 1e-4)
            for i in range(4):
                name = f"{epoch}-{number}-{i}.png"
                (folder / name).write_bytes(factory.png(1000 * epoch + 10 * number + i))
                scores = {"ocr": OCR[i] + 0.04 * number, "pickscore": PICK[i], "avg": average[i]}
                row = {"epoch": epoch, "prompt": prompt, "image": name, "rewards": scores}
                rows.append(row | {"advantages": [advantage[i]] * 3})
    lines = "\n".join(json.dumps(row) for row in rows)
    (folder / "samples.jsonl").write_text(lines)
    return rows


def test_a_folder_of_flow_grpo_becomes_a_run_whose_shares_add_up(
    services: Studio, project: int, tmp_path: Path
) -> None:
    rows = flow_grpo(tmp_path / "run-7")
    done = bring(services, project, tmp_path / "run-7", "run-7")
    assert (done.rows, done.samples, done.groups, done.computed, done.broken) == (16, 16, 4, 0, 0)
    run = runs.get(services, done.run_id)
    assert (run["name"], run["status"], run["method"], run["step"]) == (
        "run-7",
        "done",
        "imported",
        1,
    )
    assert [term["weight"] for term in run["config"]["rewards"]] == [0.25, 0.75]
    page = rollouts.page(services, done.run_id, Filter(sort="oldest"))
    assert (page["total"], page["samples"]) == (4, 16)
    told = {(row["epoch"], row["prompt"], row["rewards"]["ocr"]): row for row in rows}
    for group in page["groups"]:
        shown = [leaf["advantage"] for leaf in group["leaves"]]
        assert shown == sorted(shown, reverse=True)
        for leaf in group["leaves"]:
            row = told[group["step"], group["prompt"], leaf["rewards"]["ocr"]["raw"]]
            assert leaf["advantage"] == pytest.approx(row["advantages"][0], abs=1e-9)
            shares = [part["share"] for part in leaf["rewards"].values()]
            assert sum(shares) == pytest.approx(leaf["advantage"], abs=1e-6)
            assert leaf["total"] == pytest.approx(row["rewards"]["avg"], abs=1e-6)
    metrics = runs.metrics(services, done.run_id)
    assert metrics["steps"] == [0, 1] and metrics["series"]["reward/pickscore"][0] == pytest.approx(
        0.5
    )
    assert len(found(services, done.run_id, up="ocr", down="pickscore")) == 4
    assert runs.get(services, done.run_id)["imported"]
    with pytest.raises(Conflict, match="logged by another trainer"):
        runs.clone(services, done.run_id)
    with pytest.raises(Conflict):
        runs.want(services, done.run_id, "run")


def found(studio: Studio, run: int, **wanted: Any) -> list[dict[str, Any]]:
    """Groups that match."""
    groups: list[dict[str, Any]] = rollouts.page(studio, run, Filter(**wanted))["groups"]
    return groups


def test_the_same_files_again_add_nothing_and_late_rows_join_their_group(
    services: Studio, project: int, tmp_path: Path
) -> None:
    folder = tmp_path / "run-8"
    rows = flow_grpo(folder, epochs=1)
    whole = (folder / "samples.jsonl").read_text().splitlines()
    (folder / "samples.jsonl").write_text("\n".join(whole[:6]))
    first = bring(services, project, folder)
    again = bring(services, project, folder)
    assert (again.samples, again.already, again.run_id) == (0, 6, first.run_id)
    assert again.sentence() == "Imported nothing new. Already here: 6."
    (folder / "samples.jsonl").write_text("\n".join(whole))
    rest = bring(services, project, folder)
    assert (rest.samples, rest.already, rest.groups) == (2, 6, 0)
    groups = found(services, first.run_id)
    assert [len(group["leaves"]) for group in groups] == [4, 4]
    known = {float(row["advantages"][0]) for row in rows}
    assert {leaf["advantage"] for group in groups for leaf in group["leaves"]} == known


def test_completions_of_trl_are_read_with_words_and_without_advantages(
    services: Studio, project: int, tmp_path: Path
) -> None:
    folder = tmp_path / "completions"
    folder.mkdir()
    chat = [{"role": "user", "content": "Say a colour."}]
    answers = [[{"role": "assistant", "content": word}] for word in ("red", "blue", "red", "blu")]
    table = {"step": [5] * 4, "prompt": [chat] * 4, "completion": answers}
    table |= {"is_word": [1.0, 1.0, 1.0, 0.0], "short": [0.5, None, 0.5, 0.5]}
    pq.write_table(pa.table(table), folder / "completions_00005.parquet")
    done = bring(services, project, folder)
    assert (done.samples, done.computed) == (4, 1) and "worked out" in done.sentence()
    (group,) = found(services, done.run_id)
    assert group["prompt"] == "Say a colour." and group["sheet_url"] is None
    by_text = {leaf["text"]: leaf for leaf in group["leaves"]}
    assert set(by_text) == {"red", "blue", "blu"}
    missing = by_text["blue"]
    assert missing["advantage"] is None and missing["rewards"]["short"]["share"] is None
    assert missing["rewards"]["short"]["status"] == "the log has no value"
    assert group["leaves"][0]["advantage"] == pytest.approx(
        logged.advantages(np.array([1.5, np.nan, 1.5, 0.5]))[0]
    )
    assert found(services, done.run_id, missing=True) == [group]


def test_faulty_rows_are_told_by_line_and_reason_while_the_rest_loads(
    services: Studio, project: int, tmp_path: Path
) -> None:
    folder = tmp_path / "mixed"
    flow_grpo(folder, epochs=1)
    good = json.loads((folder / "samples.jsonl").read_text().splitlines()[0])
    (folder / "text.png").write_bytes(b"no picture")
    bad = [
        {**good, "epoch": None},
        {**good, "prompt": ""},
        {**good, "image": "../../etc/passwd"},
        {**good, "image": "gone.png"},
        {**good, "image": "text.png"},
        {"epoch": 0, "prompt": "a red fox", "image": good["image"]},
        {**good, "epoch": -4},
    ]
    lines = ["{broken", *map(json.dumps, bad)]
    with (folder / "samples.jsonl").open("a") as file:
        file.write("\n" + "\n".join(lines))
    done = bring(services, project, folder)
    assert (done.samples, done.broken) == (8, 8)
    told = {one["line"]: (one["column"], one["reason"]) for one in done.problems}
    assert [told[line][0] for line in range(10, 17)] == [
        "step", "prompt", "image", "image", "image", "rewards", "epoch",
    ]  # fmt: skip
    assert "outside" in told[12][1] and "no picture" in told[13][1]
    (folder / "samples.jsonl").write_text("\n".join(lines))
    with pytest.raises(BrokenFile):
        bring(services, project, folder, "nothing")


def test_a_pair_of_imported_rollouts_holds_the_pictures_byte_for_byte(
    services: Studio, project: int, tmp_path: Path
) -> None:
    folder = tmp_path / "run-9"
    rows = flow_grpo(folder, epochs=1)
    done = bring(services, project, folder)
    group = found(services, done.run_id, sort="oldest")[0]
    pair = rollout_pairs.make_pair(services, group["id"])
    assert pair == rollout_pairs.make_pair(services, group["id"])
    shown = samples.page(services, project, limit=2)["items"]
    best = max(rows[:4], key=lambda row: row["advantages"][0])["image"]
    pictures = {services.media.read(one["url"].rsplit("/", 1)[-1]) for one in shown}
    assert (folder / best).read_bytes() in pictures


def test_archives_are_read_without_trusting_them(
    services: Studio, project: int, tmp_path: Path
) -> None:
    folder = tmp_path / "run-10"
    flow_grpo(folder, epochs=1)
    packed = tmp_path / "run-10.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"log/{path.name}")
        row = {"epoch": 0, "prompt": "x", "image": "../../out.png", "reward": 1.0}
        archive.writestr("../evil.jsonl", json.dumps(row))
    done = bring(services, project, packed)
    assert done.samples == 8 and done.broken == 1
    assert not (tmp_path.parent / "evil.jsonl").exists()
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.jsonl", b"\n" * 150_000_000)
    (tmp_path / "bomb.zip").write_bytes(bomb.getvalue())
    with pytest.raises(InputError, match="unpacks to"):
        bring(services, project, tmp_path / "bomb.zip")


def test_a_run_that_was_trained_here_is_not_written_over(services: Studio, tmp_path: Path) -> None:
    made = factory.project(services, per_prompt=0)
    runs.create(services, made.project, "mine", factory.config())
    flow_grpo(tmp_path / "mine", epochs=1)
    with pytest.raises(Conflict, match="another name"):
        bring(services, made.project, tmp_path / "mine", "mine")


def test_the_command_line_tells_what_came_in_and_ends_with_2_for_faulty_rows(
    services: Studio, project: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow_grpo(tmp_path / "run-11", epochs=1)
    monkeypatch.setattr(exchange, "opened", lambda _home: nullcontext(services))
    command = ["rollouts", str(tmp_path / "run-11")]
    done = CliRunner().invoke(exchange.importing, command)
    assert done.exit_code == 0 and "Imported 8 rollouts into run" in done.output
    with (tmp_path / "run-11" / "samples.jsonl").open("a") as file:
        file.write("\nnonsense")
    again = CliRunner().invoke(exchange.importing, command)
    assert again.exit_code == 2 and "line 9" in again.output and "nothing new" in again.output


def test_totals_that_follow_from_nothing_stay_the_trained_reward() -> None:
    rng = np.random.default_rng(0)
    value = rng.normal(size=(20, 2))
    assert logged.weights(["a", "b"], value, value @ [0.3, 0.7]) == pytest.approx([0.3, 0.7])
    assert logged.weights(["a", "b"], value, rng.normal(size=20)) is None
    total = rng.normal(size=8)
    assert logged.divisor(total, 2 * (total - total.mean())) == pytest.approx(0.5)
    assert logged.divisor(total, rng.normal(size=8)) is None
