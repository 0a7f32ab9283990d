"""Import jobs: counted while they work, stopped and gone on with, and nothing left behind."""

from __future__ import annotations

import json
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from backend.services import imports, jobs, labels, loading, projects
from backend.services.imports import How
from backend.services.studio import Studio
from tests import factory
from workers import frame, models
from workers.jobs import import_rows


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    """Four judgements and one broken row, with their pictures."""
    path = tmp_path / "set.zip"
    rows: list[dict[str, Any]] = [{"prompt": "half"}]
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(4):
            names = [f"{number}-{letter}.png" for letter in "ab"]
            for side, name in enumerate(names):
                archive.writestr(name, factory.png(500 + 2 * number + side))
            pair = dict(zip(("image_a", "image_b"), names, strict=True))
            rows.append({"prompt": f"prompt {number}", **pair, "preferred": "a"})
        archive.writestr("rows.jsonl", "\n".join(json.dumps(row) for row in rows))
    return path


@pytest.fixture
def ordered(
    services: Studio, upload: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Studio, int, int]:
    """The studio, the project and an import job whose batches are single rows."""
    monkeypatch.setattr(loading, "ROWS", 1)
    monkeypatch.setattr(models, "studio", lambda: services)
    monkeypatch.setattr(frame, "ASK_S", 0.0)
    monkeypatch.setattr(frame, "STOP", threading.Event())
    project = int(projects.named(services, "Test")["id"])
    job = imports.order(services, project, upload, How(form="jsonl"), filename="set.zip")
    return services, project, job


def after(monkeypatch: pytest.MonkeyPatch, num_labels: int, act: Any) -> None:
    """Do something when so many labels are noted."""
    note = jobs.note

    def noted(studio: Studio, job: int, attempt: int, result: dict[str, Any]) -> bool:
        if result["labels"] == num_labels:
            act()
        return note(studio, job, attempt, result)

    monkeypatch.setattr(jobs, "note", noted)


def test_a_job_counts_what_came_in_and_lists_what_could_not_be_read(
    ordered: tuple[Studio, int, int], upload: Path
) -> None:
    studio, project, job = ordered
    kept = jobs.get(studio, job)["args"]["upload"]
    assert studio.media.read(kept) == upload.read_bytes()
    import_rows.run(job, 1)
    row = jobs.get(studio, job)
    assert (row["status"], row["progress"], row["result"]["labels"]) == ("done", 1.0, 4)
    assert row["result"]["problems"] == [
        {"file": "rows.jsonl", "line": 1, "column": "image_a", "reason": "is missing"}
    ]
    assert len(list(labels.judged(studio, project))) == 4
    assert not studio.media.exists(kept)


def test_a_stopped_job_keeps_what_came_in_and_the_file_again_brings_the_rest(
    ordered: tuple[Studio, int, int], upload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio, project, job = ordered
    after(monkeypatch, 2, lambda: jobs.want(studio, job, "stop"))
    import_rows.run(job, 1)
    row = jobs.get(studio, job)
    assert (row["status"], row["result"]["labels"]) == ("stopped", 2)
    assert len(list(labels.judged(studio, project))) == 2
    monkeypatch.undo()
    monkeypatch.setattr(models, "studio", lambda: studio)
    again = imports.order(studio, project, upload, How(form="jsonl"))
    import_rows.run(again, 1)
    found = jobs.get(studio, again)["result"]
    assert (found["labels"], found["already"], found["broken"]) == (2, 2, 1)
    assert not studio.media.exists(row["args"]["upload"])


def test_a_job_whose_worker_ended_goes_on_behind_its_last_row(
    ordered: tuple[Studio, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    studio, project, job = ordered
    after(monkeypatch, 2, frame.STOP.set)
    import_rows.run(job, 1)
    assert jobs.get(studio, job)["status"] == "due"
    frame.STOP.clear()
    after(monkeypatch, -1, lambda: None)
    import_rows.run(job, 2)
    row = jobs.get(studio, job)
    found = row["result"]
    assert (row["status"], found["labels"], found["already"], found["broken"]) == ("done", 4, 0, 1)
    assert len(list(labels.judged(studio, project))) == 4
