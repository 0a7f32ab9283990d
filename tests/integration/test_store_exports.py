"""Labels out, with their pictures, and in again elsewhere; read page by page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from backend.errors import InputError
from backend.preferences.formats import Losses, _writers
from backend.services import exports, imports, labels, projects, sources
from backend.services.studio import Studio, open_studio
from backend.settings import read_settings
from db import queries
from db.tables import Audit
from tests import factory
from workers.cli import app

CHOICES = ("left", "right", "tie", "both_bad", "skip")


def judged(studio: Studio) -> factory.Made:
    """A project with one label of every choice."""
    made = factory.project(studio)
    for number, choice in enumerate(CHOICES):
        given = factory.label(made.pairs[number], choice, left="ab"[number % 2])
        labels.store(studio, made.user, given)
    return made


def said(studio: Studio, project: int) -> list[tuple[str, str, str]]:
    return [(row.prompt, row.preferred, row.image_a) for row in exports.rows(studio, project)]


def test_pictures_inside_a_file_come_into_a_studio_that_has_none(
    services: Studio, tmp_path: Path
) -> None:
    made = judged(services)
    table, losses = tmp_path / "labels.parquet", Losses()
    parts = exports.stream(services, made.project, "parquet", losses=losses, inside=True)
    table.write_bytes(b"".join(parts))
    assert (losses.written, losses.sentence()) == (5, "")
    text = table.read_bytes().replace(b"you", b"ann")  # whose ids are free in another project
    before = said(services, made.project)
    other = int(projects.create(services, "Other")["id"])
    for name in {row.image_a for row in exports.rows(services, made.project)}:
        services.media.remove(name)
    found = imports.import_labels(services, other, text, "auto")
    assert (found.labels, found.pictures, found.broken) == (5, 10, 0)
    assert said(services, other) == before


def test_a_folder_of_datasets_and_a_folder_of_pictures_come_back(
    services: Studio, tmp_path: Path
) -> None:
    made = judged(services)
    folder, pictures = tmp_path / "set", tmp_path / "pictures"
    exports.save_folder(services, made.project, folder)
    assert exports.save_pictures(services, made.project, pictures) == 10
    assert exports.save_pictures(services, made.project, pictures) == 0
    assert {path.suffix for path in pictures.iterdir()} == {".png"}
    with sources.opened(folder, pictures=pictures) as found:
        assert imports.bring(services, made.project, found).already == 5
    with pytest.raises(InputError, match="not empty"):
        exports.save_folder(services, made.project, folder)


def test_what_a_format_cannot_hold_is_said_before_it_is_written(services: Studio) -> None:
    made = judged(services)
    found = exports.summary(services, made.project, "trl")
    assert found["left_out"] == {"ties": 1, "both bad": 1, "skips": 1} and found["written"] == 2
    assert found["sentence"].startswith("Left out, for want of a place: both bad (1), skips (1)")
    picked = exports.summary(services, made.project, "pickapic")
    assert list(picked["changed"].values()) == [1] and picked["left_out"] == {"skips": 1}


def test_an_export_reads_page_by_page_while_it_is_sent(
    services: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, asked = judged(services), []
    ask = queries.judgements

    def counted(*args: Any, **how: Any) -> Any:
        asked.append(how["after"])
        return ask(*args, **how)

    monkeypatch.setattr(labels, "PAGE", 2)
    monkeypatch.setattr(queries, "judgements", counted)
    parts = exports.stream(services, made.project)
    sent = [len(asked) for _part in parts]
    assert sent == [1, 1, 2, 2, 3]  # pages that were read when each label had gone out
    # A table goes out by batches of rows, not when all of it is there.
    monkeypatch.setattr(_writers, "BATCH", 2)
    asked.clear()
    sent = [len(asked) for _part in exports.stream(services, made.project, "parquet")]
    assert sent[0] == 1 and sent[-1] == 3


def test_the_command_line_exports_and_imports(home: Path, tmp_path: Path) -> None:
    run, rows = CliRunner(), tmp_path / "rows.jsonl"
    for letter in "ab":
        (tmp_path / f"{letter}.png").write_bytes(factory.png(ord(letter)))
    row = {"prompt": "p", "image_a": "a", "image_b": "b", "preferred": "tie", "comment": "hm"}
    rows.write_text(f"{json.dumps(row)}\nnonsense")
    done = run.invoke(app, ["import", "labels", str(rows)])
    assert done.exit_code == 2 and "Imported 1 label with 2 new pictures" in done.stdout, (
        done.output
    )
    assert "rows.jsonl, line 2, character 1: is not JSON" in done.output
    done = run.invoke(app, ["export", "--format", "imagereward", "--out", str(tmp_path / "o.json")])
    assert done.exit_code == 0 and "Written without: annotators (1), comments (1)" in done.output
    with open_studio(read_settings(home=home)).read() as session:
        noted = session.execute(sa.select(Audit.who, Audit.action, Audit.text)).one()
    assert tuple(noted) == ("command line", "export", "exported labels as imagereward")
    (out,) = json.loads((tmp_path / "o.json").read_text())
    assert out["ranking"] == [1, 1] and len(out["generations"]) == 2
    done = run.invoke(app, ["import", "labels", str(tmp_path / "o.json")])
    assert done.exit_code == 0, done.output
