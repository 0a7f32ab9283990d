"""Labels out, with their pictures, and in again elsewhere; read page by page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from backend.errors import InputError
from backend.preferences.formats import Losses, _writers
from backend.preferences.studies import StudyConfig
from backend.services import exports, imports, labels, pairs, projects, sources, studies, users
from backend.services.files import BrokenFile
from backend.services.studies import NewStudy
from backend.services.studio import Studio, open_studio
from backend.settings import read_settings
from db import queries
from db.queries import Scope
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


@pytest.mark.parametrize("form", ["jsonl", "parquet", "argilla"])
def test_marks_and_the_best_of_four_come_back_into_a_study_of_their_kind(
    services: Studio, tmp_path: Path, form: str
) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=4)
    said: dict[str, dict[str, Any]] = {
        "single": {"rating": 4, "checklist": {"Sharp?": True, "Red?": False}},
        "best_worst": {"best": "c", "worst": "a"},
    }

    def study(kind: str, name: str, samples: tuple[int, ...] = ()) -> int:
        asked = StudyConfig(checklist=["Sharp?", "Red?"] if kind == "single" else [])
        wanted = NewStudy(name, kind, asked, sample_ids=samples)
        return int(studies.create(services, made.project, wanted)["id"])

    for kind, answers in said.items():
        scope = Scope(study=study(kind, "First", tuple(made.samples)))
        (shown,) = pairs.next_pairs(services, made.project, made.user, 1, scope=scope)["pairs"]
        choice = "rated" if kind == "single" else "ranked"
        given = replace(factory.label(shown["pair_id"], choice), answers=answers, comment="hm")
        labels.store(services, made.user, given)
        out, losses = tmp_path / kind, Losses()
        parts = exports.stream(services, made.project, form, scope=scope, losses=losses)
        out.write_bytes(b"".join(parts))
        assert losses.written == 1 and not losses.left_out
        trl = exports.summary(services, made.project, "trl", scope=scope)
        kinds = {"single": "ratings of one picture", "best_worst": "best and worst of four"}
        assert trl["left_out"] == {kinds[kind]: 1}
        first = list(exports.rows(services, made.project, scope=scope))
        again = study(kind, "Second")
        how = imports.How(form=form, study_id=again, annotator="somebody")
        text = out.read_bytes()
        if form != "parquet":  # the same person's id is known, as it should be
            out.write_bytes(text.replace(first[0].id.encode(), f"another {kind}".encode()))
        else:
            table = pq.read_table(out).to_pylist()
            pq.write_table(
                pa.Table.from_pylist([{**row, "id": f"another {kind}"} for row in table]), out
            )
        for turn in range(2):
            with sources.opened(out, name=kind) as files:
                report = imports.bring(services, made.project, files, how)
            assert (report.labels, report.pairs, report.already) == (1 - turn, 1 - turn, turn)
        (back,) = exports.rows(services, made.project, scope=Scope(study=again))
        assert (back.images, back.answers) == (first[0].images, first[0].answers)
        assert (back.preferred, back.comment, back.annotator) == (choice, "hm", "you")
        assert studies.get(services, again)["settled"] == 1
        with pytest.raises(BrokenFile, match="needs a study that asks for it"):
            imports.import_labels(services, made.project, out.read_bytes(), form)


@pytest.mark.parametrize("form", ["jsonl", "parquet", "trl"])
def test_texts_come_in_are_judged_go_out_and_come_back(
    services: Studio, tmp_path: Path, form: str
) -> None:
    project, me = int(projects.named(services, "Test")["id"]), users.local(services)["id"]
    (tmp_path / "cat.png").write_bytes(factory.png(1))
    words = [f"A cat{'.' * number}" for number in range(3)]
    items = [
        {"prompt": "Describe it", "text_a": words[0], "text_b": words[1], "subject": "cat"},
        {"prompt": "Describe it", "text_a": words[1], "text_b": words[0], "subject": "cat.png"},
        {"prompt": "Describe it", "text_a": words[2], "text_b": words[1]},
        {"prompt": "Describe it", "image_a": "cat", "image_b": "dog"},
        {"prompt": "Describe it", "text_a": words[0], "text_b": words[0]},
    ]
    rows = tmp_path / "items.jsonl"
    rows.write_text("\n".join(json.dumps(item) for item in items))

    def study(name: str) -> int:
        asked = StudyConfig(spans=True, overlap=1)
        return int(studies.create(services, project, NewStudy(name, "texts", asked))["id"])

    def bring(file: Path, what: str, into: int) -> imports.Report:
        how = imports.How(what, form if what == "labels" else "auto", "somebody", into)
        with sources.opened(file, pictures=tmp_path) as parts:
            return imports.bring(services, project, parts, how)

    first = study("First")
    report = bring(rows, "pairs", first)
    assert (report.pairs, report.already, report.pictures) == (2, 1, 0)
    assert [(one["line"], one["column"]) for one in report.problems] == [
        (4, "text_a"),
        (5, "text_b"),
    ]
    scope = Scope(study=first)
    shown = pairs.next_pairs(services, project, me, 2, scope=scope)["pairs"]
    assert {one["left"]["text"] for one in shown} <= set(words)
    assert sum("subject" in one for one in shown) == 1
    for number, one in enumerate(shown):
        spans = {"spans": [{"side": "left", "start": 0, "end": 1}]}
        given = factory.label(one["pair_id"], ("left", "right")[number], left=one["shown_left"])
        labels.store(services, me, replace(given, answers=spans), veiled=True)
    out, losses = tmp_path / "out", Losses()
    parts = exports.stream(services, project, form, scope=scope, losses=losses)
    out.write_bytes(b"".join(parts))
    assert losses.written == 2 and not losses.left_out
    assert exports.summary(services, project, "hpd", scope=scope)["left_out"] == {"two texts": 2}
    assert exports.save_pictures(services, project, tmp_path / "pictures", scope=scope) == 1
    assert exports.summary(services, project, "jsonl")["written"] == 0  # no taste in pictures

    twice = bring(rows, "pairs", first)
    assert (twice.pairs, twice.already) == (0, 3)
    again = study("Second")
    text = out.read_bytes()
    if form == "jsonl":
        out.write_bytes(text.replace(b'"annotator": "you"', b'"annotator": "bo"'))
    elif form == "parquet":
        table = pq.read_table(out).to_pylist()
        pq.write_table(pa.Table.from_pylist([{**row, "annotator": "bo"} for row in table]), out)
    for turn in range(2):
        report = bring(out, "labels", again)
        assert (report.labels, report.already, report.broken) == (2 - 2 * turn, 2 * turn, 0)

    def said(of: int) -> list[tuple[str, ...]]:
        found = exports.rows(services, project, scope=Scope(study=of))
        return sorted(
            (row.text_a, row.text_b) if row.preferred == "a" else (row.text_b, row.text_a)
            for row in found
        )

    assert said(again) == said(first) and len(said(first)) == 2
    if form != "trl":
        back = exports.rows(services, project, scope=Scope(study=again))
        before = exports.rows(services, project, scope=scope)
        for one, other in zip(back, before, strict=True):
            assert (one.subject, one.answers) == (other.subject, other.answers)
    assert studies.get(services, again)["settled"] == 2
    with pytest.raises(BrokenFile, match=r"a study of two texts|no picture of this studio"):
        imports.import_labels(services, project, out.read_bytes(), form)


def test_items_of_every_kind_come_in_with_the_checks_their_study_wants(
    services: Studio, tmp_path: Path
) -> None:
    project = int(projects.named(services, "Test")["id"])
    names = [f"{number}.png" for number in range(4)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(factory.png(70 + number))
    items: dict[str, dict[str, Any]] = {
        "images": {"image_a": names[0], "image_b": names[1]},
        "single": {"image": names[2]},
        "best_worst": {"images": names},
    }
    rows = tmp_path / "items.jsonl"
    rows.write_text("\n".join(json.dumps({"prompt": "p", **one}) for one in items.values()))
    for number, kind in enumerate(items):
        wanted = NewStudy(kind, kind, StudyConfig(attention=0.1))
        study = int(studies.create(services, project, wanted)["id"])
        with sources.opened(rows, beside=True) as parts:
            how = imports.How("pairs", study_id=study)
            report = imports.bring(services, project, parts, how)
        lines = {1, 2, 3} - {number + 1}
        assert report.pairs == 1 and {one["line"] for one in report.problems} == lines
        assert studies.get(services, study)["items"] == 1
        with services.read() as session:
            checks, _items = queries.study_check_counts(session, study)
        assert (checks > 0) == (kind == "images")


def test_four_pictures_in_another_order_are_the_same_item(services: Studio, tmp_path: Path) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=4)
    wanted = NewStudy("Four", "best_worst", sample_ids=tuple(made.samples))
    scope = Scope(study=int(studies.create(services, made.project, wanted)["id"]))
    (shown,) = pairs.next_pairs(services, made.project, made.user, 1, scope=scope)["pairs"]
    given = replace(factory.label(shown["pair_id"], "ranked"), answers={"best": "a", "worst": "b"})
    labels.store(services, made.user, given)
    (row,) = exports.rows(services, made.project, scope=scope)
    one, *rest = row.images
    turned = {place: "dabc"["abcd".index(row.answers[place])] for place in ("best", "worst")}
    record = {"prompt": row.prompt, "preferred": "ranked", "annotator": "bo", "answers": turned}
    record |= dict(zip(("image_a", "image_b"), rest, strict=False)) | {"more": [rest[2], one]}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(record))
    with sources.opened(path) as files:
        report = imports.bring(services, made.project, files, imports.How(study_id=scope.study))
    assert (report.labels, report.pairs) == (1, 0)
    _mine, theirs = exports.rows(services, made.project, scope=scope)
    assert theirs.answers == row.answers


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
