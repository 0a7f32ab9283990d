"""Labels and pairs from files on both kinds of store: what can be read, and never doubled."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from backend.errors import EnvironmentProblem, InputError, NotFound
from backend.preferences import formats
from backend.preferences.studies import StudyConfig
from backend.services import (
    exports,
    imports,
    labels,
    loading,
    pairs,
    policies,
    projects,
    prompts,
    sources,
    studies,
    users,
)
from backend.services.files import BrokenFile
from backend.services.pictures import Folder
from backend.services.sources import Part
from backend.services.studies import NewStudy
from backend.services.studio import Studio, open_studio
from backend.settings import read_settings
from db.tables import Label, Pair, Policy, Prompt, Sample, User
from tests import factory

TABLES = (Label, Pair, Policy, Prompt, Sample, User)


def jsonl(*rows: dict[str, Any]) -> str:
    return "\n".join(json.dumps(row) for row in rows)


def judgement(number: int, preferred: str = "a", **more: Any) -> dict[str, Any]:
    """A row about two pictures of `folder`."""
    pictures = {"image_a": f"{number}-a.png", "image_b": f"{number}-b"}
    return {"prompt": f"prompt {number}", **pictures, "preferred": preferred, **more}


@pytest.fixture
def project(services: Studio) -> int:
    return int(projects.named(services, "Test")["id"])


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Pictures 0 to 3 of two sides each, and one file that is none."""
    for number in range(4):
        for letter, side in (("a", 0), ("b", 1)):
            path = tmp_path / f"{number}-{letter}.png"
            path.write_bytes(factory.png(1000 + 2 * number + side))
    (tmp_path / "notes.png").write_text("not a picture")
    return Folder(tmp_path)


def contents(services: Studio) -> dict[str, int]:
    """How many rows each table has."""
    with services.read() as session:
        return {
            table.__tablename__: session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in TABLES
        }


def files_of(services: Studio) -> set[Path]:
    assert services.media.folder is not None
    return {path for path in services.media.folder.rglob("*") if path.is_file()}


def test_rows_with_pictures_become_labels_and_the_same_file_adds_nothing_again(
    services: Studio, project: int, folder: Folder
) -> None:
    text = jsonl(
        judgement(0, annotator="ann", id="c-0", t_shown=10, t_answer=12, reasons=["count"]),
        judgement(1, "b", shown_left="b"),
        judgement(2, "tie", annotator="bo", simulated=True),
        judgement(3, "skip", comment="hm"),
    )
    added = imports.import_labels(services, project, text, pictures=folder)
    assert (added.labels, added.pairs, added.pictures, added.prompts) == (4, 4, 8, 4)
    found = list(labels.judged(services, project, simulated=None))
    assert [(row.user, row.kind, row.choice) for row in found] == [
        ("ann", "person", "left"),
        ("imported", "person", "left"),
        ("bo", "simulated", "tie"),
        ("imported", "person", "skip"),
    ]
    assert (found[0].t_shown, found[0].t_answer, found[0].reasons) == (10, 12, ["count"])
    before = contents(services), files_of(services)
    again = imports.import_labels(services, project, text, pictures=folder)
    assert (again.labels, again.pairs, again.already) == (0, 0, 4)
    assert (contents(services), files_of(services)) == before
    with services.read() as session:
        settled = session.scalars(sa.select(Pair.settled).order_by(Pair.id))
        assert list(settled) == [True, True, False, False]  # by people, and a skip is no verdict


def test_what_was_exported_is_known_again_and_comes_back_in_another_project(
    services: Studio, project: int
) -> None:
    made = factory.project(services)
    for number, choice in enumerate(("left", "right", "tie", "both_bad", "skip")):
        labels.store(
            services, made.user, factory.label(made.pairs[number], choice, left="ab"[number % 2])
        )
    text = b"".join(exports.stream(services, made.project)).decode()
    before = contents(services)
    assert imports.import_labels(services, made.project, text).already == 5
    assert contents(services) == before
    other = int(projects.create(services, "Other")["id"])
    with pytest.raises(BrokenFile, match="names another judgement"):
        imports.import_labels(services, other, text)  # an id of this annotator is taken
    renamed = text.replace('"annotator": "you"', '"annotator": "a friend"')
    added = imports.import_labels(services, other, renamed)
    assert (added.labels, added.pairs, added.pictures) == (5, 5, 10)
    assert b"".join(exports.stream(services, other)).decode() == renamed


def test_items_on_which_imported_people_differ_are_asked_again(
    services: Studio, project: int, folder: Folder, tmp_path: Path
) -> None:
    asked = StudyConfig(overlap=2, overlap_most=4, narrow=0.7)
    study = studies.create(services, project, NewStudy("Two", "images", asked))["id"]
    said = [(0, "a", "ann"), (0, "b", "bo"), (1, "a", "ann"), (1, "a", "bo")]
    rows = [judgement(number, choice, annotator=who) for number, choice, who in said]
    path = tmp_path / "rows.jsonl"
    path.write_text(jsonl(*rows))
    imports.bring(services, project, [Part("rows", path, folder)], imports.How(study_id=study))
    with services.read() as session:
        counted = session.execute(
            sa.select(Pair.verdicts, Pair.overlap, Pair.settled).order_by(Pair.id)
        ).all()
    assert [tuple(row) for row in counted] == [(2, 3, False), (2, 2, True)]


def test_other_formats_and_a_turned_pair_find_the_pair_that_is_there(
    services: Studio, project: int, folder: Folder
) -> None:
    row = judgement(0)
    imports.import_labels(services, project, jsonl(row), pictures=folder)
    turned = {"prompt": row["prompt"], "chosen": row["image_b"], "rejected": row["image_a"]}
    text = jsonl(turned, turned)
    added = imports.import_labels(
        services, project, text, "trl", pictures=folder, annotator=" Ada "
    )
    assert (added.labels, added.pairs, added.already) == (1, 0, 1)
    first, second = labels.judged(services, project)
    assert (second.user, second.choice, second.left) == ("Ada", "left", "b")
    assert second.left_media == first.right_media
    picked = formats.write(
        [formats.Row("prompt 0", "0-a", "0-b", "tie", annotator="7")], "pickapic"
    )
    added = imports.import_labels(services, project, "".join(picked), "pickapic", pictures=folder)
    assert (added.labels, added.pairs) == (1, 0)


def test_pairs_come_in_to_be_judged(services: Studio, project: int, folder: Folder) -> None:
    rows = [
        {name: row[name] for name in ("prompt", "image_a", "image_b")}
        for row in (judgement(0), judgement(1))
    ]
    added = imports.import_pairs(services, project, jsonl(*rows), pictures=folder)
    assert (added.labels, added.pairs, added.already) == (0, 2, 0)
    me = users.local(services)["id"]
    shown = pairs.next_pairs(services, project, me, 5)["pairs"]
    assert {pair["prompt"] for pair in shown} == {"prompt 0", "prompt 1"}
    again = imports.import_pairs(services, project, jsonl(*rows, rows[0]), pictures=folder)
    assert (again.pairs, again.already) == (0, 3)


def test_every_faulty_row_is_named_while_the_rest_loads(
    services: Studio, project: int, folder: Folder
) -> None:
    users.simulated(services, "robot")
    bad = [
        judgement(0),
        {"prompt": "half"},
        judgement(1, image_a="notes"),
        judgement(1, image_a="../outside"),
        judgement(1, image_b="https://example.org/x.png"),
        judgement(1, image_b="absent"),
        judgement(1, image_b="1-a"),
        judgement(1, prompt="x" * 2001),
        judgement(1, comment="half \ud800"),
        judgement(1, annotator="a\nb"),
        judgement(1, annotator="robot"),
        judgement(2, id="twice"),
        judgement(3, id="twice"),
        judgement(1),
    ]
    found = imports.import_labels(
        services, project, jsonl(*bad), pictures=folder, filename="mine.jsonl"
    )
    assert (found.labels, found.pairs, found.rows, found.broken) == (3, 3, 3, 11)
    told = [(one["line"], one["column"], one["reason"]) for one in found.problems]
    assert {one["file"] for one in found.problems} == {"mine.jsonl"}
    expected = [
        (2, "image_a", "is missing"),
        (3, "image_a", "is not a picture that Palate reads"),
        (4, "image_a", "outside the folder"),
        (5, "image_b", "web address"),
        (6, "image_b", "no picture 'absent'"),
        (7, "image_b", "the same picture"),
        (8, "prompt", "2,001 characters"),
        (9, "comment", "half a character"),
        (10, "annotator", "printable"),
        (11, "annotator", "'robot' is a person in the file, but simulated"),
        (13, "id", "'twice' names another judgement"),
    ]
    assert [one[:2] for one in told] == [one[:2] for one in expected]
    assert all(word in one[2] for one, (_line, _column, word) in zip(told, expected, strict=True))
    assert "Imported 3 labels" in found.sentence() and "11 rows could not" in found.sentence()


def test_a_file_without_a_row_that_can_be_read_is_refused(
    services: Studio, project: int, folder: Folder
) -> None:
    before = contents(services), files_of(services)
    with pytest.raises(BrokenFile, match=r"line 1, image_a: '0-a.png' is no picture of this"):
        imports.import_labels(services, project, jsonl(judgement(0)))
    with pytest.raises(InputError, match="the file holds no labels"):
        imports.import_labels(services, project, "\n")
    with pytest.raises(InputError, match="choose auto, argilla"):
        imports.import_labels(services, project, "{}", "csv")
    with pytest.raises(InputError, match="those of no format that is known"):
        imports.import_labels(services, project, '{"x": 1}', "auto")
    assert (contents(services), files_of(services)) == before


def test_pictures_that_do_not_fit_on_the_disk_end_it_and_what_came_before_stays(
    services: Studio, project: int, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "ROWS", 2)
    free = iter([10**9, 1_000])
    monkeypatch.setattr(type(services.media), "free_bytes", lambda _media: next(free))
    text = jsonl(*(judgement(number) for number in range(4)))
    with pytest.raises(EnvironmentProblem, match=r"next 4 pictures need .* before them is kept"):
        imports.import_labels(services, project, text, pictures=folder)
    assert contents(services)["label"] == 2
    monkeypatch.undo()
    again = imports.import_labels(services, project, text, pictures=folder)
    assert (again.labels, again.already) == (2, 2)


def zipped(**members: str | bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return packed.getvalue()


def test_a_zip_brings_rows_and_pictures_together(
    services: Studio, project: int, folder: Folder
) -> None:
    pictures = {f"set/{path.name}": path.read_bytes() for path in folder.path.glob("*-*.png")}
    rows = {"set/rows.jsonl": jsonl(judgement(0)), "set/more.json": f"[{jsonl(judgement(1))}]"}
    found = imports.import_labels(services, project, zipped(**pictures, **rows))
    assert (found.labels, found.broken) == (2, 0)
    with pytest.raises(InputError, match=r"'two.zip' holds no rows"):
        imports.import_labels(services, project, zipped(**{"a.txt": "x"}), filename="two.zip")
    with pytest.raises(InputError, match="not a ZIP that can be opened"):
        imports.import_labels(services, project, b"PK\x03\x04broken")


def test_an_import_goes_on_behind_its_last_row(
    services: Studio, project: int, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "ROWS", 1)
    text = jsonl(judgement(0), {"prompt": "half"}, judgement(1), judgement(2), judgement(3))
    path = folder.path / "rows.jsonl"
    path.write_text(text)
    seen: list[tuple[dict[str, Any], float]] = []

    class Stopped(Exception):
        pass

    def say(report: imports.Report, share: float) -> None:
        seen.append((report.plain(), share))
        if report.labels == 2:
            raise Stopped

    with sources.opened(path, beside=True) as parts:
        with pytest.raises(Stopped):
            imports.bring(services, project, parts, say=say)
        first = imports.Report(**seen[-1][0])
        assert (first.labels, first.broken, first.line) == (2, 1, 3)
        read: list[str] = []
        monkeypatch.setattr(
            Folder, "read", lambda self, name: read.append(name) or original(self, name)
        )
        done = imports.bring(services, project, parts, report=first)
    assert (done.labels, done.already, done.broken, done.rows) == (4, 0, 1, 4)
    assert [name[0] for name in read] == ["2", "2", "3", "3"]
    assert contents(services)["label"] == 4


original = Folder.read


def test_clicks_are_weak_pairs_kept_apart_until_somebody_judges_them(
    services: Studio, project: int, folder: Folder
) -> None:
    shown = ["0-a", "0-b", "1-a"]
    row = {"prompt": "prompt 0", "shown": shown, "clicked": ["0-b"], "user": "u7", "t": 100}
    found = imports.import_labels(services, project, jsonl(row), "auto", pictures=folder)
    assert (found.labels, found.pairs) == (2, 2)
    me = users.local(services)["id"]
    assert pairs.next_pairs(services, project, me, 5)["pairs"] == []
    assert pairs.counts(services, project, me)["total"] == 0
    assert list(labels.judged(services, project, simulated=None)) == []
    assert labels.counts(services, project, 0)["total"] == 0
    weak = list(exports.rows(services, project, implicit=True))
    assert {(one.annotator, one.implicit, one.simulated) for one in weak} == {
        ("implicit: u7", True, False)
    }
    assert (
        imports.import_labels(services, project, jsonl(row), "auto", pictures=folder).already == 2
    )
    judged = imports.import_labels(services, project, jsonl(judgement(0)), pictures=folder)
    assert (judged.labels, judged.pairs) == (1, 0)
    assert [one.choice for one in labels.judged(services, project)] == ["left"]
    assert pairs.counts(services, project, me)["total"] == 1


def test_what_drew_imported_pictures_cannot_be_asked_to_draw(
    services: Studio, project: int, folder: Folder
) -> None:
    imports.import_labels(services, project, jsonl(judgement(0)), pictures=folder)
    assert policies.rows(services, project) == []
    with services.read() as session:
        policy_id = session.scalars(sa.select(Policy.id)).one()
    with pytest.raises(NotFound):
        policies.get(services, policy_id)


def test_a_full_disk_saves_nothing_and_says_so(home: Path, _migrated_sqlite: Path) -> None:
    shutil.copy(_migrated_sqlite, home / "palate.db")
    studio = open_studio(read_settings(home=home))
    project = int(projects.named(studio, "Test")["id"])

    def fill(connection: Any, _record: Any) -> None:  # as SQLite says it when a disk is full
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    sa.event.listen(studio.store.engine, "connect", fill)
    studio.store.dispose()
    text = "\n".join(f"prompt {number} {'x' * 900}" for number in range(500))
    with pytest.raises(EnvironmentProblem, match=r"is full; nothing was saved. Free some space"):
        prompts.import_text(studio, project, "big", "train", text)
    assert prompts.rows(studio, project) == []
    sa.event.remove(studio.store.engine, "connect", fill)
    studio.store.dispose()
    assert prompts.import_text(studio, project, "big", "train", text)["num_prompts"] == 500
    studio.close()
